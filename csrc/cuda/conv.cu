// Convolutions of channels-last images as products on tiles whose rows are gathered pixels (implicit GEMM): nothing is
// laid out in memory but the weights, in the order that tiles read them. Groups of few channels, which would leave most
// of a tile empty, are computed directly.
//
// Floor: 2 N OH OW O KH KW C / groups FLOPs for each of the three, or the bytes of x, y and w.
#include "contract/conv.h"

#include "cuda/conv/direct.h"
#include "cuda/conv/gather.h"
#include "cuda/conv/weight_grad.h"
#include "cuda/conv/weights.h"

namespace tinydl::cuda {

namespace {

// The matrices of a batch `stride` elements apart.
inline Walk<2> groups_apart(int64_t groups, int64_t stride) {
  LoopNest nest;
  nest.operands = 2;
  nest.ndim = 1;
  nest.shape[0] = groups;
  nest.stride[0][0] = nest.stride[1][0] = stride;
  return Walk<2>(nest, 1);
}

// The images that a gather reads and writes.
template <class T>
struct Images {
  const T* from;
  T* to;
  int64_t from_channels, to_channels;  // of all groups
  const ConvAxis &h, &w;

  int rows_from(bool backward) const { return static_cast<int>(backward ? h.output : h.input); }
  int columns_from(bool backward) const { return static_cast<int>(backward ? w.output : w.input); }
};

template <class T>
void gather(const ConvGeometry& g, bool backward, const Images<T>& images, const ConvWeight<T>& w,
            const Finish<T>& finish) {
  const bool direct = is_narrow<T>(g);
  const WeightPacking packing(g, backward, direct, kPack<T>);
  const PackedWeights<T> weights(packing, w);
  if (direct) return gather_directly(g, packing, images.from, weights.data(), images.to, finish);
  const GatherPlan plan{packing.h, packing.w, backward, g.batch, packing.read, g.groups};
  const int64_t batch = plan.batch(), m = plan.places(), n = packing.made, k = plan.steps();
  by_tile_size<T>(batch, m, n, k, [&](auto size) {
    using P =
        typename ProductOf<T, size.value, GatherFetch, Along::sum, TapWeights, Along::lines, GatherTarget<T>>::type;
    constexpr int width = kPack<T>;
    const bool whole = packing.read % width == 0 && images.from_channels % width == 0 && is_aligned(images.from, width);
    const bool stores = n % width == 0 && images.to_channels % width == 0 && is_aligned(images.to, width);
    const typename P::A::Source a{images.from,
                                  plan,
                                  Divider(static_cast<uint32_t>(packing.read > 0 ? packing.read : 1)),
                                  images.rows_from(backward),
                                  images.columns_from(backward),
                                  images.from_channels,
                                  whole};
    const typename P::B::Source b{
        {weights.data(), 1, packing.pitch, packing.pitch, true, 0, groups_apart(g.groups, packing.group_stride())},
        plan};
    const GatherTarget<T> to{images.to,          plan, static_cast<int>(g.h.input), static_cast<int>(g.w.input),
                             images.to_channels, n};
    run_product<P>(batch, m, n, k, a, b, to, finish, stores);
  });
}

template <class T>
void forward(const ConvGeometry& g, const T* x, const ConvWeight<T>& w, const Epilogue<T>& epilogue, T* y) {
  if (g.batch == 0 || g.filters == 0) return;
  gather(g, false, Images<T>{x, y, g.channels, g.filters, g.h, g.w}, w, Finish<T>(epilogue));
}

template <class T>
void input_grad(const ConvGeometry& g, const T* dy, const ConvWeight<T>& w, const T* bias, T* dx) {
  if (g.batch == 0 || g.channels == 0 || g.h.input == 0 || g.w.input == 0) return;
  Epilogue<T> epilogue;
  epilogue.bias = bias;
  gather(g, true, Images<T>{dy, dx, g.filters, g.channels, g.h, g.w}, w, Finish<T>(epilogue));
}

template <class T>
void weight_grad(const ConvGeometry& g, const T* x, const T* dy, T* dw) {
  const TapAxis h(g.h), w(g.w);
  const int64_t channels = g.group_channels(), filters = g.group_filters();
  const int64_t m = channels * h.kernel * w.kernel, outputs = int64_t(h.output) * w.output, k = g.batch * outputs;
  if (m == 0 || filters == 0) return;
  if (is_narrow<T>(g)) return weight_grad_directly(g, x, dy, dw);
  by_tile_size<T>(g.groups, m, filters, k, [&](auto size) {
    using P =
        typename ProductOf<T, size.value, PixelFetch, Along::lines, MatrixFetch, Along::lines, MatrixTarget<T>>::type;
    constexpr int width = kPack<T>;
    const typename P::A::Source a{x,
                                  h,
                                  w,
                                  g.channels,
                                  m,
                                  AnyDivider(outputs, k),
                                  AnyDivider(w.output, k),
                                  Divider(static_cast<uint32_t>(channels)),
                                  channels % width == 0 && is_aligned(x, width)};
    const bool whole = filters % width == 0 && is_aligned(dy, width);
    const typename P::B::Source b{dy, 1, g.filters, filters, whole, 1, groups_apart(g.groups, filters)};
    const bool stores = filters % width == 0 && is_aligned(dw, width);
    run_product<P>(g.groups, m, filters, k, a, b, {dw, filters, g.filters, 0}, Finish<T>(), stores);
  });
}

template <class T>
constexpr ConvKernels<T> kernels = {forward<T>, input_grad<T>, weight_grad<T>};

}  // namespace

TINYDL_CUDA_TABLE(ConvKernels, conv, kernels);

}  // namespace tinydl::cuda
