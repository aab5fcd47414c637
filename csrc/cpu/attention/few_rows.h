// Scores of so few queries that packing the keys would cost more than the products.
#pragma once
#include "cpu/attention/blocks.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kFewRows = 4;

// Lane l of the result is the sum of all lanes of x[l]. Each round adds the halves of two vectors side by side.
template <class T>
TINYDL_INLINE Vec<T> sum_each(Vec<T> (&x)[Vec<T>::size]) {
  using Mask = typename Vec<T>::Mask;
  Mask lane;
  for (int i = 0; i < Vec<T>::size; ++i) lane.v[i] = i;
#pragma GCC unroll 4
  for (int half = Vec<T>::size / 2; half > 0; half /= 2) {
    const Mask upper = (lane & Mask(half)) != Mask(0);
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) {
      const Vec<T> other = permute(select(upper, x[i], x[i + half]), lane ^ Mask(half));
      x[i] = select(upper, x[i + half], x[i]) + other;
    }
  }
  return x[0];
}

// s[j] = q . k_j for j < n, in whole vectors of keys, of which those past the last repeat it.
template <class T>
void dot_products(const T* q, const T* k, int64_t stride, int64_t n, int64_t features, T* s) {
  using V = Vec<T>;
  for (int64_t j = 0; j < n; j += V::size) {
    const T* rows[V::size];
    V sums[V::size];
#pragma GCC unroll 16
    for (int l = 0; l < V::size; ++l) {
      rows[l] = k + smaller(j + l, n - 1) * stride;
      sums[l] = V(T(0));
    }
    for (int64_t f = 0; f < features; f += V::size) {
      const int lanes = static_cast<int>(smaller(V::size, features - f));
      const V x = V::load(q + f);  // staged: zeros behind the last feature
#pragma GCC unroll 16
      for (int l = 0; l < V::size; ++l) sums[l] = fma(x, load_first(rows[l] + f, lanes), sums[l]);
    }
    sum_each<T>(sums).store(s + j);
  }
}

}  // namespace tinydl::TINYDL_TIER
