// Vectors run over channels, so that every lane of a window does the same. Backward gathers: a pixel's
// gradient is the sum over the windows that hold it, in their order, which needs no atomic additions and
// writes every element once.
#include "contract/pool.h"

#include "cpu/pool/taps.h"
#include "cpu/pool/windows.h"
#include "cpu/runtime/allocator.h"
#include "cpu/simd/stores.h"

namespace tinydl::TINYDL_TIER {

namespace {

template <class T>
using Int = typename VecTypes<T>::Int;

// The size of a window along both axes where all its taps are inside; 0 for any window.
template <int K>
struct Fixed {
  static TINYDL_INLINE Span span(Span inside) { return K ? Span{0, K} : inside; }
};

template <class Kernel, class Body>
TINYDL_INLINE void specialise(Kernel kernel, bool whole, const Body& body) {
  if (whole)
    body(kernel);
  else
    body(Fixed<0>());
}

// Calls run(Fixed<K>) with the size of the square kernels that have code of their own, else with 0.
template <class Run>
void by_kernel(const PoolGeometry& g, const Run& run) {
  if (g.h.kernel == 2 && g.w.kernel == 2)
    run(Fixed<2>());
  else if (g.h.kernel == 3 && g.w.kernel == 3)
    run(Fixed<3>());
  else
    run(Fixed<0>());
}

// -- Gathering gradients

// A window that holds a pixel: where its channels are in y, its number within the image, its tap that reads
// the pixel.
struct Source {
  int64_t at, window, tap;
};

// The tap of the window that starts `offset` pixels before a pixel; negative where dilation makes it step over the
// pixel.
TINYDL_INLINE int64_t tap_at(const PoolAxis& a, int64_t offset) {
  if (a.dilation == 1) return offset;
  return offset % a.dilation == 0 ? offset / a.dilation : -1;
}

// The sum of term(source, c, lanes) over any windows of the covers.
template <class T, class Term>
void gather_any(const PoolGeometry& g, const Cover& h, const Cover& w, int64_t y_at, T* dx, bool past,
                const Term& term) {
  for_channels<T>(g.channels, [&](int64_t c, int lanes) {
    Vec<T> total(T(0));
    for (int64_t a = 0; a < h.count; ++a) {
      const int64_t i = tap_at(g.h, h.offset - a * g.h.stride);
      if (i < 0) continue;
      for (int64_t b = 0; b < w.count; ++b) {
        const int64_t j = tap_at(g.w, w.offset - b * g.w.stride);
        if (j < 0) continue;
        const int64_t window = (h.first + a) * g.w.out + w.first + b;
        total = total + term(Source{y_at + window * g.channels, window, i * g.w.kernel + j}, c, lanes);
      }
    }
    store_first(total, dx + c, lanes, past);
  });
}

// The same for NH x NW windows without dilation.
template <int NH, int NW, class T, class Term>
TINYDL_INLINE void gather_few(const PoolGeometry& g, const Cover& h, const Cover& w, int64_t y_at, T* dx, bool past,
                              const Term& term) {
  const int64_t window = h.first * g.w.out + w.first, tap = h.offset * g.w.kernel + w.offset;
  for_channels<T>(g.channels, [&](int64_t c, int lanes) {
    Vec<T> total(T(0));
    for (int a = 0; a < NH; ++a)
      for (int b = 0; b < NW; ++b) {
        const int64_t at = window + a * g.w.out + b;
        const int64_t its_tap = tap - a * g.h.stride * g.w.kernel - b * g.w.stride;
        total = total + term(Source{y_at + at * g.channels, at, its_tap}, c, lanes);
      }
    store_first(total, dx + c, lanes, past);
  });
}

// A row of pixels over which NH rows of windows reach, and at most three windows of each.
template <int NH, class T, class Term>
void gather_row(const PoolGeometry& g, const Cover& h, const Cover* columns, int64_t y_at, T* dx, bool past,
                const Term& term) {
  for (int64_t iw = 0; iw < g.w.in; ++iw, dx += g.channels) {
    const Cover w = columns[iw];
    if (NH == 0 || w.count == 0)
      gather_few<0, 0>(g, h, w, y_at, dx, past, term);
    else if (w.count == 1)
      gather_few<NH, 1>(g, h, w, y_at, dx, past, term);
    else if (w.count == 2)
      gather_few<NH, 2>(g, h, w, y_at, dx, past, term);
    else
      gather_few<NH, 3>(g, h, w, y_at, dx, past, term);
  }
}

// dx = sum of term(source, c, lanes) over the windows that hold the pixel, for every pixel. Kernels up to
// three times their stride have unrolled code.
template <class T, class Term>
void gather(const PoolGeometry& g, T* dx, const Term& term) {
  const bool few =
      g.h.dilation == 1 && g.w.dilation == 1 && g.h.kernel <= 3 * g.h.stride && g.w.kernel <= 3 * g.w.stride;
  Scratch scratch(static_cast<size_t>(g.w.in) * sizeof(Cover));
  Cover* columns = static_cast<Cover*>(scratch.data());
  for (int64_t iw = 0; iw < g.w.in; ++iw) columns[iw] = cover(g.w, iw);
  const int64_t row = g.w.in * g.channels;
  const bool past = are_written_past(g.n * g.h.in * g.w.in, g.channels, dx);
  parallel_for(g.n * g.h.in, 2 * g.n * g.h.in * row, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const Cover h = cover(g.h, r % g.h.in);
      const int64_t y_at = r / g.h.in * g.h.out * g.w.out * g.channels;
      T* to = dx + r * row;
      if (!few)
        for (int64_t iw = 0; iw < g.w.in; ++iw) gather_any(g, h, columns[iw], y_at, to + iw * g.channels, past, term);
      else if (h.count == 0)
        gather_row<0>(g, h, columns, y_at, to, past, term);
      else if (h.count == 1)
        gather_row<1>(g, h, columns, y_at, to, past, term);
      else if (h.count == 2)
        gather_row<2>(g, h, columns, y_at, to, past, term);
      else
        gather_row<3>(g, h, columns, y_at, to, past, term);
    }
    if (past) stream_fence();
  });
}

// -- Maximum

// What keeps the winning taps.
template <class Tap>
struct Keep {
  static constexpr bool wanted = true;
  Tap* p;
  template <class Index>
  TINYDL_INLINE void store(Index taps, int64_t at, int lanes) const {
    store_taps(taps, p + at, lanes);
  }
};
struct Discard {
  static constexpr bool wanted = false;
  template <class Index>
  TINYDL_INLINE void store(Index, int64_t, int) const {}
};

// y[y_at...] = max over the taps inside of x[x_at...], one vector of channels.
template <class Size, class T, class Taps>
TINYDL_INLINE void max_vector(const Window& window, int64_t kernel_w, const T* x, int64_t x_at, T* y, int64_t y_at,
                              Taps taps, int lanes, bool past) {
  using V = Vec<T>;
  using Index = typename V::Mask;
  const Span h = Size::span(window.h), w = Size::span(window.w);
  V best(static_cast<T>(-__builtin_inf()));
  Index winner(static_cast<Int<T>>(h.first * kernel_w + w.first));
  for (int64_t i = h.first; i < h.last; ++i)
    for (int64_t j = w.first; j < w.last; ++j) {
      const V value = load_first(x + (x_at + i * window.row + j * window.column), lanes);
      const auto better = (value > best) | (value != value);
      best = select(better, value, best);
      if constexpr (Taps::wanted) winner = select(better, Index(static_cast<Int<T>>(i * kernel_w + j)), winner);
    }
  store_first(best, y + y_at, lanes, past);
  taps.store(winner, y_at, lanes);
}

template <class T, class Taps>
void max_windows(const PoolGeometry& g, const T* x, T* y, Taps taps) {
  by_kernel(g, [&](auto kernel) {
    for_each_window(g, y, [&](const Window& window, bool whole, int64_t y_at, bool past) {
      specialise(kernel, whole, [&](auto size) {
        for_channels<T>(g.channels, [&](int64_t c, int lanes) {
          max_vector<decltype(size)>(window, g.w.kernel, x, window.at + c, y, y_at + c, taps, lanes, past);
        });
      });
    });
  });
}

template <class T>
void max_pool(const PoolGeometry& g, const T* x, T* y) {
  max_windows(g, x, y, Discard());
}

template <class T, class Tap>
void max_pool_tap(const PoolGeometry& g, const T* x, T* y, Tap* tap) {
  max_windows(g, x, y, Keep<Tap>{tap});
}

template <class T, class Tap>
void max_backward(const PoolGeometry& g, const T* dy, const Tap* tap, T* dx) {
  using V = Vec<T>;
  using Index = typename V::Mask;
  gather(g, dx, [=](const Source& source, int64_t c, int lanes) {
    const auto won = load_taps<Index>(tap + source.at + c, lanes) == Index(static_cast<Int<T>>(source.tap));
    return select(won, load_first(dy + source.at + c, lanes), V(T(0)));
  });
}

// -- Average

// The taps of a window that count along one axis.
int64_t counted(const PoolAxis& a, int64_t out, bool count_include_pad) {
  const int64_t start = out * a.stride - a.padding, end = start + a.kernel;
  const int64_t first = count_include_pad || start > 0 ? start : 0;
  const int64_t most = count_include_pad ? a.in + a.padding : a.in;
  return (end < most ? end : most) - first;
}

// weight[oh, ow] = 1 / divisor of the window
template <class T>
void fill_weights(const PoolGeometry& g, const AverageRule& rule, T* weight) {
  for (int64_t oh = 0; oh < g.h.out; ++oh) {
    const int64_t rows = counted(g.h, oh, rule.count_include_pad);
    for (int64_t ow = 0; ow < g.w.out; ++ow) {
      const int64_t taps = rows * counted(g.w, ow, rule.count_include_pad);
      *weight++ = T(1) / static_cast<T>(rule.divisor_override ? rule.divisor_override : taps);
    }
  }
}

size_t weight_bytes(const PoolGeometry& g, size_t size) { return static_cast<size_t>(g.h.out * g.w.out) * size; }

template <class Size, class T>
TINYDL_INLINE Vec<T> sum_vector(const Window& window, const T* x, int64_t x_at, int lanes) {
  const Span h = Size::span(window.h), w = Size::span(window.w);
  Vec<T> total(T(0));
  for (int64_t i = h.first; i < h.last; ++i) {
    Vec<T> row(T(0));
    for (int64_t j = w.first; j < w.last; ++j)
      row = row + load_first(x + (x_at + i * window.row + j * window.column), lanes);
    total = total + row;
  }
  return total;
}

template <class T>
void average(const PoolGeometry& g, const AverageRule& rule, const T* x, T* y) {
  Scratch scratch(weight_bytes(g, sizeof(T)));
  T* weights = static_cast<T*>(scratch.data());
  fill_weights(g, rule, weights);
  by_kernel(g, [&](auto kernel) {
    for_each_window(g, y, [&](const Window& window, bool whole, int64_t y_at, bool past) {
      const Vec<T> weight(weights[window.number]);
      specialise(kernel, whole, [&](auto size) {
        for_channels<T>(g.channels, [&](int64_t c, int lanes) {
          store_first(sum_vector<decltype(size)>(window, x, window.at + c, lanes) * weight, y + y_at + c, lanes, past);
        });
      });
    });
  });
}

template <class T>
void average_backward(const PoolGeometry& g, const AverageRule& rule, const T* dy, T* dx) {
  using V = Vec<T>;
  Scratch scratch(weight_bytes(g, sizeof(T)));
  T* weight = static_cast<T*>(scratch.data());
  fill_weights(g, rule, weight);
  gather(g, dx, [=](const Source& source, int64_t c, int lanes) {
    return load_first(dy + source.at + c, lanes) * V(weight[source.window]);
  });
}

template <class T>
constexpr PoolKernels<T> kernels = {
    max_pool<T>, max_pool_tap<T, uint8_t>, max_pool_tap<T, int32_t>, max_backward<T, uint8_t>, max_backward<T, int32_t>,
    average<T>,  average_backward<T>,
};

}  // namespace

extern const ByType<PoolKernels> pool_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
