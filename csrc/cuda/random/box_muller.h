// The transform of Box and Muller (1958) in double, by the operations and in the order of csrc/cpu/random/box_muller.h:
// correctly rounded and never fused, so that a seed gives the same bits on every device.
#pragma once
#include <cstdint>

#include "cuda/device/math.h"

namespace tinydl::cuda {

__device__ __forceinline__ double times(double a, double b) { return __dmul_rn(a, b); }
__device__ __forceinline__ double plus(double a, double b) { return __dadd_rn(a, b); }

__device__ __forceinline__ double double_of_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
__device__ __forceinline__ uint64_t bits_of_double(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

// c[0] + c[1] x + ... + c[n - 1] x^(n - 1)
template <int n>
__device__ __forceinline__ double polynomial(double x, const double (&c)[n]) {
  double out = c[n - 1];
#pragma unroll
  for (int k = n - 2; k >= 0; --k) out = plus(times(out, x), c[k]);
  return out;
}

// ln(n / 2^32) for whole 1 <= n <= 2^32: n = 2^e m with m about 1, ln m = 2 artanh s, s = (m - 1) / (m + 1).
__device__ __forceinline__ double log_fraction(double n) {
  constexpr double series[] = {2.0, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15};
  const uint64_t bits = bits_of_double(n);
  const double mantissa = double_of_bits((bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
  const bool large = mantissa > 1.4142135623730951;
  const double m = large ? times(mantissa, 0.5) : mantissa;
  const double e = static_cast<double>(static_cast<int>(bits >> 52) - (1023 + 32) + (large ? 1 : 0));
  const double s = plus(m, -1.0) / plus(m, 1.0);
  return plus(times(e, 0.6931471805599453), times(s, polynomial(times(s, s), series)));
}

// cos and sin of 2 pi k / 2^32: k = 2^30 q + r with |r| <= 2^29, and a rotation by q quarters.
__device__ __forceinline__ void cos_sin_turn(uint32_t k, double& cosine, double& sine) {
  constexpr double of_sin[] = {1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800};
  constexpr double of_cos[] = {1.0,         -1.0 / 2,       1.0 / 24,        -1.0 / 720,
                               1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600, -1.0 / 87178291200};
  const uint64_t q = (uint64_t(k) + (1u << 29)) >> 30;
  const auto r = static_cast<double>(static_cast<int64_t>(k) - static_cast<int64_t>(q << 30));
  const double t = times(r, 6.283185307179586 / 4294967296.0), square = times(t, t);
  const double s = times(t, polynomial(square, of_sin)), c = polynomial(square, of_cos);
  const bool odd = (q & 1) != 0;
  const uint64_t cos_sign = ((q + 1) & 2) << 62, sin_sign = (q & 2) << 62;
  cosine = double_of_bits(bits_of_double(odd ? s : c) ^ cos_sign);
  sine = double_of_bits(bits_of_double(odd ? c : s) ^ sin_sign);
}

// Two independent normal numbers from two words: the first gives the radius, the second the angle.
__device__ __forceinline__ void box_muller(uint32_t for_radius, uint32_t for_angle, double& first, double& second) {
  const double radius = sqrt_of(times(-2.0, log_fraction(plus(static_cast<double>(for_radius), 1.0))));
  double cosine, sine;
  cos_sin_turn(for_angle, cosine, sine);
  first = times(radius, cosine);
  second = times(radius, sine);
}

}  // namespace tinydl::cuda
