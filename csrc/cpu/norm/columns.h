// Per-channel statistics of channels-last images. Sums run in T over the rows of a chunk and are merged in double.
//
// Memory: forward reads x for the statistics, then reads x and writes y; backward reads dy and x for two sums, then
// reads both and writes dx. The second look at a chunk, for the deviations from the chunk's own mean, finds its few
// kilobytes in cache.
#pragma once
#include "cpu/norm/chunks.h"
#include "cpu/norm/split.h"
#include "cpu/runtime/allocator.h"

namespace tinydl::TINYDL_TIER {

namespace {

// The means of one stretch of a chunk's columns, and the sums of squared deviations from them.
template <class T, class S>
TINYDL_INLINE void chunk_moments(S stretch, const T* x, int64_t rows, int64_t channels, double* mean, double* square) {
  using V = Vec<T>;
  constexpr int K = S::vectors;
  V pivot[K], first[K], second[K];
  for (int k = 0; k < K; ++k) pivot[k] = first[k] = second[k] = V(T(0));
  for (int64_t r = 0; r < rows; ++r)
    for (int k = 0; k < K; ++k) pivot[k] = pivot[k] + stretch.load(x + r * channels, k);
  for (int k = 0; k < K; ++k) pivot[k] = pivot[k] / V(static_cast<T>(rows));
  for (int64_t r = 0; r < rows; ++r)
    for (int k = 0; k < K; ++k) {
      const V d = stretch.load(x + r * channels, k) - pivot[k];
      first[k] = first[k] + d;
      second[k] = fma(d, d, second[k]);
    }
  double p[S::width], s[S::width], q[S::width];
  stretch.widen(pivot, p);
  stretch.widen(first, s);
  stretch.widen(second, q);
  const double share = 1 / static_cast<double>(rows);
  for (int i = 0; i < stretch.count(); ++i) {  // s is what the pivot's rounding left
    mean[i] = p[i] + s[i] * share;
    square[i] = q[i] - s[i] * s[i] * share;
  }
}

// The means and squares of channels [from, to) from those of the chunks (Chan, Golub and LeVeque 1983).
inline void merge_moments(const NormColumns& g, const double* partial, int64_t from, int64_t to, double* mean,
                          double* square) {
  const Chunks chunks(g);
  for (int64_t c = from; c < to; ++c) mean[c] = square[c] = 0;
  for (int64_t i = 0; i < chunks.count; ++i) {
    const auto rows = static_cast<double>(chunks.rows_of(g, i));
    const double* means = partial + 2 * i * g.channels;
    for (int64_t c = from; c < to; ++c) mean[c] += rows * means[c];
  }
  for (int64_t c = from; c < to; ++c) mean[c] /= static_cast<double>(g.rows);
  for (int64_t i = 0; i < chunks.count; ++i) {
    const auto rows = static_cast<double>(chunks.rows_of(g, i));
    const double *means = partial + 2 * i * g.channels, *squares = means + g.channels;
    for (int64_t c = from; c < to; ++c) {
      const double d = means[c] - mean[c];
      square[c] += squares[c] + rows * d * d;
    }
  }
}

// The statistics of a group from those of its channels, which count equally.
inline void merge_group(const double* mean, const double* square, int64_t channels, int64_t rows, double& group_mean,
                        double& group_var) {
  double total = 0, squares = 0;
  for (int64_t c = 0; c < channels; ++c) total += mean[c];
  total /= static_cast<double>(channels);
  for (int64_t c = 0; c < channels; ++c) {
    const double d = mean[c] - total;
    squares += square[c] + static_cast<double>(rows) * d * d;
  }
  group_mean = total;
  group_var = squares / static_cast<double>(rows * channels);
}

template <class T>
void column_moments(const NormColumns& g, const T* x, Moments out) {
  const Chunks chunks(g);
  const int64_t channels = g.channels, width = channels / g.groups;
  Scratch scratch(static_cast<size_t>(2 * g.outer * (chunks.count + 1) * channels) * sizeof(double));
  double* total = static_cast<double*>(scratch.data());
  double* partial = total + 2 * g.outer * channels;
  for_each_chunk(g, [=](int64_t, int64_t rows, int64_t at, int64_t b) {
    double* mean = partial + 2 * b * channels;
    for_each_stretch<T>(channels, [=](auto stretch, int64_t c) {
      chunk_moments(stretch, x + at + c, rows, channels, mean + c, mean + channels + c);
    });
  });
  for_each_merge(g, [=](int64_t o, int64_t from, int64_t to) {
    double* mean = total + 2 * o * channels;
    merge_moments(g, partial + 2 * o * chunks.count * channels, from, to, mean, mean + channels);
  });
  parallel_for(g.outer * g.groups, 4 * g.outer * channels, [=](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const double* mean = total + 2 * (i / g.groups) * channels + (i % g.groups) * width;
      merge_group(mean, mean + channels, width, g.rows, out.mean[i], out.var[i]);
    }
  });
}

// y = (x - shift) scale + offset, column by column: the factors of one outer index follow each other.
template <class T>
void column_norm(const NormColumns& g, const T* x, Moments m, double eps, const T* w, const T* b, T* y) {
  const int64_t channels = g.channels, width = channels / g.groups;
  Scratch scratch(static_cast<size_t>(3 * g.outer * channels) * sizeof(T));
  T* factors = static_cast<T*>(scratch.data());
  for (int64_t o = 0; o < g.outer; ++o)
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t i = o * g.groups + c / width;
      const Split<T> mean(m.mean[i]);
      const double scale = (w ? static_cast<double>(w[c]) : 1) * reciprocal_deviation(m.var[i], eps);
      T* f = factors + 3 * o * channels + c;
      f[0] = mean.high;
      f[channels] = static_cast<T>(scale);
      f[2 * channels] = static_cast<T>((b ? static_cast<double>(b[c]) : 0) - mean.low * scale);
    }
  const bool past = are_written_past(g.outer * g.rows, channels, y);
  for_each_chunk(g, [=](int64_t o, int64_t rows, int64_t at, int64_t) {
    const T* f = factors + 3 * o * channels;
    for (int64_t r = 0; r < rows; ++r)
      for_each_stretch<T>(channels, [=](auto s, int64_t c) {
        const int64_t to = at + r * channels + c;
        for (int k = 0; k < s.vectors; ++k) {
          const Vec<T> d = s.load(x + to, k) - s.load(f + c, k);
          s.store(fma(d, s.load(f + channels + c, k), s.load(f + 2 * channels + c, k)), y + to, k, past);
        }
      });
    if (past) stream_fence();
  });
}

}  // namespace

}  // namespace tinydl::TINYDL_TIER
