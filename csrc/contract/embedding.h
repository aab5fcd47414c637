// Rows of a table w (rows, width) by int64 indices, checked, and not negative.
#pragma once
#include <cstdint>

#include "contract/tables.h"

namespace tinydl {

template <class T>
struct EmbeddingKernels {
  // y[k] = w[index[k]] for k < count
  void (*embedding)(int64_t count, int64_t width, const T* w, const int64_t* index, T* y);

  // dw[j] = sum over the k with index[k] = j, in order, of dy[k], over their number if `by_frequency`; dw[padding] = 0,
  // where padding is -1 for none
  void (*embedding_backward)(int64_t rows, int64_t count, int64_t width, const T* dy, const int64_t* index,
                             int64_t padding, bool by_frequency, T* dw);
};

TINYDL_KERNELS(EmbeddingKernels, embedding)

}  // namespace tinydl
