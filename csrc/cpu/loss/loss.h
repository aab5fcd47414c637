// Losses and their gradients, on dense row-major arrays.
#pragma once
#include <cstdint>

#include "cpu/runtime/dispatch.h"

namespace tinydl {

template <class T>
struct LossKernels {
  // Cross-entropy of logits x (rows, classes). All four use m[r] = max_c x[r, c] and s[r] = sum_c e^(x[r, c]
  // - m[r]); the forward kernels write them for the backward ones. Backward, row r is scaled by scale[r *
  // scale_step].

  // loss[r] = log s[r] - (x[r, label[r]] - m[r])
  void (*cross_entropy)(int64_t rows, int64_t classes, const T* x, const int64_t* label, T* loss, T* m, T* s);
  // dx[r, c] = (e^(x[r, c] - m[r]) / s[r] - [c == label[r]]) scale[r]
  void (*cross_entropy_backward)(int64_t rows, int64_t classes, const T* x, const int64_t* label, const T* m,
                                 const T* s, const T* scale, int64_t scale_step, T* dx);

  // loss[r] = mass[r] log s[r] - sum_c t[r, c] (x[r, c] - m[r]),  mass[r] = sum_c t[r, c]
  void (*soft_cross_entropy)(int64_t rows, int64_t classes, const T* x, const T* t, T* loss, T* m, T* s, T* mass);
  // dx[r, c] = (mass[r] e^(x[r, c] - m[r]) / s[r] - t[r, c]) scale[r]
  void (*soft_cross_entropy_backward)(int64_t rows, int64_t classes, const T* x, const T* t, const T* m, const T* s,
                                      const T* mass, const T* scale, int64_t scale_step, T* dx);

  // y = (sum_i (x[i] - t[i])^2) / divisor
  void (*squared_error)(int64_t n, const T* x, const T* t, double divisor, T* y);
  // dx[i] = (x[i] - t[i]) factor
  void (*squared_error_backward)(int64_t n, const T* x, const T* t, T factor, T* dx);
};

TINYDL_KERNELS(LossKernels, loss)

}  // namespace tinydl
