// Matrix products: C = activation(A B + bias).
#pragma once
#include <cstdint>

#include "contract/tables.h"
#include "core/half.h"

namespace tinydl {

enum class Activation { none, relu, sigmoid, tanh };

// What happens to a finished element of C before it is stored.
template <class T>
struct Epilogue {
  const T* bias = nullptr;  // (n,), added to every row
  Activation activation = Activation::none;
};

// A batch of matrices; strides count elements, and any may be 0 or negative.
template <class T>
struct MatrixBatch {
  const T* data;
  int64_t row_stride, column_stride;
  const int64_t* offsets;  // (batch,): where each matrix starts, or null for one matrix at data
};

template <class T>
struct MatmulKernels {
  // c[b] (m, n) = activation(a[b] (m, k) @ b[b] (k, n) + bias); c is dense and row-major (batch, m, n).
  void (*matmul)(int64_t batch, int64_t m, int64_t n, int64_t k, const MatrixBatch<T>& a, const MatrixBatch<T>& b,
                 const Epilogue<T>& epilogue, T* c);

  // The same of bfloat16 matrices, computed in T and rounded once; null for float64.
  void (*matmul_bfloat16)(int64_t batch, int64_t m, int64_t n, int64_t k, const MatrixBatch<Bfloat16>& a,
                          const MatrixBatch<Bfloat16>& b, const Epilogue<T>& epilogue, Bfloat16* c);
};

TINYDL_PRODUCT_KERNELS(MatmulKernels, matmul)

}  // namespace tinydl
