// The largest and the smallest element, by chunks of the reduced axis as in sums; NaN wins.
#pragma once
#include "cpu/reduce/chunks.h"

namespace tinydl::TINYDL_TIER {

namespace {

struct Largest {
  template <class T>
  static constexpr T start = static_cast<T>(-__builtin_inf());

  template <class T>
  static TINYDL_INLINE Vec<T> better(Vec<T> x, Vec<T> best) {
    return select((x > best) | (x != x), x, best);
  }
  template <class T>
  static TINYDL_INLINE T better(T x, T best) {
    return x > best || x != x ? x : best;
  }
};

struct Smallest {
  template <class T>
  static constexpr T start = static_cast<T>(__builtin_inf());

  template <class T>
  static TINYDL_INLINE Vec<T> better(Vec<T> x, Vec<T> best) {
    return select((x < best) | (x != x), x, best);
  }
  template <class T>
  static TINYDL_INLINE T better(T x, T best) {
    return x < best || x != x ? x : best;
  }
};

// The best of x[0..n).
template <class T, class Order>
T best_of_run(const T* x, int64_t n) {
  using V = Vec<T>;
  const V start(Order::template start<T>);
  V best[4] = {start, start, start, start};
  int64_t i = 0;
  for (; i + 4 * V::size <= n; i += 4 * V::size)
    for (int k = 0; k < 4; ++k) best[k] = Order::better(V::load(x + i + k * V::size), best[k]);
  for (; i < n; i += V::size) {
    const int lanes = static_cast<int>(smaller(V::size, n - i));
    best[0] = Order::better(load_or(x + i, lanes, Order::template start<T>), best[0]);
  }
  const V all = Order::better(Order::better(best[0], best[1]), Order::better(best[2], best[3]));
  return fold_lanes(all, [](V a, V b) { return Order::better(a, b); });
}

// y[i] = the best of x[r, i] over r < rows, for i < n.
template <class T, class Order>
void best_of_rows(const T* x, int64_t rows, int64_t n, T* y) {
  using V = Vec<T>;
  for (int64_t i = 0; i < n; i += V::size) {
    const int lanes = static_cast<int>(smaller(V::size, n - i));
    V best(Order::template start<T>);
    for (int64_t r = 0; r < rows; ++r) best = Order::better(load_first(x + r * n + i, lanes), best);
    store_first(best, y + i, lanes);
  }
}

// The reduced axis is innermost: x is (outer, reduce), y is (outer,).
template <class T, class Order>
void extreme_inner(int64_t outer, int64_t reduce, const T* x, T* y) {
  const int64_t chunks = run_chunks(reduce);
  Scratch scratch(static_cast<size_t>(outer * chunks) * sizeof(T));
  T* partial = static_cast<T*>(scratch.data());
  for_each_chunk(outer, chunks, outer * reduce, [=](int64_t o, int64_t c) {
    const int64_t from = c * kRunElements;
    partial[o * chunks + c] = best_of_run<T, Order>(x + o * reduce + from, smaller(kRunElements, reduce - from));
  });
  for (int64_t o = 0; o < outer; ++o) {
    y[o] = partial[o * chunks];
    for (int64_t c = 1; c < chunks; ++c) y[o] = Order::better(partial[o * chunks + c], y[o]);
  }
}

// The kept axis is innermost: x is (outer, reduce, inner), y is (outer, inner).
template <class T, class Order>
void extreme_outer(int64_t outer, int64_t reduce, int64_t inner, const T* x, T* y) {
  const int64_t rows = chunk_rows(inner);
  const int64_t chunks = reduce == 0 ? 1 : div_up(reduce, rows);
  Scratch scratch(static_cast<size_t>(outer * chunks * inner) * sizeof(T));
  T* partial = static_cast<T*>(scratch.data());
  for_each_chunk(outer, chunks, outer * reduce * inner, [=](int64_t o, int64_t c) {
    const T* from = x + (o * reduce + c * rows) * inner;
    best_of_rows<T, Order>(from, smaller(rows, reduce - c * rows), inner, partial + (o * chunks + c) * inner);
  });
  for_each_chunk(outer, 1, outer * chunks * inner, [=](int64_t o, int64_t) {
    best_of_rows<T, Order>(partial + o * chunks * inner, chunks, inner, y + o * inner);
  });
}

template <class T, class Order>
void extreme(int64_t outer, int64_t reduce, int64_t inner, const T* x, T* y) {
  if (inner == 1)
    extreme_inner<T, Order>(outer, reduce, x, y);
  else if (inner > 1)
    extreme_outer<T, Order>(outer, reduce, inner, x, y);
}

}  // namespace

}  // namespace tinydl::TINYDL_TIER
