// The inner loops of a sweep: vectors of channels, for one pixel or for neighbours of a row. Eight neighbouring pixels
// share a weight; taps that follow each other in the image share its loads too (0.54 loads per FMA for 3 x 3).
#pragma once
#include "cpu/conv/sweep.h"
#include "cpu/simd/lanes.h"

namespace tinydl::TINYDL_TIER {

template <class T>
TINYDL_INLINE void finish_pixel(const Sweep<T>& s, Vec<T> total, int64_t c, T* y, int lanes) {
  if (s.epilogue.bias) total = total + load_first(s.epilogue.bias + c, lanes);
  if (s.epilogue.activation != Activation::none) total = activate(total, s.epilogue.activation);
  store_first(total, y + c, lanes);
}

// The lane of each lane's first channel of its group.
template <class T>
TINYDL_INLINE typename Vec<T>::Mask group_starts(int64_t group) {
  using Mask = typename Vec<T>::Mask;
  typename VecTypes<T>::Int lane[Vec<T>::size];
  for (int i = 0, start = 0; i < Vec<T>::size; ++i) {
    if (i - start == group) start = i;
    lane[i] = start;
  }
  return Mask::load(lane);
}

// Calls body(c, lanes) for the vectors of whole groups; `lanes` is a constant in those that are full.
template <class T, class Body>
TINYDL_INLINE void for_groups(Channels range, int64_t span, const Body& body) {
  constexpr int size = Vec<T>::size;
  const int64_t end = range.first + range.count;
  int64_t c = range.first;
  for (; span == size && c + size <= end; c += size) body(c, size);
  for (; c < end; c += span) body(c, static_cast<int>(smaller(span, end - c)));
}

// `pixels` neighbouring outputs of a row through one list of taps, where groups hold several channels: each channel of
// a group in turn goes to all the group's lanes.
template <class T, int pixels>
void sweep_groups(const Sweep<T>& s, const T* x, T* y, const PixelTap* taps, int count, Channels range) {
  using Mask = typename Vec<T>::Mask;
  const int64_t x_step = s.w.step * s.channels, y_step = s.w.out_step * s.channels, span = s.span();
  const Mask starts = group_starts<T>(s.group);
  for_groups<T>(range, span, [&](int64_t c, int lanes) __attribute__((always_inline)) {
    const T* weights = s.weights_of(c);
    Vec<T> total[pixels];
#pragma GCC unroll 8
    for (int p = 0; p < pixels; ++p) total[p] = Vec<T>(T(0));
    for (int t = 0; t < count; ++t) {
      Vec<T> value[pixels];
#pragma GCC unroll 8
      for (int p = 0; p < pixels; ++p) value[p] = load_first(x + taps[t].x + c + p * x_step, lanes);
      for (int64_t k = 0; k < s.group; ++k) {
        const Vec<T> weight = load_first(weights + taps[t].w + k * span, lanes);
        const Mask index = starts + Mask(static_cast<typename VecTypes<T>::Int>(k));
#pragma GCC unroll 8
        for (int p = 0; p < pixels; ++p) total[p] = fma(permute(value[p], index), weight, total[p]);
      }
    }
#pragma GCC unroll 8
    for (int p = 0; p < pixels; ++p) finish_pixel(s, total[p], c, y + p * y_step, lanes);
  });
}

// The same where every channel is a group.
template <class T, int pixels>
TINYDL_INLINE void sweep_pixels(const Sweep<T>& s, const T* x, T* y, const PixelTap* taps, int count, Channels range) {
  const int64_t x_step = s.w.step * s.channels, y_step = s.w.out_step * s.channels;
  for_channels<T>(range.count, [&](int64_t from_first, int lanes) __attribute__((always_inline)) {
    const int64_t c = range.first + from_first;
    const T* weights = s.weights_of(c);
    Vec<T> total[pixels];
#pragma GCC unroll 8
    for (int p = 0; p < pixels; ++p) total[p] = Vec<T>(T(0));
    for (int t = 0; t < count; ++t) {
      const Vec<T> weight = load_first(weights + taps[t].w, lanes);
      const T* from = x + taps[t].x + c;
#pragma GCC unroll 8
      for (int p = 0; p < pixels; ++p) total[p] = fma(load_first(from + p * x_step, lanes), weight, total[p]);
    }
#pragma GCC unroll 8
    for (int p = 0; p < pixels; ++p) finish_pixel(s, total[p], c, y + p * y_step, lanes);
  });
}

// One output: several vectors of channels, so that the additions need not wait for each other.
template <class T>
void sweep_pixel(const Sweep<T>& s, const T* x, T* y, const PixelTap* taps, int count, Channels range) {
  if (s.group > 1) return sweep_groups<T, 1>(s, x, y, taps, count, range);
  constexpr int vectors = 4, size = Vec<T>::size;
  int64_t c = range.first;
  const int64_t end = range.first + range.count;
  const int64_t vector = s.weights_of(size) - s.weights_of(0);
  for (; c + vectors * size <= end; c += vectors * size) {
    const T* weights = s.weights_of(c);
    Vec<T> total[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) total[v] = Vec<T>(T(0));
    for (int t = 0; t < count; ++t) {
      const T *from = x + taps[t].x + c, *weight = weights + taps[t].w;
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v)
        total[v] = fma(Vec<T>::load(from + v * size), Vec<T>::load(weight + v * vector), total[v]);
    }
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) finish_pixel(s, total[v], c + v * size, y, size);
  }
  sweep_pixels<T, 1>(s, x, y, taps, count, {c, end - c});
}

// The same where the list is rows of KW taps, each one output's step after the one before: a loaded vector serves them
// all. The sums have the order of sweep_pixels.
template <class T, int pixels, int KW>
TINYDL_INLINE void slide_pixels(const Sweep<T>& s, const T* x, T* y, const PixelTap* taps, int count, Channels range) {
  const int64_t step = s.w.step * s.channels, y_step = s.w.out_step * s.channels;
  for_channels<T>(range.count, [&](int64_t from_first, int lanes) __attribute__((always_inline)) {
    const int64_t c = range.first + from_first;
    const T* weights = s.weights_of(c);
    Vec<T> total[pixels];
#pragma GCC unroll 8
    for (int p = 0; p < pixels; ++p) total[p] = Vec<T>(T(0));
    for (int t = 0; t < count; t += KW) {
      Vec<T> weight[KW];
#pragma GCC unroll 8
      for (int k = 0; k < KW; ++k) weight[k] = load_first(weights + taps[t + k].w, lanes);
      const T* from = x + taps[t].x + c;
#pragma GCC unroll 16
      for (int q = 0; q < pixels + KW - 1; ++q) {
        const Vec<T> value = load_first(from + q * step, lanes);
#pragma GCC unroll 8
        for (int k = 0; k < KW; ++k)
          if (q - k >= 0 && q - k < pixels) total[q - k] = fma(value, weight[k], total[q - k]);
      }
    }
#pragma GCC unroll 8
    for (int p = 0; p < pixels; ++p) finish_pixel(s, total[p], c, y + p * y_step, lanes);
  });
}

// How many taps of a row follow each other in the image, if there is code for as many.
template <class T>
int sliding_taps(const SweepAxis& w) {
  for (int t = 1; t < w.tap_count; ++t)
    if (w.taps[t].offset - w.taps[t - 1].offset != w.step) return 0;
  return w.tap_count == 3 || w.tap_count == 5 || w.tap_count == 7 ? w.tap_count : 0;
}

// `pixels` outputs with all their taps, or any one.
template <class T, int pixels>
void sweep_block(const Sweep<T>& s, const T* x, T* y, const PixelTap* taps, int count, int sliding, Channels range) {
  if (s.group > 1)
    sweep_groups<T, pixels>(s, x, y, taps, count, range);
  else if (sliding == 3)
    slide_pixels<T, pixels, 3>(s, x, y, taps, count, range);
  else if (sliding == 5)
    slide_pixels<T, pixels, 5>(s, x, y, taps, count, range);
  else if (sliding == 7)
    slide_pixels<T, pixels, 7>(s, x, y, taps, count, range);
  else
    sweep_pixels<T, pixels>(s, x, y, taps, count, range);
}

}  // namespace tinydl::TINYDL_TIER
