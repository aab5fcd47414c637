// Sums in two steps that depend on the shape alone: chunks of the reduced axis are summed in vectors of T, then the
// chunks' partial sums are added in double. The error of a float sum grows with the chunk's length, not the array's.
#pragma once
#include "cpu/reduce/chunks.h"

namespace tinydl::TINYDL_TIER {

namespace {

constexpr int64_t kMergeColumns = 64;

// The sum of x[0..n).
template <class T>
double sum_run(const T* x, int64_t n) {
  using V = Vec<T>;
  V total[4] = {V(T(0)), V(T(0)), V(T(0)), V(T(0))};
  int64_t i = 0;
  for (; i + 4 * V::size <= n; i += 4 * V::size)
    for (int k = 0; k < 4; ++k) total[k] = total[k] + V::load(x + i + k * V::size);
  for (; i < n; i += V::size) total[0] = total[0] + V::load(x + i, static_cast<int>(smaller(V::size, n - i)));
  return static_cast<double>(sum_lanes((total[0] + total[1]) + (total[2] + total[3])));
}

// y[i] = sum over r < rows of x[r, i], for the columns of K vectors; all lanes, or for one vector the first `lanes`.
template <int K, class T>
TINYDL_INLINE void sum_columns(const T* x, int64_t rows, int64_t n, T* y, int lanes) {
  using V = Vec<T>;
  V total[K];
  for (int k = 0; k < K; ++k) total[k] = V(T(0));
  for (int64_t r = 0; r < rows; ++r)
    for (int k = 0; k < K; ++k) total[k] = total[k] + load_first(x + r * n + k * V::size, lanes);
  for (int k = 0; k < K; ++k) store_first(total[k], y + k * V::size, lanes);
}

// y[i] = sum over r < rows of x[r, i], for i < n. A few vectors at a time: neighbouring lines, independent sums.
template <class T>
void sum_rows(const T* x, int64_t rows, int64_t n, T* y) {
  constexpr int size = Vec<T>::size;
  int64_t i = 0;
  for (; i + 4 * size <= n; i += 4 * size) sum_columns<4>(x + i, rows, n, y + i, size);
  for_channels<T>(n - i, [=](int64_t c, int lanes) { sum_columns<1>(x + i + c, rows, n, y + i + c, lanes); });
}

// Adds up `count` partial sums that lie `stride` apart.
template <class P>
double sum_partials(const P* p, int64_t count, int64_t stride) {
  double total = 0;
  for (int64_t c = 0; c < count; ++c) total += static_cast<double>(p[c * stride]);
  return total;
}

// The reduced axis is innermost: x is (outer, reduce), y is (outer,).
template <class T>
void sum_inner(int64_t outer, int64_t reduce, const T* x, double divisor, T* y) {
  const int64_t chunks = run_chunks(reduce);
  Scratch scratch(static_cast<size_t>(outer * chunks) * sizeof(double));
  double* partial = static_cast<double*>(scratch.data());
  parallel_for(outer * chunks, outer * reduce, [=](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t from = (b % chunks) * kRunElements;
      partial[b] = sum_run(x + (b / chunks) * reduce + from, smaller(kRunElements, reduce - from));
    }
  });
  for (int64_t o = 0; o < outer; ++o) y[o] = static_cast<T>(sum_partials(partial + o * chunks, chunks, 1) / divisor);
}

// y[o, i] = sum over the chunks c of partial[o, c, i], over the divisor: row after row, for some columns at a time.
template <class T>
void merge_chunks(int64_t outer, int64_t chunks, int64_t inner, const T* partial, double divisor, T* y) {
  const int64_t stretches = div_up(inner, kMergeColumns);
  parallel_for(outer * stretches, outer * chunks * inner, [=](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t o = b / stretches, from = b % stretches * kMergeColumns, n = smaller(kMergeColumns, inner - from);
      double total[kMergeColumns] = {};
      for (int64_t c = 0; c < chunks; ++c) {
        const T* row = partial + (o * chunks + c) * inner + from;
        for (int64_t i = 0; i < n; ++i) total[i] += static_cast<double>(row[i]);
      }
      for (int64_t i = 0; i < n; ++i) y[o * inner + from + i] = static_cast<T>(total[i] / divisor);
    }
  });
}

// The kept axis is innermost: x is (outer, reduce, inner), y is (outer, inner).
template <class T>
void sum_outer(int64_t outer, int64_t reduce, int64_t inner, const T* x, double divisor, T* y) {
  const int64_t rows = chunk_rows(inner);
  const int64_t chunks = reduce == 0 ? 1 : div_up(reduce, rows);
  Scratch scratch(static_cast<size_t>(outer * chunks * inner) * sizeof(T));
  T* partial = static_cast<T*>(scratch.data());
  parallel_for(outer * chunks, outer * reduce * inner, [=](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t from = (b % chunks) * rows;
      sum_rows(x + ((b / chunks) * reduce + from) * inner, smaller(rows, reduce - from), inner, partial + b * inner);
    }
  });
  merge_chunks(outer, chunks, inner, partial, divisor, y);
}

template <class T>
void sum(int64_t outer, int64_t reduce, int64_t inner, const T* x, double divisor, T* y) {
  if (inner == 1)
    sum_inner(outer, reduce, x, divisor, y);
  else if (inner > 1)
    sum_outer(outer, reduce, inner, x, divisor, y);
}

}  // namespace

}  // namespace tinydl::TINYDL_TIER
