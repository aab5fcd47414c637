// What softmax and cross-entropy do to one row: its maximum, and exponentials with their sum. Sums run in
// vectors of T over chunks, whose totals are added in double. A row is always walked from its start: where it
// lies does not matter.
#pragma once
#include "cpu/runtime/parallel.h"
#include "cpu/simd/integers.h"
#include "cpu/simd/lanes.h"
#include "cpu/simd/math.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kRowChunk = 2048;  // elements summed in T before the total goes to double
constexpr int64_t kRowBlock = 4096;  // elements of a block of rows
constexpr int64_t kExpWork = 4;      // elements copied in the time of one exponential

template <class T>
constexpr T kInfinity = static_cast<T>(__builtin_inf());

// Calls body(first, last) for blocks of rows of n elements, on the threads.
template <class Body>
void for_each_row_block(int64_t rows, int64_t n, const Body& body) {
  const int64_t per_block = n >= kRowBlock ? 1 : kRowBlock / (n > 0 ? n : 1);
  parallel_for((rows + per_block - 1) / per_block, rows * n * kExpWork, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) body(b * per_block, smaller((b + 1) * per_block, rows));
  });
}

// y[i] = f(x[i]...) for i < n.
template <class T, class F, class... X>
TINYDL_INLINE void map_run(int64_t n, T* y, const F& f, const X*... x) {
  using V = Vec<T>;
  int64_t i = 0;
  for (; i + V::size <= n; i += V::size) f(V::load(x + i)...).store(y + i);
  if (i < n) {
    const int rest = static_cast<int>(n - i);
    f(V::load(x + i, rest)...).store(y + i, rest);
  }
}

// The largest of x[0..n); some element where one is NaN, -infinity where n is 0.
template <class T>
TINYDL_INLINE T max_run(const T* x, int64_t n) {
  using V = Vec<T>;
  V best(-kInfinity<T>);
  int64_t i = 0;
  for (; i + V::size <= n; i += V::size) best = max(V::load(x + i), best);
  if (i < n) best = max(load_or(x + i, static_cast<int>(n - i), -kInfinity<T>), best);
  return max_lanes(best);
}

// The sum of term(i, lanes) over the vectors of n elements; lanes is below Vec<T>::size for the last one
// only, and the lanes after it must be zero.
template <class T, class Term>
TINYDL_INLINE double sum_terms(int64_t n, const Term& term) {
  using V = Vec<T>;
  double sum = 0;
  for (int64_t from = 0; from < n; from += kRowChunk) {
    const int64_t to = smaller(from + kRowChunk, n);
    V total(T(0));
    int64_t i = from;
    for (; i + V::size <= to; i += V::size) total = total + term(i, V::size);
    if (i < to) total = total + term(i, static_cast<int>(to - i));
    sum += static_cast<double>(sum_lanes(total));
  }
  return sum;
}

// The logarithm of the smallest normal number.
template <class T>
constexpr T kUnderflow = sizeof(T) == 4 ? T(-87.33654475) : T(-708.3964185322641);

// e^x where it is a normal number.
TINYDL_INLINE Vec<float> exp_of_moderate(Vec<float> x) {
  const ExpParts e = exp_parts(x);
  return scale_by_power(Vec<float>(1.0f) + e.t, e.n);
}
TINYDL_INLINE Vec<double> exp_of_moderate(Vec<double> x) { return exp(x); }

// e^x for x <= 0, or 0 where that would be denormal: beside a row's maximum such terms vanish, and computing them (they
// include every masked logit) would cost 25 times as much as the others.
template <class T>
TINYDL_INLINE Vec<T> exp_or_zero(Vec<T> x) {
  const auto vanishes = x < Vec<T>(kUnderflow<T>);
  return select(vanishes, Vec<T>(T(0)), exp_of_moderate(select(vanishes, Vec<T>(T(0)), x)));
}

// e^(x[i] - shift) for the vector at i; 0 in the lanes after the row's end.
template <class T>
TINYDL_INLINE Vec<T> exp_at(const T* x, int64_t i, int lanes, Vec<T> shift) {
  return exp_or_zero(load_or(x + i, lanes, -kInfinity<T>) - shift);
}

}  // namespace tinydl::TINYDL_TIER
