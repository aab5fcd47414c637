// sinc(x) = sin(pi x) / (pi x) and its derivative. CUDA's sinpi and cospi take the sine of pi x exactly as real
// arithmetic defines it, so that sinc is 0 at whole numbers; the emulation reduces x to at most half a turn, which is
// exact, and uses the C library. The derivative (cos(pi x) - sinc(x)) / x cancels near 0: there it is x times a power
// series in x^2.
#pragma once
#include "cuda/device/math.h"

namespace tinydl::cuda {

#ifdef __CUDACC__
// clang-format off
__device__ __forceinline__ float sin_pi(float x) { return sinpif(x); }
__device__ __forceinline__ double sin_pi(double x) { return sinpi(x); }
__device__ __forceinline__ float cos_pi(float x) { return cospif(x); }
__device__ __forceinline__ double cos_pi(double x) { return cospi(x); }
// clang-format on
#else
template <class W>
W sin_pi(W x) {
  const W r = std::remainder(x, W(2));  // in [-1, 1], exactly
  if (r == 1 || r == -1) return 0;
  return static_cast<W>(std::sin(3.14159265358979323846L * r));
}
template <class W>
W cos_pi(W x) {
  return static_cast<W>(std::cos(3.14159265358979323846L * std::remainder(x, W(2))));
}
#endif

struct Sinc {
  template <class W>
  __device__ W operator()(W x) const {
    return x == 0 ? W(1) : sin_pi(x) / (W(3.14159265358979323846) * x);
  }
};

struct SincBackward {
  template <class W>
  __device__ W operator()(W dy, W x) const {
    if (!(abs_of(x) <= W(0.5))) return dy * (cos_pi(x) - Sinc()(x)) / x;
    // sinc'(x) / x = sum over k >= 1 of 2k (-1)^k pi^2k / (2k + 1)! x^(2k - 2)
    constexpr double series[] = {-3.289868133696453,     3.246969701133414,      -1.144510944732505,
                                 0.20918278254123832,    -0.023460810354558225,  0.001781145516372851,
                                 -9.766223126318928e-05, 4.049947846619241e-06,  -1.3148481279991983e-07,
                                 3.433076949964284e-09,  -7.365893777096939e-11, 1.3217901389162304e-12};
    const W t = x * x;
    W sum = W(series[11]);
    for (int k = 10; k >= 0; --k) sum = fma_of(sum, t, W(series[k]));
    return dy * x * sum;
  }
};

}  // namespace tinydl::cuda
