// Variances in two passes: the mean m, then with d = x - m the sums of d^2 and of d, whose square takes out what the
// rounding of m adds: sum of (x - mean)^2 = sum of d^2 - (sum of d)^2 / n. Chunks and partial sums are those of sums.
#pragma once
#include "cpu/reduce/sum.h"

namespace tinydl::TINYDL_TIER {

namespace {

// total[0] = sum of d, total[1] = sum of d^2, where d = x - shift.
template <class T>
void deviations_of_run(const T* x, int64_t n, T shift, double* total) {
  using V = Vec<T>;
  V first[2] = {V(T(0)), V(T(0))}, second[2] = {V(T(0)), V(T(0))};
  const auto add = [&](V d, int k) {
    first[k] = first[k] + d;
    second[k] = fma(d, d, second[k]);
  };
  int64_t i = 0;
  for (; i + 2 * V::size <= n; i += 2 * V::size)
    for (int k = 0; k < 2; ++k) add(V::load(x + i + k * V::size) - V(shift), k);
  for (; i < n; i += V::size) {
    const int lanes = static_cast<int>(smaller(V::size, n - i));
    add(select(first_lanes<T>(lanes), load_first(x + i, lanes) - V(shift), V(T(0))), 0);
  }
  total[0] = static_cast<double>(sum_lanes(first[0] + first[1]));
  total[1] = static_cast<double>(sum_lanes(second[0] + second[1]));
}

// The same for each i < n: total[i] and total[n + i] from x[r, i] - shift[i] over r < rows.
template <class T>
void deviations_of_rows(const T* x, int64_t rows, int64_t n, const T* shift, T* total) {
  using V = Vec<T>;
  for (int64_t i = 0; i < n; i += V::size) {
    const int lanes = static_cast<int>(smaller(V::size, n - i));
    const V centre = load_first(shift + i, lanes);
    V first(T(0)), second(T(0));
    for (int64_t r = 0; r < rows; ++r) {
      const V d = load_first(x + r * n + i, lanes) - centre;
      first = first + d;
      second = fma(d, d, second);
    }
    store_first(first, total + i, lanes);
    store_first(second, total + n + i, lanes);
  }
}

TINYDL_INLINE double variance_of(double first, double second, int64_t n, double divisor) {
  const double squares = second - first * first / static_cast<double>(n);
  return (squares < 0 ? 0 : squares) / divisor;
}

// The reduced axis is innermost: x is (outer, reduce), var and mean are (outer,).
template <class T>
void var_inner(int64_t outer, int64_t reduce, const T* x, double divisor, T* var, const T* mean) {
  const int64_t chunks = run_chunks(reduce);
  Scratch scratch(static_cast<size_t>(outer * chunks) * 2 * sizeof(double));
  double* partial = static_cast<double*>(scratch.data());
  for_each_chunk(outer, chunks, outer * reduce, [=](int64_t o, int64_t c) {
    const int64_t from = c * kRunElements;
    deviations_of_run(x + o * reduce + from, smaller(kRunElements, reduce - from), mean[o],
                      partial + (o * chunks + c) * 2);
  });
  for (int64_t o = 0; o < outer; ++o) {
    const double* p = partial + o * chunks * 2;
    var[o] = static_cast<T>(variance_of(sum_partials(p, chunks, 2), sum_partials(p + 1, chunks, 2), reduce, divisor));
  }
}

// The kept axis is innermost: x is (outer, reduce, inner), var and mean are (outer, inner).
template <class T>
void var_outer(int64_t outer, int64_t reduce, int64_t inner, const T* x, double divisor, T* var, const T* mean) {
  const int64_t rows = chunk_rows(inner);
  const int64_t chunks = reduce == 0 ? 1 : div_up(reduce, rows);
  Scratch scratch(static_cast<size_t>(outer * chunks * inner) * 2 * sizeof(T));
  T* partial = static_cast<T*>(scratch.data());
  for_each_chunk(outer, chunks, outer * reduce * inner, [=](int64_t o, int64_t c) {
    deviations_of_rows(x + (o * reduce + c * rows) * inner, smaller(rows, reduce - c * rows), inner, mean + o * inner,
                       partial + (o * chunks + c) * 2 * inner);
  });
  for_each_chunk(outer, 1, outer * chunks * inner * 2, [=](int64_t o, int64_t) {
    const T* p = partial + o * chunks * 2 * inner;
    for (int64_t i = 0; i < inner; ++i)
      var[o * inner + i] = static_cast<T>(variance_of(sum_partials(p + i, chunks, 2 * inner),
                                                      sum_partials(p + inner + i, chunks, 2 * inner), reduce, divisor));
  });
}

template <class T>
void var(int64_t outer, int64_t reduce, int64_t inner, const T* x, double divisor, T* var, T* mean) {
  sum(outer, reduce, inner, x, static_cast<double>(reduce), mean);
  if (inner == 1)
    var_inner(outer, reduce, x, divisor, var, mean);
  else if (inner > 1)
    var_outer(outer, reduce, inner, x, divisor, var, mean);
}

}  // namespace

}  // namespace tinydl::TINYDL_TIER
