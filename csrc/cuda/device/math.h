// Arithmetic on elements: 16-bit numbers are computed with as float32.
#pragma once
#include <cmath>
#include <cstdint>

#include "core/half.h"
#include "cuda/runtime/device.h"

namespace tinydl::cuda {

template <class T>
__device__ __forceinline__ Wide<T> widen(T x) {
  return static_cast<Wide<T>>(x);
}

template <class W>
constexpr W kInfinity = static_cast<W>(__builtin_huge_val());

// Not std::max: NaN where either is.
template <class W>
__device__ __forceinline__ W larger(W a, W b) {
  return a > b || a != a ? a : b;
}
template <class W>
__device__ __forceinline__ W smaller(W a, W b) {
  return a < b || a != a ? a : b;
}

// clang-format off
__device__ __forceinline__ float exp_of(float x) { return expf(x); }
__device__ __forceinline__ double exp_of(double x) { return exp(x); }
__device__ __forceinline__ float expm1_of(float x) { return expm1f(x); }
__device__ __forceinline__ double expm1_of(double x) { return expm1(x); }
__device__ __forceinline__ float log_of(float x) { return logf(x); }
__device__ __forceinline__ double log_of(double x) { return log(x); }
__device__ __forceinline__ float log1p_of(float x) { return log1pf(x); }
__device__ __forceinline__ double log1p_of(double x) { return log1p(x); }
__device__ __forceinline__ float sqrt_of(float x) { return sqrtf(x); }
__device__ __forceinline__ double sqrt_of(double x) { return sqrt(x); }
__device__ __forceinline__ float erf_of(float x) { return erff(x); }
__device__ __forceinline__ double erf_of(double x) { return erf(x); }
__device__ __forceinline__ float tanh_of(float x) { return tanhf(x); }
__device__ __forceinline__ double tanh_of(double x) { return tanh(x); }
__device__ __forceinline__ float abs_of(float x) { return fabsf(x); }
__device__ __forceinline__ double abs_of(double x) { return fabs(x); }
__device__ __forceinline__ float fma_of(float a, float b, float c) { return fmaf(a, b, c); }
__device__ __forceinline__ double fma_of(double a, double b, double c) { return fma(a, b, c); }
// clang-format on

template <class W>
__device__ __forceinline__ W sigmoid_of(W x) {
  return W(1) / (W(1) + exp_of(-x));
}

}  // namespace tinydl::cuda
