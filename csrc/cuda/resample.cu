// Resampling: a thread has a pack of inner elements of one output and reads its few inputs, which its neighbours find
// in the caches: about each element of both arrays is moved once.
#include "contract/resample.h"

#include "cuda/device/math.h"
#include "cuda/device/pixels.h"

namespace tinydl::cuda {

namespace {

// The matrix lies on the GPU: looking into it would mean to wait for it.
template <class T>
WrongBand find_wrong(const BandMatrix<T>&) {
  return {-1, 0, 0};
}

// Row i of a matrix; empty where its columns do not all lie inside.
template <class T>
struct Band {
  int64_t start = 0, count = 0;
  const T* weight;
  __device__ Band(const BandMatrix<T>& m, int64_t i) : weight(m.weight + i * m.taps) {
    const int64_t first = m.start[i], taps = m.count[i];
    const bool inside = first >= 0 && taps >= 0 && taps <= m.taps && taps <= m.in && first <= m.in - taps;
    if (!inside) return;
    start = first;
    count = taps;
  }
};

// total += weights of the band times x[k * inner], k counting from the band's start.
template <int width, class T>
__device__ __forceinline__ void weigh(const Band<T>& band, const T* x, int64_t inner, Wide<T> (&total)[width]) {
  const T* from = x + band.start * inner;
  for (int64_t k = 0; k < band.count; ++k, from += inner) {
    const Wide<T> weight = widen(band.weight[k]);
    const Pack<T, width> pack = load_pack<width>(from);
#pragma unroll
    for (int j = 0; j < width; ++j) total[j] = fma_of(weight, widen(pack.v[j]), total[j]);
  }
}

template <int width, class T>
__device__ __forceinline__ void store(T* y, const Wide<T> (&total)[width]) {
  Pack<T, width> out;
#pragma unroll
  for (int j = 0; j < width; ++j) out.v[j] = static_cast<T>(total[j]);
  store_pack(y, out);
}

template <int width, class T>
__global__ void axis_kernel(Pixels pixels, BandMatrix<T> m, int64_t inner, const T* x, T* y) {
  for (int64_t n = thread_in_grid(); n < pixels.count; n += threads_in_grid()) {
    const PixelPlace place = pixels.locate(n);
    const Band<T> band(m, place.column);
    Wide<T> total[width];
#pragma unroll
    for (int j = 0; j < width; ++j) total[j] = 0;
    weigh<width>(band, x + place.outer * m.in * inner + place.inner, inner, total);
    store(y + n * width, total);
  }
}

template <int width, class T>
__global__ void plane_kernel(Pixels pixels, BandMatrix<T> h, BandMatrix<T> w, int64_t inner, const T* x, T* y) {
  for (int64_t n = thread_in_grid(); n < pixels.count; n += threads_in_grid()) {
    const PixelPlace place = pixels.locate(n);
    const Band<T> rows(h, place.row), columns(w, place.column);
    const int64_t row = w.in * inner;
    const T* from = x + (place.outer * h.in + rows.start) * row + place.inner;
    Wide<T> total[width];
#pragma unroll
    for (int j = 0; j < width; ++j) total[j] = 0;
    for (int64_t k = 0; k < rows.count; ++k, from += row) {
      Wide<T> sum[width];
#pragma unroll
      for (int j = 0; j < width; ++j) sum[j] = 0;
      weigh<width>(columns, from, inner, sum);
      const Wide<T> weight = widen(rows.weight[k]);
#pragma unroll
      for (int j = 0; j < width; ++j) total[j] = fma_of(weight, sum[j], total[j]);
    }
    store(y + n * width, total);
  }
}

template <class T>
bool takes_packs(int64_t inner, const T* x, const T* y) {
  return inner % kPack<T> == 0 && is_aligned(x, kPack<T>) && is_aligned(y, kPack<T>);
}

template <class T>
void resample_axis(const BandMatrix<T>& m, int64_t outer, int64_t inner, const T* x, T* y) {
  const auto run = [&](auto kernel, int width) {
    const Pixels pixels(outer, 1, m.out, inner, width);
    launch(kernel, blocks_for(pixels.count), kThreads, pixels, m, inner, x, y);
  };
  if (takes_packs(inner, x, y))
    run(axis_kernel<kPack<T>, T>, kPack<T>);
  else
    run(axis_kernel<1, T>, 1);
}

template <class T>
void resample_plane(const BandMatrix<T>& h, const BandMatrix<T>& w, int64_t outer, int64_t inner, const T* x, T* y) {
  const auto run = [&](auto kernel, int width) {
    const Pixels pixels(outer, h.out, w.out, inner, width);
    launch(kernel, blocks_for(pixels.count), kThreads, pixels, h, w, inner, x, y);
  };
  if (takes_packs(inner, x, y))
    run(plane_kernel<kPack<T>, T>, kPack<T>);
  else
    run(plane_kernel<1, T>, 1);
}

template <class T>
constexpr ResampleKernels<T> kernels = {find_wrong<T>, resample_axis<T>, resample_plane<T>};

}  // namespace

TINYDL_CUDA_TABLE(ResampleKernels, resample, kernels);

}  // namespace tinydl::cuda
