// Reductions of dense arrays seen as (outer, reduce, inner), row-major.
#pragma once
#include <cstdint>

#include "cpu/runtime/dispatch.h"

namespace tinydl {

template <class T>
struct ReduceKernels {
  // y[o, i] = (sum over r of x[o, r, i]) / divisor
  void (*sum)(int64_t outer, int64_t reduce, int64_t inner, const T* x, T divisor, T* y);
};

TINYDL_KERNELS(ReduceKernels, reduce)

}  // namespace tinydl
