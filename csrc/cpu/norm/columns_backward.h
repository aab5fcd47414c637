// The gradients of the column scheme: two sums over dy and x, then one pass that writes dx.
#pragma once
#include "cpu/norm/chunks.h"
#include "cpu/norm/split.h"
#include "cpu/runtime/allocator.h"

namespace tinydl::TINYDL_TIER {

namespace {

// A chunk's sums of dy and of dy (x - shift) over its rows, for one stretch of columns.
template <class T, class S>
TINYDL_INLINE void chunk_sums(S stretch, const T* dy, const T* x, const T* shift, int64_t rows, int64_t channels,
                              double* plain, double* moment) {
  using V = Vec<T>;
  constexpr int K = S::vectors;
  V first[K], second[K], pivot[K];
  for (int k = 0; k < K; ++k) first[k] = second[k] = V(T(0)), pivot[k] = stretch.load(shift, k);
  for (int64_t r = 0; r < rows; ++r)
    for (int k = 0; k < K; ++k) {
      const V upstream = stretch.load(dy + r * channels, k);
      first[k] = first[k] + upstream;
      second[k] = fma(upstream, stretch.load(x + r * channels, k) - pivot[k], second[k]);
    }
  double p[S::width], q[S::width];
  stretch.widen(first, p);
  stretch.widen(second, q);
  for (int i = 0; i < stretch.count(); ++i) plain[i] = p[i], moment[i] = q[i];
}

// The mean of each channel's group, high part, as (outer, channels).
template <class T>
void spread_means(const NormColumns& g, const double* mean, T* shift) {
  const int64_t width = g.channels / g.groups;
  for (int64_t o = 0; o < g.outer; ++o)
    for (int64_t c = 0; c < g.channels; ++c) shift[o * g.channels + c] = Split<T>(mean[o * g.groups + c / width]).high;
}

// sums[o, 0, c] = sum over the rows of dy, sums[o, 1, c] = sum of dy z.
template <class T>
void column_sums(const NormColumns& g, const T* dy, const T* x, Moments m, double eps, const T* shift, double* sums) {
  const Chunks chunks(g);
  const int64_t channels = g.channels, width = channels / g.groups;
  Scratch scratch(static_cast<size_t>(2 * g.outer * chunks.count * channels) * sizeof(double));
  double* partial = static_cast<double*>(scratch.data());
  for_each_chunk(g, [=](int64_t o, int64_t rows, int64_t at, int64_t b) {
    double* to = partial + 2 * b * channels;
    for_each_stretch<T>(channels, [=](auto stretch, int64_t c) {
      chunk_sums(stretch, dy + at + c, x + at + c, shift + o * channels + c, rows, channels, to + c, to + channels + c);
    });
  });
  for_each_merge(g, [=](int64_t o, int64_t from, int64_t to) {
    double *plain = sums + 2 * o * channels, *moment = plain + channels;
    for (int64_t c = from; c < to; ++c) plain[c] = moment[c] = 0;
    for (int64_t i = o * chunks.count; i < (o + 1) * chunks.count; ++i)
      for (int64_t c = from; c < to; ++c) {
        plain[c] += partial[2 * i * channels + c];
        moment[c] += partial[(2 * i + 1) * channels + c];
      }
    if (chunks.count == 0) return;         // no elements: the statistics are NaN
    for (int64_t c = from; c < to; ++c) {  // from x - high to z
      const int64_t i = o * g.groups + c / width;
      moment[c] = (moment[c] - Split<T>(m.mean[i]).low * plain[c]) * reciprocal_deviation(m.var[i], eps);
    }
  });
}

// The factors of dx = dy a + (x - shift) b + d, (outer, 3, channels); without sums, b and d are not written.
template <class T>
void gradient_factors(const NormColumns& g, Moments m, double eps, const T* w, const double* sums, T* factors) {
  const int64_t channels = g.channels, width = channels / g.groups;
  const double share = 1 / static_cast<double>(g.rows * width);
  for (int64_t i = 0; i < g.outer * g.groups; ++i) {
    const int64_t o = i / g.groups, from = (i % g.groups) * width;
    const double r = reciprocal_deviation(m.var[i], eps);
    double plain = 0, moment = 0;  // the means over the group of g and of g z
    for (int64_t c = from; sums && c < from + width; ++c) {
      const double weight = w ? static_cast<double>(w[c]) : 1;
      plain += weight * sums[2 * o * channels + c] * share;
      moment += weight * sums[(2 * o + 1) * channels + c] * share;
    }
    for (int64_t c = from; c < from + width; ++c) {
      T* f = factors + 3 * o * channels + c;
      f[0] = static_cast<T>((w ? static_cast<double>(w[c]) : 1) * r);
      if (!sums) continue;
      f[channels] = static_cast<T>(-r * r * moment);
      f[2 * channels] = static_cast<T>(-r * plain + Split<T>(m.mean[i]).low * r * r * moment);
    }
  }
}

template <class T>
void column_dx(const NormColumns& g, bool fixed, const T* dy, const T* x, const T* shift, const T* factors, T* dx) {
  const int64_t channels = g.channels;
  const bool past = are_written_past(g.outer * g.rows, channels, dx);
  for_each_chunk(g, [=](int64_t o, int64_t rows, int64_t at, int64_t) {
    const T *f = factors + 3 * o * channels, *mean = shift + o * channels;
    for (int64_t r = 0; r < rows; ++r)
      for_each_stretch<T>(channels, [=](auto s, int64_t c) {
        const int64_t to = at + r * channels + c;
        for (int k = 0; k < s.vectors; ++k) {
          const Vec<T> upstream = s.load(dy + to, k), a = s.load(f + c, k);
          if (fixed) {
            s.store(upstream * a, dx + to, k, past);
            continue;
          }
          const Vec<T> d = s.load(x + to, k) - s.load(mean + c, k);
          const Vec<T> rest = fma(d, s.load(f + channels + c, k), s.load(f + 2 * channels + c, k));
          s.store(fma(upstream, a, rest), dx + to, k, past);
        }
      });
    if (past) stream_fence();
  });
}

template <class T>
void column_norm_backward(const NormColumns& g, bool fixed, const T* dy, const T* x, Moments m, double eps, const T* w,
                          T* dx, T* dw, T* db) {
  const size_t cells = static_cast<size_t>(g.outer * g.channels);
  Scratch sum_scratch(2 * cells * sizeof(double)), scratch(4 * cells * sizeof(T));
  double* sums = static_cast<double*>(sum_scratch.data());
  T *shift = static_cast<T*>(scratch.data()), *factors = shift + cells;
  spread_means(g, m.mean, shift);
  if (!fixed || dw) column_sums(g, dy, x, m, eps, shift, sums);
  for (int64_t c = 0; dw && c < g.channels; ++c) {
    double plain = 0, moment = 0;
    for (int64_t o = 0; o < g.outer; ++o) {
      plain += sums[2 * o * g.channels + c];
      moment += sums[(2 * o + 1) * g.channels + c];
    }
    db[c] = static_cast<T>(plain);
    dw[c] = static_cast<T>(moment);
  }
  if (!dx) return;
  gradient_factors(g, m, eps, w, fixed ? nullptr : sums, factors);
  column_dx(g, fixed, dy, x, shift, factors, dx);
}

}  // namespace

}  // namespace tinydl::TINYDL_TIER
