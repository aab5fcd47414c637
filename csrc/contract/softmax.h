// Softmax and its logarithm over the rows of dense row-major matrices.
#pragma once
#include <cstdint>

#include "contract/tables.h"

namespace tinydl {

template <class T>
struct SoftmaxKernels {
  // y[r, i] = e^(x[r, i] - m) / (sum over j < n of e^(x[r, j] - m)),  m = max over j of x[r, j]
  void (*softmax)(int64_t rows, int64_t n, const T* x, T* y);

  // dx[r, i] = y[r, i] (dy[r, i] - sum over j < n of dy[r, j] y[r, j])
  void (*softmax_backward)(int64_t rows, int64_t n, const T* dy, const T* y, T* dx);

  // y[r, i] = x[r, i] - m - log(sum over j < n of e^(x[r, j] - m)),  m = max over j of x[r, j]
  void (*log_softmax)(int64_t rows, int64_t n, const T* x, T* y);

  // dx[r, i] = dy[r, i] - e^y[r, i] (sum over j < n of dy[r, j])
  void (*log_softmax_backward)(int64_t rows, int64_t n, const T* dy, const T* y, T* dx);
};

TINYDL_KERNELS(SoftmaxKernels, softmax)

}  // namespace tinydl
