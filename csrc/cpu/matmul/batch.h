// The matrices of a batch by where each starts.
#pragma once
#include "contract/matmul.h"
#include "cpu/runtime/allocator.h"

namespace tinydl::TINYDL_TIER {

template <class T>
struct MatrixBatch {
  const T* data;
  int64_t row_stride, column_stride;
  const int64_t* offsets;  // (batch,), or null for one matrix at data
};

inline int64_t count_of(const LoopNest& batch) {
  int64_t count = 1;
  for (int d = 0; d < batch.ndim; ++d) count *= batch.shape[d];
  return count;
}

// The offsets of every matrix of the first two operands of a nest.
class BatchOffsets {
 public:
  explicit BatchOffsets(const LoopNest& batch)
      : count_(count_of(batch)), memory_(count_ > 1 ? static_cast<size_t>(2 * count_) * sizeof(int64_t) : 0) {
    if (count_ > 1)
      for (int k = 0; k < 2; ++k) expand(batch, k, static_cast<int64_t*>(memory_.data()) + k * count_);
  }
  int64_t count() const { return count_; }
  template <class T>
  MatrixBatch<T> matrices(const MatrixOperand<T>& from, int operand) const {
    const auto* offsets = static_cast<const int64_t*>(memory_.data()) + operand * count_;
    return {from.data, from.row_stride, from.column_stride, count_ > 1 ? offsets : nullptr};
  }

 private:
  // From the innermost axis on, each axis repeats what the inner ones made.
  static void expand(const LoopNest& batch, int operand, int64_t* to) {
    int64_t made = 1;
    to[0] = 0;
    for (int d = batch.ndim - 1; d >= 0; made *= batch.shape[d--])
      for (int64_t i = made; i < made * batch.shape[d]; ++i) to[i] = to[i - made] + batch.stride[operand][d];
  }

  int64_t count_;
  Scratch memory_;
};

}  // namespace tinydl::TINYDL_TIER
