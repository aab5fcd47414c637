// Walks the windows of a pooling, row by row on the threads, and finds the windows that hold a pixel.
#pragma once
#include "core/pool_geometry.h"
#include "cpu/runtime/parallel.h"
#include "cpu/simd/stores.h"

namespace tinydl::TINYDL_TIER {

// The taps of a window that lie inside the image along one axis: [first, last).
struct Span {
  int64_t first, last;
};

TINYDL_INLINE Span span_inside(const PoolAxis& a, int64_t out) {
  const int64_t start = out * a.stride - a.padding;
  if (start >= 0 && start + (a.kernel - 1) * a.dilation < a.in) return {0, a.kernel};
  const int64_t first = start >= 0 ? 0 : (-start + a.dilation - 1) / a.dilation;
  const int64_t last = start >= a.in ? 0 : (a.in - start + a.dilation - 1) / a.dilation;
  return {first, last < a.kernel ? last : a.kernel};
}

// One window: its taps inside, and how to find them in the image, counted in elements.
struct Window {
  Span h, w;
  int64_t number;       // oh * w.out + ow
  int64_t at;           // tap (0, 0) from the start of x; outside the image where padding reaches it
  int64_t row, column;  // from a tap to the next one
};

// Calls pixel(window, whole, y_at, past) for the window of every output pixel; `whole` says that all its taps are
// inside, y_at is where its channels are in y, and `past` that they are written past the caches.
template <class T, class Pixel>
void for_each_window(const PoolGeometry& g, const T* y, const Pixel& pixel) {
  const int64_t taps = (g.h.kernel < g.h.in ? g.h.kernel : g.h.in) * (g.w.kernel < g.w.in ? g.w.kernel : g.w.in);
  const int64_t row = g.w.in * g.channels;
  const bool past = are_written_past(g.n * g.h.out * g.w.out, g.channels, y);
  parallel_for(g.n * g.h.out, g.n * g.h.out * g.w.out * g.channels * taps, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t image = r / g.h.out * g.h.in * row, oh = r % g.h.out;
      const Span h = span_inside(g.h, oh);
      const bool whole_h = h.last - h.first == g.h.kernel;
      const int64_t at = image + (oh * g.h.stride - g.h.padding) * row;
      for (int64_t ow = 0; ow < g.w.out; ++ow) {
        const Span w = span_inside(g.w, ow);
        const Window window{h,
                            w,
                            oh * g.w.out + ow,
                            at + (ow * g.w.stride - g.w.padding) * g.channels,
                            g.h.dilation * row,
                            g.w.dilation * g.channels};
        pixel(window, whole_h && w.last - w.first == g.w.kernel, (r * g.w.out + ow) * g.channels, past);
      }
    }
    if (past) stream_fence();
  });
}

// Along one axis, the windows that reach over a position: first, first + 1, ... The position is `offset`
// pixels after the start of the first, and one stride less after the start of each further one.
struct Cover {
  int64_t first, count, offset;
};

TINYDL_INLINE Cover cover(const PoolAxis& a, int64_t position) {
  const int64_t at = position + a.padding, extent = (a.kernel - 1) * a.dilation + 1;
  const int64_t first = at < extent ? 0 : (at - extent) / a.stride + 1;
  const int64_t last = at / a.stride + 1 < a.out ? at / a.stride + 1 : a.out;
  return {first, last > first ? last - first : 0, at - first * a.stride};
}

}  // namespace tinydl::TINYDL_TIER
