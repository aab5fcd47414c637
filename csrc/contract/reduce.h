// Reductions of dense arrays seen as (outer, reduce, inner), row-major, and gradients over arrays broadcast to x's
// shape.
#pragma once
#include <cstdint>

#include "contract/tables.h"
#include "core/half.h"
#include "core/loop_nest.h"

namespace tinydl {

template <class T>
struct ReduceKernels {
  // y[o, i] = (sum over r of x[o, r, i]) / divisor. Sums in several steps are wide from the first to the last.
  template <class From, class To>
  using Sum = void(int64_t outer, int64_t reduce, int64_t inner, const From* x, double divisor, To* y);
  Sum<T, T>* sum;
  Sum<T, Wide<T>>* sum_to_wide;
  Sum<Wide<T>, T>* sum_from_wide;

  // y[o, i] = the largest (smallest) x[o, r, i]; NaN where one is NaN. reduce > 0.
  using Extreme = void(int64_t outer, int64_t reduce, int64_t inner, const T* x, T* y);
  Extreme* amax;
  Extreme* amin;

  // mean[o, i] = (sum over r of x[o, r, i]) / reduce, var[o, i] = (sum over r of (x[o, r, i] - mean[o, i])^2) / divisor
  void (*var)(int64_t outer, int64_t reduce, int64_t inner, const T* x, double divisor, T* var, T* mean);

  // dx = f(x, y, g), where y and g are broadcast; the nest's last operand is dx.
  using Gradient = void(const LoopNest&, const T* x, const T* y, const T* g, T* dx);
  Gradient* var_backward;      // (x - y) g: y is the mean, g the gradient times 2 / divisor
  Gradient* extreme_backward;  // x = y ? g : 0 g: y is the extreme, g the gradient divided among the ties
};

TINYDL_KERNELS(ReduceKernels, reduce)

}  // namespace tinydl
