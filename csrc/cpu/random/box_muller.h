// The transform of Box and Muller (1958) on vectors of double. It uses correctly rounded operations only (no
// library function, no fused product), so that every tier and every machine gives the same bits; its error of
// about 1e-12 is far below the rounding of the float32 result.
#pragma once
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

using Double = Vec<double>;
using Bits = Vec<uint64_t>;

// Lanes below 2^52 as double: they become the low bits of the mantissa of 2^52.
TINYDL_INLINE Double to_double(Bits n) {
  return bits_as<double>(n | Bits(uint64_t{0x4330000000000000u})) - Double(4503599627370496.0);
}

// c[0] + c[1] x + ... + c[n - 1] x^(n - 1)
template <int n>
TINYDL_INLINE Double polynomial(Double x, const double (&c)[n]) {
  Double out(c[n - 1]);
  for (int k = n - 2; k >= 0; --k) out = out * x + Double(c[k]);
  return out;
}

// ln(n / 2^32) for whole 1 <= n <= 2^32: n = 2^e m with m about 1, ln m = 2 artanh s, s = (m - 1) / (m + 1).
TINYDL_INLINE Double log_fraction(Double n) {
  constexpr double kSeries[] = {2.0, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15};
  constexpr double kLn2 = 0.6931471805599453;
  const Bits bits = bits_as<uint64_t>(n);
  const Double mantissa =
      bits_as<double>((bits & Bits(uint64_t{0x000fffffffffffffu})) | bits_as<uint64_t>(Double(1.0)));
  const auto large = mantissa > Double(1.4142135623730951);
  const Double m = select(large, mantissa * Double(0.5), mantissa);
  const Double e = to_double(bits >> 52) - Double(1023.0 + 32) + select(large, Double(1.0), Double(0.0));
  const Double s = (m - Double(1.0)) / (m + Double(1.0));
  return e * Double(kLn2) + s * polynomial(s * s, kSeries);
}

// cos and sin of 2 pi k / 2^32 for k < 2^32: k = 2^30 q + r with |r| <= 2^29, and a rotation by q quarters.
TINYDL_INLINE void cos_sin_turn(Bits k, Double& cosine, Double& sine) {
  constexpr double kSin[] = {1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800};
  constexpr double kCos[] = {1.0,         -1.0 / 2,       1.0 / 24,        -1.0 / 720,
                             1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600, -1.0 / 87178291200};
  constexpr double kAngle = 6.283185307179586 / 4294967296.0;
  const Bits q = (k + Bits(uint64_t{1} << 29)) >> 30, one(uint64_t{1}), two(uint64_t{2});
  const Double t = (to_double(k) - to_double(q) * Double(1073741824.0)) * Double(kAngle);
  const Double s = t * polynomial(t * t, kSin), c = polynomial(t * t, kCos);
  const auto odd = (q & one) == one;
  const Bits cos_sign = ((q + one) & two) << 62, sin_sign = (q & two) << 62;
  cosine = bits_as<double>(bits_as<uint64_t>(select(odd, s, c)) ^ cos_sign);
  sine = bits_as<double>(bits_as<uint64_t>(select(odd, c, s)) ^ sin_sign);
}

// Two independent normal numbers from each lane's two words: the lower half gives the radius, the upper the
// angle.
TINYDL_INLINE void box_muller(Bits words, Double& first, Double& second) {
  const Double radius = sqrt(Double(-2.0) * log_fraction(to_double(words & Bits(uint64_t{0xffffffffu})) + Double(1.0)));
  Double cosine, sine;
  cos_sin_turn(words >> 32, cosine, sine);
  first = radius * cosine;
  second = radius * sine;
}

}  // namespace tinydl::TINYDL_TIER
