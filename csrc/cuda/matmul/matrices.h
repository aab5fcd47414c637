// Matrices under any strides as operands of products on tiles.
#pragma once
#include "cuda/device/async_copy.h"
#include "cuda/device/tile_product.h"
#include "cuda/device/walk.h"

namespace tinydl::cuda {

// Copies from `from` to shared memory, elements `stride` apart; zeros from element `count` on.
template <class T>
__device__ __forceinline__ void copy_elements(T* to, const T* from, int64_t stride, int count) {
  if constexpr (sizeof(T) >= 4) {
#pragma unroll
    for (int e = 0; e < kPack<T>; ++e) copy_async<sizeof(T)>(to + e, e < count ? from + e * stride : from, e < count);
  } else {
    Pack<T, kPack<T>> pack;
#pragma unroll
    for (int e = 0; e < kPack<T>; ++e) pack.v[e] = e < count ? from[e * stride] : T(0.0f);
    store_pack(to, pack);
  }
}

// Lines (rows of A, columns of B) of the matrices of a batch. In `packs`, the axis that the shared tile is along has
// stride 1 and every 16 bytes of it are aligned and whole; else elements are copied one by one.
template <class Layout_, int threads>
class MatrixFetch {
 public:
  using Layout = Layout_;
  using T = typename Layout::Element;
  struct Source {
    const T* data;
    int64_t line_stride, sum_stride, lines;
    bool packs;
    int operand;      // of the walk
    Walk<2> batches;  // from one matrix to the next of A and of B
  };

  // All lies `offset` elements on.
  __device__ MatrixFetch(const Source& source, const Slice& slice, int64_t first_line, int64_t offset = 0)
      : s_(source) {
    int64_t at[2];
    s_.batches.locate(slice.batch, at);
    const int64_t lines_left = s_.lines - first_line;
    const int lines = lines_left < Layout::lines ? static_cast<int>(lines_left) : Layout::lines;
    const auto steps = static_cast<int>(slice.end - slice.begin);
    rows_left_ = (along_sum ? lines : steps) - row();
    columns_left_ = (along_sum ? steps : lines) - chunk() * kPack<T>;
    from_ = s_.data + offset + (s_.operand == 0 ? at[0] : at[1]) + first_line * s_.line_stride +
            slice.begin * s_.sum_stride + row() * row_stride() + chunk() * kPack<T> * column_stride();
  }

  __device__ __forceinline__ void fetch(T* tile, int k) const {
    const T* from = from_ + k * s_.sum_stride;
    const int columns_left = columns_left_ - (along_sum ? k : 0), rows_left = rows_left_ - (along_sum ? 0 : k);
    const int64_t step = kRowsAtOnce * row_stride();
    if (s_.packs) {
#pragma unroll
      for (int i = 0; i < Layout::rows; i += kRowsAtOnce, from += step)
        copy_async<kAccessBytes>(tile + Layout::at(row() + i, chunk()), from, i < rows_left && columns_left > 0);
      return;
    }
#pragma unroll 1
    for (int i = 0; i < Layout::rows; i += kRowsAtOnce, from += step)
      copy_elements(tile + Layout::at(row() + i, chunk()), from, column_stride(), i < rows_left ? columns_left : 0);
  }

 private:
  static constexpr bool along_sum = Layout::along == Along::sum;
  static constexpr int kRowsAtOnce = threads / Layout::chunks;
  static_assert(threads % Layout::chunks == 0 && Layout::rows % kRowsAtOnce == 0, "every thread copies as much");

  // Which row and chunk of the shared tile a thread fills first.
  __device__ static __forceinline__ int row() { return static_cast<int>(threadIdx.x) / Layout::chunks; }
  __device__ static __forceinline__ int chunk() { return static_cast<int>(threadIdx.x) % Layout::chunks; }
  __device__ __forceinline__ int64_t row_stride() const { return along_sum ? s_.line_stride : s_.sum_stride; }
  __device__ __forceinline__ int64_t column_stride() const { return along_sum ? s_.sum_stride : s_.line_stride; }

  const Source& s_;
  const T* from_;
  int rows_left_, columns_left_;
};

// C in rows `row_stride` apart; the bias of a matrix starts `bias_stride` after that of the one before.
template <class T>
struct MatrixTarget {
  T* data;
  int64_t batch_stride, row_stride, bias_stride;

  struct View {
    T* data;
    int64_t row_stride, rows, steps, bias_column;

    __device__ View(const MatrixTarget& to, int64_t batch, int64_t m, int64_t k)
        : data(to.data + batch * to.batch_stride),
          row_stride(to.row_stride),
          rows(m),
          steps(k),
          bias_column(batch * to.bias_stride) {}
    __device__ __forceinline__ T* row(int64_t r) const { return data + r * row_stride; }
  };
};

// How the lines of an operand are read.
struct Reading {
  Along along;
  bool packs;
};
// `batches` are the matrices' places, `operand` its own in the nest.
template <class T>
Reading reading_of(const T* data, int64_t line_stride, int64_t sum_stride, int64_t lines, int64_t sums,
                   const LoopNest& batches, int operand) {
  constexpr int64_t width = kPack<T>;
  bool aligned = is_aligned(data, kPack<T>);
  for (int d = 0; d < batches.ndim; ++d) aligned = aligned && batches.stride[operand][d] % width == 0;
  const auto fits = [&](int64_t inner, int64_t inner_size, int64_t outer, int64_t outer_size) {
    return (inner == 1 || inner_size == 1) && (outer % width == 0 || outer_size == 1) && inner_size % width == 0;
  };
  if (aligned && fits(sum_stride, sums, line_stride, lines)) return {Along::sum, true};
  if (aligned && fits(line_stride, lines, sum_stride, sums)) return {Along::lines, true};
  const auto distance = [](int64_t stride) { return stride < 0 ? -stride : stride; };
  return {distance(line_stride) < distance(sum_stride) && lines > 1 ? Along::lines : Along::sum, false};
}

}  // namespace tinydl::cuda
