// Norms and limits of all gradients at once.
#pragma once
#include "cpu/optimizer/segments.h"
#include "cpu/runtime/allocator.h"

namespace tinydl::TINYDL_TIER {

namespace {

// What a run of gradients adds to a norm. |g| is written so that a NaN stays one.
struct SumOf {
  template <class T>
  TINYDL_INLINE Vec<T> operator()(Vec<T> total, Vec<T> g) const {
    return total + max(g, -g);
  }
  double join(double a, double b) const { return a + b; }
};
struct SquaresOf {
  template <class T>
  TINYDL_INLINE Vec<T> operator()(Vec<T> total, Vec<T> g) const {
    return fma(g, g, total);
  }
  double join(double a, double b) const { return a + b; }
};
struct MaximumOf {
  template <class T>
  TINYDL_INLINE Vec<T> operator()(Vec<T> total, Vec<T> g) const {
    const Vec<T> size = max(g, -g);
    return select(total != total, total, max(total, size));
  }
  double join(double a, double b) const { return a != a || a > b ? a : b; }
};

// A run's norm in vectors of T: at most kBlock elements, so that rounding errors stay small.
template <class T, class Rule>
double norm_of_run(const T* g, int64_t n, Rule rule) {
  using V = Vec<T>;
  constexpr int size = V::size;
  V total[4] = {V(T(0)), V(T(0)), V(T(0)), V(T(0))};
  int64_t i = 0;
  for (; i + 4 * size <= n; i += 4 * size)
    for (int k = 0; k < 4; ++k) total[k] = rule(total[k], V::load(g + i + k * size));
  for (; i < n; i += size) total[0] = rule(total[0], V::load(g + i, static_cast<int>(smaller(size, n - i))));
  double out = 0;
  for (int k = 0; k < 4; ++k)
    for (int lane = 0; lane < size; ++lane) out = rule.join(out, static_cast<double>(total[k][lane]));
  return out;
}

template <class T, class Rule>
double joined_norm(const Segment<T>* segments, int64_t count, Rule rule) {
  const int64_t total = elements_of(segments, count), blocks = (total + kBlock - 1) / kBlock;
  if (blocks == 0) return 0;
  const Scratch scratch(static_cast<size_t>(blocks) * sizeof(double));
  double* partial = static_cast<double*>(scratch.data());
  parallel_for(blocks, total, [=](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      double sum = 0;
      for_each_run(segments, count, b * kBlock, smaller((b + 1) * kBlock, total),
                   [&](const Segment<T>& segment, int64_t i, int64_t last) {
                     if (i < last) sum = rule.join(sum, norm_of_run(segment.g + i, last - i, rule));
                   });
      partial[b] = sum;
    }
  });
  double out = 0;
  for (int64_t b = 0; b < blocks; ++b) out = rule.join(out, partial[b]);
  return out;
}

template <class T>
double norm(const Segment<T>* segments, int64_t count, Norm kind) {
  if (kind == Norm::kSum) return joined_norm(segments, count, SumOf{});
  if (kind == Norm::kMaximum) return joined_norm(segments, count, MaximumOf{});
  return __builtin_sqrt(joined_norm(segments, count, SquaresOf{}));
}

template <class T>
void scale(const Segment<T>* segments, int64_t count, double factor) {
  const T f = static_cast<T>(factor);
  for_each_vector(segments, count, [=](const Segment<T>& s, int64_t i, auto access) {
    access.store(s.p + i, Vec<T>(f) * access.load(s.p + i));
  });
}

template <class T>
void clamp(const Segment<T>* segments, int64_t count, double limit) {
  const T most = static_cast<T>(limit);
  for_each_vector(segments, count, [=](const Segment<T>& s, int64_t i, auto access) {
    access.store(s.p + i, min(Vec<T>(most), max(Vec<T>(-most), access.load(s.p + i))));
  });
}

}  // namespace

}  // namespace tinydl::TINYDL_TIER
