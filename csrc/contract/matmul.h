// Matrix products: C = activation(A B + bias).
#pragma once
#include <cstdint>

#include "contract/tables.h"
#include "core/half.h"
#include "core/loop_nest.h"

namespace tinydl {

enum class Activation { none, relu, sigmoid, tanh };

// What happens to a finished element of C before it is stored.
template <class T>
struct Epilogue {
  const T* bias = nullptr;  // (n,), added to every row
  Activation activation = Activation::none;
};

// The first matrix of a batch; strides count elements, and any may be 0 or negative.
template <class T>
struct MatrixOperand {
  const T* data;
  int64_t row_stride, column_stride;
};

template <class T>
struct MatmulKernels {
  // c[i] (m, n) = activation(a[i] (m, k) @ b[i] (k, n) + bias) for every i of `batch`, a nest over A, B and C from one
  // matrix to the next; c is dense and row-major (batch, m, n), which the nest's last operand counts in matrices.
  void (*matmul)(const LoopNest& batch, int64_t m, int64_t n, int64_t k, const MatrixOperand<T>& a,
                 const MatrixOperand<T>& b, const Epilogue<T>& epilogue, T* c);

  // The same of bfloat16 matrices, computed in T and rounded once; null but for float32.
  void (*matmul_bfloat16)(const LoopNest& batch, int64_t m, int64_t n, int64_t k, const MatrixOperand<Bfloat16>& a,
                          const MatrixOperand<Bfloat16>& b, const Epilogue<T>& epilogue, Bfloat16* c);
};

TINYDL_PRODUCT_KERNELS(MatmulKernels, matmul)

}  // namespace tinydl
