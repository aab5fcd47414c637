// Vector exp, log, tanh, sigmoid and erf, and expm1 and log1p made of the same parts.
//
// Vec<float>: branch-free, without tables, denormals included. Each reduces its argument by exact steps (Cody and
// Waite, Software Manual for the Elementary Functions, 1980) and ends in a polynomial whose coefficients are minimax
// fits of the Remez exchange algorithm, rounded to float one after the other with a new fit of the rest. Measured: the
// largest error over all 2^32 inputs, in ulp (units in the last place of the exact result), and the time on one core
// of a Xeon (Sapphire Rapids) with the data in its L1 cache.
//
//              largest error in ulp          ns per element
//             portable   avx2  avx512     portable  avx2  avx512
//   exp         0.99     1.01   1.01        1.45    0.39   0.17
//   log         0.99     0.96   0.96        1.84    0.64   0.23
//   tanh        1.24     1.23   1.23        2.20    0.69   0.39
//   sigmoid     1.75     1.69   1.69        1.81    0.60   0.33
//   erf         1.11     1.03   1.03        2.98    0.82   0.44
//
// Variants tried: pairs of terms (Estrin) instead of Horner's rule win at most 7 % on avx512, lose 6 % on avx2 and cost
// accuracy; in tanh a reciprocal estimate with a Newton step is no faster than the division.
//
// Vec<double>: the C library, lane by lane.
#pragma once
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

// ln 2 in two parts. The first has 15 bits: its product with an integer below 2^9 is exact on every tier.
constexpr float kLn2High = 0x1.62e4p-1f;
constexpr float kLn2Low = 0x1.7f7d1cp-20f;

// vec_avx512.h has instructions for these two.
#if !defined(TINYDL_TIER_avx512)
// a * 2^n for whole n, -252 <= n <= 254: two factors of about 2^(n/2), of which only the second can round.
TINYDL_INLINE Vec<float> scale_by_power(Vec<float> a, Vec<float> n) {
  const Vec<int32_t> biased = convert<int32_t>(n + Vec<float>(2 * 127.0f));
  const Vec<int32_t> half = biased >> 1;
  return a * bits_as<float>(half << 23) * bits_as<float>((biased - half) << 23);
}

// x = m * 2^k, 0.75 <= m < 1.5. Zero has k = -inf and infinity k = inf (both m = 1); x < 0 and NaN: m = NaN.
TINYDL_INLINE void split_power(Vec<float> x, Vec<float>& m, Vec<float>& k) {
  const Vec<float> zero(0.0f), infinity(__builtin_inff());
  const Vec<int32_t> denormal = x < Vec<float>(0x1p-126f);
  const Vec<int32_t> bits = bits_as<int32_t>(select(denormal, x * Vec<float>(0x1p23f), x));
  const Vec<int32_t> power = (bits - bits_as<int32_t>(Vec<float>(0.75f))) >> 23;
  m = select(x >= zero, bits_as<float>(bits - (power << 23)), Vec<float>(__builtin_nanf("")));
  k = convert<float>(power - (denormal & Vec<int32_t>(23)));
  k = select(x == zero, -infinity, select(x == infinity, infinity, k));
}
#endif

// c[0] + c[1] x + c[2] x^2 + ... by Horner's rule.
template <int N>
TINYDL_INLINE Vec<float> polynomial(Vec<float> x, const float (&c)[N]) {
  Vec<float> sum(c[N - 1]);
  for (int i = N - 2; i >= 0; --i) sum = fma(sum, x, Vec<float>(c[i]));
  return sum;
}

TINYDL_INLINE Vec<float> magnitude(Vec<float> x) {
  return bits_as<float>(bits_as<int32_t>(x) & Vec<int32_t>(INT32_MAX));
}
TINYDL_INLINE Vec<double> magnitude(Vec<double> x) {
  return bits_as<double>(bits_as<int64_t>(x) & Vec<int64_t>(INT64_MAX));
}
// The sign of `sign` on a, which has none.
TINYDL_INLINE Vec<float> with_sign(Vec<float> a, Vec<float> sign) {
  return bits_as<float>(bits_as<int32_t>(a) | (bits_as<int32_t>(sign) & Vec<int32_t>(INT32_MIN)));
}

// e^x = 2^n (1 + t) for |x| < 200, with a whole n and -0.3 < t < 0.42.
//
// n = x / ln 2 to the nearest integer (adding 1.5 * 2^23 leaves no fraction), r = x - n ln 2, |r| < 0.3475,
// and t = e^r - 1 = r + r^2 q(r) with an error below 2^-28.1 e^r. t carries more bits than 1 + t would.
struct ExpParts {
  Vec<float> n, t;
};
TINYDL_INLINE ExpParts exp_parts(Vec<float> x) {
  constexpr float q[] = {0x1.fffffcp-2f, 0x1.55548ap-3f, 0x1.55585p-5f, 0x1.123ec2p-7f, 0x1.6ac314p-10f};
  const Vec<float> round(0x1.8p23f);
  const Vec<float> n = fma(x, Vec<float>(0x1.715476p0f), round) - round;
  const Vec<float> r = fma(n, Vec<float>(-kLn2Low), fma(n, Vec<float>(-kLn2High), x));
  return {n, fma(r * r, polynomial(r, q), r)};
}

// e^x = 2^n (1 + t). The limits lie where the result is infinite or 0 in any case; they let a NaN through.
TINYDL_INLINE Vec<float> exp(Vec<float> x) {
  const ExpParts e = exp_parts(max(Vec<float>(-104.0f), min(Vec<float>(89.0f), x)));
  return scale_by_power(Vec<float>(1.0f) + e.t, e.n);
}

// ln x = k ln 2 + ln(1 + f), x = 2^k (1 + f), -0.25 <= f < 0.5, and ln(1 + f) = f + f^2 q(f) with a relative
// error below 2^-28. At zero and infinity k is infinite and makes the result so.
TINYDL_INLINE Vec<float> log(Vec<float> x) {
  constexpr float q[] = {-0x1.fffffep-2f, 0x1.555554p-2f,  -0x1.000128p-2f, 0x1.999d7p-3f,   -0x1.54fa7p-3f,
                         0x1.23a52ep-3f,  -0x1.04a63ap-3f, 0x1.eb8786p-4f,  -0x1.8f2046p-4f, 0x1.551536p-5f};
  Vec<float> m, k;
  split_power(x, m, k);
  const Vec<float> f = m - Vec<float>(1.0f);
  const Vec<float> tail = fma(k, Vec<float>(kLn2Low), f * f * polynomial(f, q));
  return fma(k, Vec<float>(kLn2High), f + tail);
}

// e^x - 1 = 2^n t + (2^n - 1), in which nothing cancels; from 1 on the 1 is subtracted from e^x, which reaches further.
TINYDL_INLINE Vec<float> expm1(Vec<float> x) {
  const Vec<float> one(1.0f);
  const ExpParts e = exp_parts(max(Vec<float>(-104.0f), min(one, x)));
  const Vec<float> w = scale_by_power(one, e.n);
  return select(x > one, exp(x) - one, fma(w, e.t, w - one));
}

// ln(1 + x) = ln w + (x - (w - 1)) / w with w = 1 + x as rounded: what the sum lost comes back.
TINYDL_INLINE Vec<float> log1p(Vec<float> x) {
  const Vec<float> one(1.0f);
  const Vec<float> w = one + x;
  const Vec<float> lost = x - (w - one);
  const Vec<int32_t> whole = (w == Vec<float>(0.0f)) | (w > Vec<float>(0x1p64f));
  return select(whole, log(w), log(w) + lost / w);
}

// sigmoid(x) = 1 / (1 + e^-x) = y for x < 0 and 1 - y for x >= 0. With e^|x| = 2^n (1 + t) and w = 2^-n,
//
//   y = 1 / (1 + e^|x|) = w / (1 + w + t):
//
// the sum cannot overflow, and it is rounded once, because what 1 + w rounds away is added to t. The factor w
// comes after the division, so that a denormal y has every bit. From |x| = 104 on y rounds to 0.
TINYDL_INLINE Vec<float> sigmoid(Vec<float> x) {
  const Vec<float> one(1.0f);
  const ExpParts e = exp_parts(min(Vec<float>(104.0f), magnitude(x)));
  const Vec<float> w = scale_by_power(one, -e.n);
  const Vec<float> sum = one + w;
  const Vec<float> rest = w - (sum - one);
  const Vec<float> y = scale_by_power(one / (sum + (e.t + rest)), -e.n);
  return select(x < Vec<float>(0.0f), y, one - y);
}

// tanh x is tanh a, a = |x|, with the sign of x. Below 0.6: a + a^3 p(a^2) with a relative error below
// 2^-28.4. From 0.6 on: 1 - 2 / (1 + e^2a) = 1 - 2w / (1 + w + t), e^2a = 2^n (1 + t), w = 2^-n; 1 from a
// = 9.02 on.
TINYDL_INLINE Vec<float> tanh(Vec<float> x) {
  constexpr float p[] = {-0x1.55553ep-2f, 0x1.1109bep-3f, -0x1.b89ab8p-5f, 0x1.54c3c4p-6f, -0x1.828788p-8f};
  const Vec<float> one(1.0f);
  const Vec<float> a = min(Vec<float>(10.0f), magnitude(x));
  const Vec<float> a2 = a * a;
  const Vec<float> below = fma(a * a2, polynomial(a2, p), a);
  const ExpParts e = exp_parts(a + a);
  const Vec<float> w2 = scale_by_power(Vec<float>(2.0f), -e.n);
  const Vec<float> above = one - w2 / (fma(Vec<float>(0.5f), w2, one) + e.t);
  return with_sign(select(a < Vec<float>(0.6f), below, above), x);
}

// erf x = 2 pi^(-1/2) (integral of e^(-s^2) from 0 to x) is erf a, a = |x|, with the sign of x. Below
// 0.84375: a + a p(a^2) with a relative error below 2^-27.1. From there on: 1 - e^-s(a) = 1 - w - w t, where
// s(a), a fit of the smooth -ln(1 - erf a), costs less than 2^-28.7 of erf, e^-s = 2^n (1 + t), w = 2^n; 1
// from a = 3.92 on.
TINYDL_INLINE Vec<float> erf(Vec<float> x) {
  constexpr float p[] = {0x1.06eba8p-3f,  -0x1.812726p-2f, 0x1.ce256ap-4f,
                         -0x1.b735eap-6f, 0x1.4b7630p-8f,  -0x1.4cd860p-11f};
  constexpr float s[] = {0x1.89fe62p-14f, 0x1.20cbap+0f,  0x1.45db24p-1f,  0x1.ac71b8p-4f,
                         -0x1.719128p-6f, 0x1.99f1d2p-9f, -0x1.ad4daap-13f};
  const Vec<float> one(1.0f);
  const Vec<float> a = min(Vec<float>(4.0f), magnitude(x));
  const Vec<float> below = fma(a, polynomial(a * a, p), a);
  const ExpParts e = exp_parts(-polynomial(a, s));
  const Vec<float> w = scale_by_power(one, e.n);
  const Vec<float> above = fma(-w, e.t, one - w);
  return with_sign(select(a < Vec<float>(0.84375f), below, above), x);
}

// f(x) for every lane.
template <class F>
TINYDL_INLINE Vec<double> map_lanes(Vec<double> x, F f) {
  for (int i = 0; i < Vec<double>::size; ++i) x.v[i] = f(x.v[i]);
  return x;
}

TINYDL_INLINE Vec<double> exp(Vec<double> x) {
  return map_lanes(x, [](double a) { return __builtin_exp(a); });
}
TINYDL_INLINE Vec<double> expm1(Vec<double> x) {
  return map_lanes(x, [](double a) { return __builtin_expm1(a); });
}
TINYDL_INLINE Vec<double> log1p(Vec<double> x) {
  return map_lanes(x, [](double a) { return __builtin_log1p(a); });
}
TINYDL_INLINE Vec<double> log(Vec<double> x) {
  return map_lanes(x, [](double a) { return __builtin_log(a); });
}
TINYDL_INLINE Vec<double> tanh(Vec<double> x) {
  return map_lanes(x, [](double a) { return __builtin_tanh(a); });
}
TINYDL_INLINE Vec<double> erf(Vec<double> x) {
  return map_lanes(x, [](double a) { return __builtin_erf(a); });
}
// 1 / (1 + e) for x >= 0 and e / (1 + e) for x < 0, e = e^-|x|, which cannot overflow.
TINYDL_INLINE Vec<double> sigmoid(Vec<double> x) {
  return map_lanes(x, [](double a) {
    const double e = __builtin_exp(-__builtin_fabs(a));
    return (a < 0 ? e : 1.0) / (1.0 + e);
  });
}

}  // namespace tinydl::TINYDL_TIER
