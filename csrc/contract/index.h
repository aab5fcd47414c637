// Copies whose places are given by indices, masks or paddings. Indices are int64, not negative, and checked beforehand
// unless said otherwise.
#pragma once
#include <cstdint>

#include "contract/tables.h"
#include "core/loop_nest.h"

namespace tinydl {

// Where x lies in a padded y (row-major): y's index i along axis d is x's index i - before[d], if x has it.
struct PadPlan {
  int ndim;  // at least 1
  int64_t shape[kMaxDims], x_shape[kMaxDims], x_stride[kMaxDims], before[kMaxDims];
};

template <class T>
struct IndexKernels {
  // y[o, k, i] = x[o, index[k], i]; x is (outer, size, inner), y (outer, count, inner), both row-major
  void (*take)(int64_t outer, int64_t size, int64_t count, int64_t inner, const T* x, const int64_t* index, T* y);

  // y[o, j, i] = sum over the k with index[k] = j, in order, of dy[o, k, i]; dy is (outer, count, inner)
  void (*take_backward)(int64_t outer, int64_t size, int64_t count, int64_t inner, const T* dy, const int64_t* index,
                        T* y);

  // The next two check the indices as they read them: false where one was out of range (and taken as 0); on a GPU true,
  // where the kernel reports it. The axis has `size` > 0 places.

  // y[p] = x[p but index[p] along the axis]; the nest's operands are x (whose stride along the axis is 0), index, y
  bool (*gather)(const LoopNest& nest, int64_t size, int64_t axis_stride, const T* x, const int64_t* index, T* y);

  // y[p but index[p, k] along the axis] += x[p, k] for k < count, in order; the nest leaves the axis out, its operands
  // are y, index, x, and axis_stride holds their strides along the axis
  bool (*scatter_add)(const LoopNest& nest, int64_t size, int64_t count, const int64_t* axis_stride, T* y,
                      const int64_t* index, const T* x);

  // y[r, i] = x[r, i] for i < n; a row of y lies y_pitch after the one before, x is row-major
  void (*copy_rows)(int64_t rows, int64_t n, const T* x, T* y, int64_t y_pitch);

  // y[p] = x where the plan says, else value
  void (*pad)(const PadPlan& plan, const T* x, T value, T* y);

  // y[p] = mask[p] ? value : x[p]; the nest's operands are x, mask, y
  void (*masked_fill)(const LoopNest& nest, const T* x, const uint8_t* mask, T value, T* y);
};

TINYDL_KERNELS(IndexKernels, index)

}  // namespace tinydl
