// The weight gradient of a depthwise convolution: dw[r, s, c] = sum over n, i, j of x[n, i*sh - ph + r*dh, ..., c]
// dy[n, i, j, c].
//
// For a vector of channels, up to kGradTaps sums stay in registers along a stretch of a row; each step loads dy once
// and x once for each tap. Stretches fall into a few splits, chosen by the shape alone, whose partial results are added
// in order.
#pragma once
#include "cpu/conv/depthwise.h"
#include "cpu/conv/weight_grad.h"

namespace tinydl::TINYDL_TIER {

constexpr int kGradTaps = 9;

template <class T>
struct DepthwiseGrad {
  Sweep<T> sweep;  // of the forward pass; its y is not used
  const T* dy;

  int64_t blocks() const { return div_up(sweep.w.count, kSweepColumns); }
  int64_t stretches() const { return sweep.batch * sweep.h.count * blocks(); }
};

// sums[taps[t].w + c] += sum over j < count of x[taps[t].x + j * x_step + c] dy[j * channels + c], for t < tap_count.
template <class T, int tap_count>
void add_products(const Sweep<T>& s, const T* x, const T* dy, int64_t count, const PixelTap* taps, T* sums) {
  const int64_t x_step = s.w.step * s.channels, dy_step = s.channels;
  for_channels<T>(s.channels, [&](int64_t c, int lanes) __attribute__((always_inline)) {
    Vec<T> total[tap_count];
    const T* from[tap_count];
#pragma GCC unroll 16
    for (int t = 0; t < tap_count; ++t) {
      total[t] = load_first(sums + taps[t].w + c, lanes);
      from[t] = x + taps[t].x + c;
    }
    const T* grad = dy + c;
    for (int64_t j = 0; j < count; ++j, grad += dy_step) {
      const Vec<T> upstream = load_first(grad, lanes);
#pragma GCC unroll 16
      for (int t = 0; t < tap_count; ++t) total[t] = fma(load_first(from[t] + j * x_step, lanes), upstream, total[t]);
    }
#pragma GCC unroll 16
    for (int t = 0; t < tap_count; ++t) store_first(total[t], sums + taps[t].w + c, lanes);
  });
}

// The same where groups hold several channels: sums[taps[t].w + k * channels + c] += sum over j of
// x[taps[t].x + j * x_step + channel k of c's group] dy[j * channels + c].
template <class T, int tap_count>
void add_group_products(const Sweep<T>& s, const T* x, const T* dy, int64_t count, const PixelTap* taps, T* sums) {
  using Mask = typename Vec<T>::Mask;
  const int64_t x_step = s.w.step * s.channels, span = s.span();
  const Mask starts = group_starts<T>(s.group);
  for_groups<T>({0, s.channels}, span, [&](int64_t c, int lanes) __attribute__((always_inline)) {
    for (int64_t k = 0; k < s.group; ++k) {
      const Mask index = starts + Mask(static_cast<typename VecTypes<T>::Int>(k));
      T* to = sums + k * s.channels + c;
      Vec<T> total[tap_count];
      const T* from[tap_count];
#pragma GCC unroll 16
      for (int t = 0; t < tap_count; ++t) {
        total[t] = load_first(to + taps[t].w, lanes);
        from[t] = x + taps[t].x + c;
      }
      for (int64_t j = 0; j < count; ++j) {
        const Vec<T> upstream = load_first(dy + j * s.channels + c, lanes);
#pragma GCC unroll 16
        for (int t = 0; t < tap_count; ++t)
          total[t] = fma(permute(load_first(from[t] + j * x_step, lanes), index), upstream, total[t]);
      }
#pragma GCC unroll 16
      for (int t = 0; t < tap_count; ++t) store_first(total[t], to + taps[t].w, lanes);
    }
  });
}

template <class T>
auto products_for(int tap_count, bool grouped) {
  using Add = void (*)(const Sweep<T>&, const T*, const T*, int64_t, const PixelTap*, T*);
  constexpr Add one[] = {nullptr,
                         add_products<T, 1>,
                         add_products<T, 2>,
                         add_products<T, 3>,
                         add_products<T, 4>,
                         add_products<T, 5>,
                         add_products<T, 6>,
                         add_products<T, 7>,
                         add_products<T, 8>,
                         add_products<T, 9>};
  constexpr Add several[] = {nullptr,
                             add_group_products<T, 1>,
                             add_group_products<T, 2>,
                             add_group_products<T, 3>,
                             add_group_products<T, 4>,
                             add_group_products<T, 5>,
                             add_group_products<T, 6>,
                             add_group_products<T, 7>,
                             add_group_products<T, 8>,
                             add_group_products<T, 9>};
  return grouped ? several[tap_count] : one[tap_count];
}

// The outputs [begin, end) of a row, all of which take the list's taps.
template <class T>
void add_stretch(const Sweep<T>& s, const T* x, const T* dy, int64_t begin, int64_t end, const PixelTap* list,
                 int tap_count, T* sums) {
  x += begin * s.w.step * s.channels;
  dy += begin * s.channels;
  for (int t = 0; t < tap_count; t += kGradTaps) {
    const int part = static_cast<int>(smaller(kGradTaps, tap_count - t));
    products_for<T>(part, s.group > 1)(s, x, dy, end - begin, list + t, sums);
  }
}

// Adds one stretch to sums (KH, KW, channels).
template <class T>
void add_row(const DepthwiseGrad<T>& grad, int64_t stretch, PixelTap* list, T* sums) {
  const Sweep<T>& s = grad.sweep;
  const int64_t line = stretch / grad.blocks(), begin = stretch % grad.blocks() * kSweepColumns;
  const int64_t end = smaller(s.w.count, begin + kSweepColumns);
  const int64_t image = line / s.h.count, i = line % s.h.count;
  const T* x = s.x + image * s.x_image;
  const T* dy = grad.dy + line * s.w.count * s.channels;
  const int64_t first = larger(begin, smaller(end, s.w.inner_first));
  const int64_t last = larger(first, smaller(end, s.w.inner_last));
  for (int64_t j = begin; j < first; ++j) add_stretch(s, x, dy, j, j + 1, list, s.list_taps(i, j, list), sums);
  if (first < last) add_stretch(s, x, dy, first, last, list, s.list_taps(i, first, list), sums);
  for (int64_t j = last; j < end; ++j) add_stretch(s, x, dy, j, j + 1, list, s.list_taps(i, j, list), sums);
}

template <class T>
void run_grad(const DepthwiseGrad<T>& grad, int64_t taps, T* dw) {
  const int64_t channels = grad.sweep.channels, stretches = grad.stretches();
  const int64_t splits = larger(1, smaller(stretches, kGradTasks)), size = taps * grad.sweep.group * channels;
  const int64_t work = grad.sweep.batch * grad.sweep.h.count * grad.sweep.w.count * div_up(channels, Vec<T>::size) *
                       (taps * grad.sweep.group + 8) / 2;
  Scratch scratch(splits > 1 ? static_cast<size_t>(splits * size) * sizeof(T) : 0);
  const int workers = workers_for(splits, work);
  Scratch room(static_cast<size_t>(workers * taps) * sizeof(PixelTap));
  T* parts = splits > 1 ? static_cast<T*>(scratch.data()) : dw;
  PixelTap* lists = static_cast<PixelTap*>(room.data());
  parallel_for_workers(splits, workers, [&](int64_t begin, int64_t end, int worker) {
    const FlushDenormals flush;
    for (int64_t split = begin; split < end; ++split) {
      T* sums = parts + split * size;
      for (int64_t i = 0; i < size; ++i) sums[i] = T(0);
      for (int64_t at = stretches * split / splits; at < stretches * (split + 1) / splits; ++at)
        add_row(grad, at, lists + worker * taps, sums);
    }
  });
  if (splits > 1) add_splits(parts, splits, taps * grad.sweep.group, channels, dw, channels);
}

template <class T>
void depthwise_weight_grad(const ConvGeometry& g, const T* x, const T* dy, T* dw) {
  if (g.filters == 0) return;
  const RepeatedImages<T> images(g);
  const AxisTaps taps(g);
  Sweep<T> sweep(g);
  sweep.h = forward_axis(g.h, taps.h());
  sweep.w = forward_axis(g.w, taps.w());
  sweep.read(images.of(x), g.h.input, g.w.input);
  sweep.tap_step = g.group_channels() * g.filters;  // dw's own order
  run_grad(DepthwiseGrad<T>{sweep, dy}, g.h.kernel * g.w.kernel, dw);
}

}  // namespace tinydl::TINYDL_TIER
