// Copies whose places are given by indices, masks or paddings, and sums at indices. Where a copy's rows lie so, a
// thread moves 16 bytes; the floor is one read and one write of what is copied, and a read of the indices or the mask.
#include "contract/index.h"

#include "cuda/device/map.h"
#include "cuda/index/rows.h"
#include "cuda/index/scatter.h"

namespace tinydl::cuda {

namespace {

template <class T>
void take(int64_t outer, int64_t size, int64_t count, int64_t inner, const T* x, const int64_t* index, T* y) {
  take_rows(outer, size, count, inner, x, index, y);
}

template <class T>
void take_backward(int64_t outer, int64_t size, int64_t count, int64_t inner, const T* dy, const int64_t* index, T* y) {
  add_rows_at(outer, size, count, inner, dy, index, -1, false, y);
}

Checked checked_by(const char* op, int64_t size) {
  Checked out = {};
  out.op = op;
  out.size = size;
  return out;
}

template <class T>
__global__ void gather_kernel(Walk<3> walk, int64_t axis_stride, Report* report, Checked checked, const T* x,
                              const int64_t* index, T* y) {
  for (int64_t i = thread_in_grid(); i < walk.count; i += threads_in_grid()) {
    int64_t at[3];
    walk.locate(i, at);
    y[at[2]] = x[at[0] + checked_index(report, checked, index[at[1]], at[1]) * axis_stride];
  }
}

template <class T>
bool gather(const LoopNest& nest, int64_t size, int64_t axis_stride, const T* x, const int64_t* index, T* y) {
  const Walk<3> walk(nest, 1);
  launch(gather_kernel<T>, blocks_for(walk.count), kThreads, walk, axis_stride, report(), checked_by("gather", size), x,
         index, y);
  return true;
}

template <class T>
bool scatter_add(const LoopNest& nest, int64_t size, int64_t count, const int64_t* axis_stride, T* y,
                 const int64_t* index, const T* x) {
  const ScatterAxis axis = {count, axis_stride[0], axis_stride[1], axis_stride[2]};
  scatter_add_at(nest, checked_by("scatter_add", size), axis, y, index, x);
  return true;
}

template <int width, class T>
__global__ void copy_rows_kernel(int64_t packs, Split columns, const T* x, T* y, int64_t y_pitch) {
  for (int64_t i = thread_in_grid(); i < packs; i += threads_in_grid()) {
    const int64_t r = columns.quotient(i), c = i - r * columns.size();
    store_pack(y + r * y_pitch + c * width, load_pack<width>(x + i * width));
  }
}

template <class T>
void copy_rows(int64_t rows, int64_t n, const T* x, T* y, int64_t y_pitch) {
  const auto run = [&](auto kernel, int width) {
    const int64_t packs = rows * (n / width);
    launch(kernel, blocks_for(packs), kThreads, packs, Split(n / width, packs), x, y, y_pitch);
  };
  if (in_packs(n, x, y) && y_pitch % kPack<T> == 0)
    run(copy_rows_kernel<kPack<T>, T>, kPack<T>);
  else
    run(copy_rows_kernel<1, T>, 1);
}

// The plan in packs of `width` elements along the innermost axis.
struct PadWalk {
  PadPlan plan;
  int64_t packs = 1;
  bool small;
  Divider divider[kMaxDims];

  PadWalk(const PadPlan& of, int width) : plan(of) {
    const int inner = plan.ndim - 1;
    plan.shape[inner] /= width;
    plan.x_shape[inner] /= width;
    plan.before[inner] /= width;
    plan.x_stride[inner] *= width;
    for (int d = 0; d < plan.ndim; ++d) packs *= plan.shape[d];
    small = packs < int64_t(1) << 31;
    for (int d = 0; small && packs > 0 && d < plan.ndim; ++d)
      divider[d] = Divider(static_cast<uint32_t>(plan.shape[d]));
  }

  // Whether pack i of y lies in x, and where.
  __device__ __forceinline__ bool locate(int64_t i, int64_t& from) const {
    from = 0;
    bool inside = true;
    for (int d = plan.ndim - 1; d >= 0; --d) {
      int64_t next = 0;
      if (d > 0) next = small ? int64_t(divider[d].quotient(static_cast<uint32_t>(i))) : i / plan.shape[d];
      const int64_t at = i - next * plan.shape[d] - plan.before[d];
      inside = inside && at >= 0 && at < plan.x_shape[d];
      from += at * plan.x_stride[d];
      i = next;
    }
    return inside;
  }
};

template <int width, class T>
__global__ void pad_kernel(PadWalk walk, const T* x, T value, T* y) {
  for (int64_t i = thread_in_grid(); i < walk.packs; i += threads_in_grid()) {
    int64_t from;
    Pack<T, width> out;
    if (walk.locate(i, from)) {
      out = load_pack<width>(x + from);
    } else {
#pragma unroll
      for (int j = 0; j < width; ++j) out.v[j] = value;
    }
    store_pack(y + i * width, out);
  }
}

// Whether every pack of y is a pack of x or padding.
template <class T>
bool pads_packs(const PadPlan& plan, const T* x, const T* y) {
  constexpr int width = kPack<T>;
  const int inner = plan.ndim - 1;
  if (plan.x_stride[inner] != 1 || plan.x_shape[inner] % width != 0 || plan.before[inner] % width != 0) return false;
  for (int d = 0; d < inner; ++d)
    if (plan.x_stride[d] % width != 0) return false;
  return in_packs(plan.shape[inner], x, y);
}

template <class T>
void pad(const PadPlan& plan, const T* x, T value, T* y) {
  const auto run = [&](auto kernel, int width) {
    const PadWalk walk(plan, width);
    launch(kernel, blocks_for(walk.packs), kThreads, walk, x, value, y);
  };
  if (pads_packs(plan, x, y))
    run(pad_kernel<kPack<T>, T>, kPack<T>);
  else
    run(pad_kernel<1, T>, 1);
}

template <class W>
struct Fill {
  W value;
  __device__ W operator()(W x, uint8_t mask) const { return mask ? value : x; }
};

template <class T>
void masked_fill(const LoopNest& nest, const T* x, const uint8_t* mask, T value, T* y) {
  map(nest, Fill<Wide<T>>{static_cast<Wide<T>>(value)}, y, x, mask);
}

template <class T>
constexpr IndexKernels<T> kernels = {
    take<T>, take_backward<T>, gather<T>, scatter_add<T>, copy_rows<T>, pad<T>, masked_fill<T>,
};

}  // namespace

TINYDL_CUDA_TABLE(IndexKernels, index, kernels);

}  // namespace tinydl::cuda
