// Rows that each have their statistics. A row is read from memory once: what follows its sums finds it in cache.
// The gradients of weight and bias are summed over blocks of kRowsPerBlock rows in T, then over blocks in double.
#pragma once
#include "cpu/norm/chunks.h"
#include "cpu/norm/split.h"
#include "cpu/runtime/allocator.h"

namespace tinydl::TINYDL_TIER {

namespace {

constexpr int64_t kRowsPerBlock = 32;
constexpr int kRowsAtOnce = 4;          // share a look at the sums of dw and db; 2: up to 2x slower at n = 16384
constexpr int64_t kRunElements = 2048;  // summed in T before the total goes to double
constexpr int64_t kMergeColumns = 256;

// Two sums over i < n of what terms(vector, i, a, b) gives for the lanes from i; dead lanes must be zero.
template <class T, class Terms>
TINYDL_INLINE void sum_run(int64_t n, const Terms& terms, double& first, double& second) {
  using V = Vec<T>;
  constexpr Stretch<T, 1, false> whole{0};
  first = second = 0;
  for (int64_t from = 0; from < n; from += kRunElements) {
    const int64_t to = smaller(from + kRunElements, n);
    V a[4] = {V(T(0)), V(T(0)), V(T(0)), V(T(0))}, b[4] = {V(T(0)), V(T(0)), V(T(0)), V(T(0))}, u, v;
    int64_t i = from;
    for (; i + 4 * V::size <= to; i += 4 * V::size)
      for (int k = 0; k < 4; ++k) {
        terms(whole, i + k * V::size, u, v);
        a[k] = a[k] + u, b[k] = b[k] + v;
      }
    for (; i < to; i += V::size) {
      if (i + V::size <= to)
        terms(whole, i, u, v);
      else
        terms(Stretch<T, 1, true>{static_cast<int>(to - i)}, i, u, v);
      a[0] = a[0] + u, b[0] = b[0] + v;
    }
    first += static_cast<double>(sum_lanes((a[0] + a[1]) + (a[2] + a[3])));
    second += static_cast<double>(sum_lanes((b[0] + b[1]) + (b[2] + b[3])));
  }
}

// Calls body(vector, i) for vectors that together are [0, n).
template <class T, class Body>
TINYDL_INLINE void for_each_vector(int64_t n, const Body& body) {
  constexpr int size = Vec<T>::size;
  int64_t i = 0;
  for (; i + size <= n; i += size) body(Stretch<T, 1, false>{0}, i);
  if (i < n) body(Stretch<T, 1, true>{static_cast<int>(n - i)}, i);
}

// Deviations from a first estimate of the mean, whose rounding the second sum corrects.
template <class T>
void row_moments(const T* x, int64_t n, bool centered, double& mean, double& var) {
  using V = Vec<T>;
  const auto count = static_cast<double>(n);
  double sum = 0, squares = 0;
  T pivot = 0;
  if (centered) {
    sum_run<T>(
        n,
        [=](auto vector, int64_t i, V& a, V& b) {
          a = vector.load(x + i, 0);
          b = V(T(0));
        },
        sum, squares);
    pivot = static_cast<T>(sum / count);
  }
  sum_run<T>(
      n,
      [=](auto vector, int64_t i, V& a, V& b) {
        a = vector.load(x + i, 0) - V(pivot);
        a = vector.keep(a);
        b = a * a;
      },
      sum, squares);
  mean = centered ? static_cast<double>(pivot) + sum / count : 0;
  var = (centered ? squares - sum * sum / count : squares) / count;
}

// z = (x - high) r + offset
template <class T>
struct Standardise {
  Vec<T> high, r, offset;

  Standardise() = default;
  Standardise(double mean, double var, double eps) {
    const Split<T> split(mean);
    const double scale = reciprocal_deviation(var, eps);
    high = Vec<T>(split.high);
    r = Vec<T>(static_cast<T>(scale));
    offset = Vec<T>(static_cast<T>(-split.low * scale));
  }
  TINYDL_INLINE Vec<T> operator()(Vec<T> x) const { return fma(x - high, r, offset); }
};

// Calls body(first row, last row, block) for blocks of rows.
template <class Body>
void for_each_block(const NormRows& g, const Body& body) {
  parallel_for(div_up(g.rows, kRowsPerBlock), 4 * g.rows * g.n, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) body(b * kRowsPerBlock, smaller((b + 1) * kRowsPerBlock, g.rows), b);
  });
}

template <class T>
void row_norm(const NormRows& g, const T* x, double eps, const T* w, const T* b, Moments m, T* y) {
  using V = Vec<T>;
  const bool past = are_written_past(g.rows, g.n, y);
  parallel_for(g.rows, 4 * g.rows * g.n, [=](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const T* from = x + row * g.n;
      T* to = y + row * g.n;
      row_moments(from, g.n, g.centered, m.mean[row], m.var[row]);
      const Standardise<T> standardise(m.mean[row], m.var[row], eps);
      for_each_vector<T>(g.n, [=](auto vector, int64_t i) {
        if (past) __builtin_prefetch(from + g.n + i);  // the next row, which is else asked for only by its first sum
        V z = standardise(vector.load(from + i, 0));
        if (w) z = z * vector.load(w + i, 0);
        if (b) z = z + vector.load(b + i, 0);
        vector.store(z, to + i, 0, past);
      });
    }
    if (past) stream_fence();
  });
}

// The factors of dx = (g r + z slope) + shift, with g = dy w, of one row.
template <class T>
struct RowGradient {
  Standardise<T> standardise;
  Vec<T> shift, slope;

  RowGradient() = default;
  RowGradient(const NormRows& g, const T* dy, const T* x, double mean, double var, double eps, const T* w, bool wanted)
      : standardise(mean, var, eps), shift(T(0)), slope(T(0)) {
    using V = Vec<T>;
    if (!wanted) return;
    const Standardise<T> to_z = standardise;
    double plain = 0, moment = 0;  // the sums of g and of g z
    sum_run<T>(
        g.n,
        [=](auto vector, int64_t i, V& a, V& b) {
          a = vector.load(dy + i, 0);
          if (w) a = a * vector.load(w + i, 0);
          b = a * to_z(vector.load(x + i, 0));
        },
        plain, moment);
    const double r = reciprocal_deviation(var, eps) / static_cast<double>(g.n);
    if (g.centered) shift = V(static_cast<T>(-r * plain));
    slope = V(static_cast<T>(-r * moment));
  }
};

// dx of `count` rows, and their part of the block's dw and db (unless null).
template <class T, int count>
void rows_backward(const NormRows& g, const T* dy, const T* x, const double* mean, const double* var, double eps,
                   const T* w, T* dx, bool past, T* dw, T* db) {
  using V = Vec<T>;
  RowGradient<T> row[count];
  for (int k = 0; k < count; ++k)
    row[k] = RowGradient<T>(g, dy + k * g.n, x + k * g.n, mean[k], var[k], eps, w, dx != nullptr);
  for_each_vector<T>(g.n, [=](auto vector, int64_t i) {
    V to_w = dw ? vector.load(dw + i, 0) : V(T(0)), to_b = dw ? vector.load(db + i, 0) : V(T(0));
    for (int k = 0; k < count; ++k) {
      const int64_t at = k * g.n + i;
      const V upstream = vector.load(dy + at, 0), z = row[k].standardise(vector.load(x + at, 0));
      if (dx) {
        const V scaled = w ? upstream * vector.load(w + i, 0) : upstream;
        const V rest = fma(z, row[k].slope, row[k].shift);
        vector.store(fma(scaled, row[k].standardise.r, rest), dx + at, 0, past);
      }
      to_w = fma(upstream, z, to_w);
      to_b = to_b + upstream;
    }
    if (!dw) return;
    vector.store(to_w, dw + i, 0);
    vector.store(to_b, db + i, 0);
  });
}

// dw and db from the blocks' sums, (blocks, 2, n).
template <class T>
void merge_blocks(const T* partial, int64_t blocks, int64_t n, T* dw, T* db) {
  parallel_for(div_up(n, kMergeColumns), 2 * blocks * n, [=](int64_t begin, int64_t end, int) {
    for (int64_t stretch = begin; stretch < end; ++stretch) {
      double first[kMergeColumns] = {}, second[kMergeColumns] = {};
      const int64_t from = stretch * kMergeColumns, count = smaller(kMergeColumns, n - from);
      for (int64_t b = 0; b < blocks; ++b)
        for (int64_t i = 0; i < count; ++i) {
          first[i] += static_cast<double>(partial[2 * b * n + from + i]);
          second[i] += static_cast<double>(partial[(2 * b + 1) * n + from + i]);
        }
      for (int64_t i = 0; i < count; ++i) {
        dw[from + i] = static_cast<T>(first[i]);
        db[from + i] = static_cast<T>(second[i]);
      }
    }
  });
}

template <class T>
void row_norm_backward(const NormRows& g, const T* dy, const T* x, Moments m, double eps, const T* w, T* dx, T* dw,
                       T* db) {
  const int64_t n = g.n, blocks = div_up(g.rows, kRowsPerBlock);
  Scratch scratch(dw ? static_cast<size_t>(2 * blocks * n) * sizeof(T) : 0);
  T* partial = static_cast<T*>(scratch.data());
  const bool past = are_written_past(g.rows, n, dx);
  for_each_block(g, [=](int64_t first, int64_t last, int64_t block) {
    T* sums = dw ? partial + 2 * block * n : nullptr;
    for (int64_t i = 0; sums && i < 2 * n; ++i) sums[i] = 0;
    int64_t row = first;
    const auto step = [&](auto backward, int64_t count) {
      backward(g, dy + row * n, x + row * n, m.mean + row, m.var + row, eps, w, dx ? dx + row * n : nullptr, past, sums,
               sums ? sums + n : nullptr);
      row += count;
    };
    while (row + kRowsAtOnce <= last) step(rows_backward<T, kRowsAtOnce>, kRowsAtOnce);
    while (row < last) step(rows_backward<T, 1>, 1);
    if (past) stream_fence();
  });
  if (dw) merge_blocks(partial, blocks, n, dw, db);
}

}  // namespace

}  // namespace tinydl::TINYDL_TIER
