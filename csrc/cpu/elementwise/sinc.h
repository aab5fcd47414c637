// sinc(x) = sin(pi x) / (pi x) and its derivative on vectors of either type, without the C library.
//
// |x| = n + f with whole n and 0 <= f < 1, r = min(f, 1 - f) <= 1/2, all exact. Then sin(pi |x|) = (-1)^n sin(pi r),
// and with the power series S(r^2) = sinc(r) and D(r^2) = sinc'(r) / r, whose terms shrink fast,
//
//   sinc(x) = (-1)^n r / |x| S(r^2),   cos(pi r) = S(r^2) + r^2 D(r^2),
//   sinc'(x) = (cos(pi x) - sinc(x)) / x, or x D(x^2) for |x| <= 1/2, where the difference would cancel.
//
// So sinc is exactly 0 at whole numbers but 0, and accurate beside them, where pi x as rounded is not.
// Measured on 2800 numbers below 100, on every tier, in units of eps: sinc 1.4 relative, sinc' 3.5 absolute and, for
// |x| <= 1/2, 0.9 relative.
#pragma once
#include "cpu/simd/math.h"

namespace tinydl::TINYDL_TIER {

namespace {

// S(t) = sum of c[k] t^k, c[k] = (-1)^k pi^2k / (2k + 1)!. The first 8 leave less than 2^-31 at t = 1/4, all of them
// less than 2^-60.
constexpr double kSinc[] = {
    1.0,
    -1.6449340668482264,
    0.8117424252833536,
    -0.19075182412208422,
    0.0261478478176548,
    -0.0023460810354558235,
    0.000148428793031071,
    -6.975873661656381e-06,
    2.5312174041370274e-07,
    -7.304711822217775e-09,
    1.7165384749821432e-10,
    -3.3481335350440666e-12,
    5.507458912150965e-14,
};
constexpr int last_term(float) { return 7; }
constexpr int last_term(double) { return 12; }

template <class T>
TINYDL_INLINE Vec<T> sinc_series(Vec<T> t) {
  constexpr int last = last_term(T());
  Vec<T> sum = T(kSinc[last]);
  for (int k = last - 1; k >= 0; --k) sum = fma(sum, t, Vec<T>(T(kSinc[k])));
  return sum;
}

// D(t) = 2 S'(t)
template <class T>
TINYDL_INLINE Vec<T> slope_series(Vec<T> t) {
  constexpr int last = last_term(T());
  Vec<T> sum = T(2 * last * kSinc[last]);
  for (int k = last - 1; k >= 1; --k) sum = fma(sum, t, Vec<T>(T(2 * k * kSinc[k])));
  return sum;
}

// r, and the sign bits of sin(pi |x|) and cos(pi x).
template <class T>
struct HalfTurns {
  using Bits = typename Vec<T>::Mask;
  Vec<T> r;
  Bits sine_sign, cosine_sign;

  // `limit` is even, as every larger number is. |x| - |x| makes r NaN for infinite x.
  explicit TINYDL_INLINE HalfTurns(Vec<T> a) {
    constexpr int sign_bit = 8 * sizeof(T) - 1;
    constexpr T limit = sizeof(T) == 4 ? T(0x1p24) : T(0x1p53);
    const Vec<T> below = min(Vec<T>(limit), a);
    const Bits n = convert<typename VecTypes<T>::Int>(below);
    const Vec<T> f = below - convert<T>(n) + (a - a);
    const Bits up = f > Vec<T>(T(0.5));
    r = select(up, Vec<T>(1) - f, f);
    sine_sign = n << sign_bit;
    cosine_sign = sine_sign ^ (up << sign_bit);
  }
};

template <class T>
TINYDL_INLINE Vec<T> flip(Vec<T> a, typename Vec<T>::Mask sign) {
  return bits_as<T>(bits_as<typename VecTypes<T>::Int>(a) ^ sign);
}

struct Sinc {
  template <class T>
  Vec<T> operator()(Vec<T> x) const {
    const Vec<T> a = magnitude(x);
    const HalfTurns<T> h(a);
    return select(x == Vec<T>(0), Vec<T>(1), flip(h.r, h.sine_sign) / a * sinc_series(h.r * h.r));
  }
};

struct SincBackward {
  template <class T>
  Vec<T> operator()(Vec<T> dy, Vec<T> x) const {
    const Vec<T> a = magnitude(x);
    const HalfTurns<T> h(a);
    const Vec<T> t = h.r * h.r;
    const Vec<T> s = sinc_series(t), d = slope_series(t);
    const Vec<T> far = (flip(s + t * d, h.cosine_sign) - flip(h.r, h.sine_sign) / a * s) / x;
    return dy * select(a <= Vec<T>(T(0.5)), x * d, far);
  }
};

}  // namespace

}  // namespace tinydl::TINYDL_TIER
