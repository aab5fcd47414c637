// Pooling of channels-last images: a thread has a pack of channels of a pixel of the output, in backward of the input,
// whose windows it gathers. Windows that overlap find each other's pixels in the caches, so that about each element
// of both arrays is moved once: 5 bytes of output and 4 of each input pixel for max pooling of float32 with taps.
#include "contract/pool.h"

#include <initializer_list>
#include <type_traits>

#include "cuda/device/math.h"
#include "cuda/device/pixels.h"

namespace tinydl::cuda {

namespace {

// PoolAxis in integers of 32 bits where that is enough, else of 64.
template <class I>
struct Axis {
  I in, out, kernel, stride, padding, dilation;
  explicit Axis(const PoolAxis& a)
      : in(static_cast<I>(a.in)),
        out(static_cast<I>(a.out)),
        kernel(static_cast<I>(a.kernel)),
        stride(static_cast<I>(a.stride)),
        padding(static_cast<I>(a.padding)),
        dilation(static_cast<I>(a.dilation)) {}
};

bool fits_32_bits(const PoolAxis& a) {
  constexpr int64_t limit = int64_t(1) << 29;
  for (const int64_t n : {a.in, a.out, a.kernel, a.stride, a.padding, a.dilation})
    if (n >= limit) return false;
  return a.kernel * a.dilation < limit && a.out * a.stride < limit;
}

template <class I>
struct Geometry {
  int64_t channels;
  Axis<I> h, w;
  explicit Geometry(const PoolGeometry& g) : channels(g.channels), h(g.h), w(g.w) {}
};

// The taps of a window that lie inside the image along one axis: [first, last), the first of which reads `start`.
template <class I>
struct Taps {
  I first, last, start;
  __device__ Taps(const Axis<I>& a, I out) : first(0), last(a.kernel), start(out * a.stride - a.padding) {
    if (start + (a.kernel - 1) * a.dilation >= a.in) {
      const I most = start >= a.in ? 0 : (a.in - start + a.dilation - 1) / a.dilation;
      if (most < last) last = most;
    }
    if (start >= 0) return;
    first = (-start + a.dilation - 1) / a.dilation;
    start += first * a.dilation;
  }
};

// Along one axis, the windows [first, last) that reach over a position, which is `at` pixels after the start of
// window 0.
template <class I>
struct Cover {
  I first, last, at;
  __device__ Cover(const Axis<I>& a, I position) : at(position + a.padding) {
    const I extent = (a.kernel - 1) * a.dilation + 1, end = at / a.stride + 1;
    first = at < extent ? 0 : (at - extent) / a.stride + 1;
    last = end < a.out ? end : a.out;
  }
  // The tap of a window that reads the position; -1 where dilation makes it step over.
  __device__ I tap(const Axis<I>& a, I window) const {
    const I offset = at - window * a.stride;
    if (a.dilation == 1) return offset;
    return offset % a.dilation == 0 ? offset / a.dilation : I(-1);
  }
};

// Calls body(where the pack is in x, the tap's number) for the taps inside, row by row, and end_row() after each row.
template <class I, class Body, class EndRow>
__device__ __forceinline__ void for_each_tap(const Geometry<I>& g, const PixelPlace& place, const Body& body,
                                             const EndRow& end_row) {
  const Taps<I> h(g.h, static_cast<I>(place.row)), w(g.w, static_cast<I>(place.column));
  const int64_t column = int64_t(g.w.dilation) * g.channels;
  for (I i = h.first; i < h.last; ++i) {
    const int64_t row = place.outer * g.h.in + h.start + (i - h.first) * g.h.dilation;
    int64_t at = (row * g.w.in + w.start) * g.channels + place.inner;
    for (I j = w.first; j < w.last; ++j, at += column) body(at, static_cast<int32_t>(i * g.w.kernel + j));
    end_row();
  }
}

struct NoTaps {};

template <int width, class I, class T, class Tap>
__global__ void max_kernel(Pixels pixels, Geometry<I> g, const T* x, T* y, Tap* tap) {
  using W = Wide<T>;
  for (int64_t n = thread_in_grid(); n < pixels.count; n += threads_in_grid()) {
    W best[width];
    int32_t winner[width];
#pragma unroll
    for (int j = 0; j < width; ++j) best[j] = -kInfinity<W>;
    bool first = true;
#pragma unroll
    for (int j = 0; j < width; ++j) winner[j] = 0;
    const auto take = [&](int64_t at, int32_t number) {
      const Pack<T, width> pack = load_pack<width>(x + at);
#pragma unroll
      for (int j = 0; j < width; ++j) {
        const W value = widen(pack.v[j]);
        const bool better = value > best[j] || value != value;
        best[j] = better ? value : best[j];
        winner[j] = better || first ? number : winner[j];
      }
      first = false;
    };
    for_each_tap(g, pixels.locate(n), take, [] {});
    Pack<T, width> out;
#pragma unroll
    for (int j = 0; j < width; ++j) out.v[j] = static_cast<T>(best[j]);
    store_pack(y + n * width, out);
    if constexpr (!std::is_same_v<Tap, NoTaps>) {
      Pack<Tap, width> numbers;
#pragma unroll
      for (int j = 0; j < width; ++j) numbers.v[j] = static_cast<Tap>(winner[j]);
      store_pack(tap + n * width, numbers);
    }
  }
}

// Calls body(where the pack is in y, oh, ow, the tap's number) for the windows that hold a pixel, in their order.
template <class I, class Body>
__device__ __forceinline__ void for_each_window(const Geometry<I>& g, const PixelPlace& place, const Body& body) {
  const Cover<I> h(g.h, static_cast<I>(place.row)), w(g.w, static_cast<I>(place.column));
  for (I oh = h.first; oh < h.last; ++oh) {
    const I i = h.tap(g.h, oh);
    if (i < 0) continue;
    for (I ow = w.first; ow < w.last; ++ow) {
      const I j = w.tap(g.w, ow);
      if (j < 0) continue;
      const int64_t at = ((place.outer * g.h.out + oh) * g.w.out + ow) * g.channels + place.inner;
      body(at, oh, ow, static_cast<int32_t>(i * g.w.kernel + j));
    }
  }
}

template <int width, class I, class T, class Tap>
__global__ void max_backward_kernel(Pixels pixels, Geometry<I> g, const T* dy, const Tap* tap, T* dx) {
  using W = Wide<T>;
  for (int64_t n = thread_in_grid(); n < pixels.count; n += threads_in_grid()) {
    W total[width];
#pragma unroll
    for (int j = 0; j < width; ++j) total[j] = 0;
    for_each_window(g, pixels.locate(n), [&](int64_t at, I, I, int32_t number) {
      const Pack<Tap, width> winner = load_pack<width>(tap + at);
      const Pack<T, width> upstream = load_pack<width>(dy + at);
#pragma unroll
      for (int j = 0; j < width; ++j)
        if (static_cast<int32_t>(winner.v[j]) == number) total[j] += widen(upstream.v[j]);
    });
    Pack<T, width> out;
#pragma unroll
    for (int j = 0; j < width; ++j) out.v[j] = static_cast<T>(total[j]);
    store_pack(dx + n * width, out);
  }
}

// The taps of a window that count along one axis.
template <class I>
__device__ __forceinline__ I counted(const Axis<I>& a, I out, bool count_include_pad) {
  const I start = out * a.stride - a.padding, end = start + a.kernel;
  const I first = count_include_pad || start > 0 ? start : 0;
  const I most = count_include_pad ? a.in + a.padding : a.in;
  return (end < most ? end : most) - first;
}

template <class W, class I>
__device__ __forceinline__ W weight_of(const Geometry<I>& g, const AverageRule& rule, I oh, I ow) {
  if (rule.divisor_override != 0) return W(1) / static_cast<W>(rule.divisor_override);
  const int64_t rows = counted(g.h, oh, rule.count_include_pad), columns = counted(g.w, ow, rule.count_include_pad);
  return W(1) / static_cast<W>(rows * columns);
}

template <int width, class I, class T>
__global__ void average_kernel(Pixels pixels, Geometry<I> g, AverageRule rule, const T* x, T* y) {
  using W = Wide<T>;
  for (int64_t n = thread_in_grid(); n < pixels.count; n += threads_in_grid()) {
    W total[width], row[width];
#pragma unroll
    for (int j = 0; j < width; ++j) total[j] = row[j] = 0;
    const auto take = [&](int64_t at, int32_t) {
      const Pack<T, width> pack = load_pack<width>(x + at);
#pragma unroll
      for (int j = 0; j < width; ++j) row[j] += widen(pack.v[j]);
    };
    const auto end_row = [&] {
#pragma unroll
      for (int j = 0; j < width; ++j) {
        total[j] += row[j];
        row[j] = 0;
      }
    };
    const PixelPlace place = pixels.locate(n);
    for_each_tap(g, place, take, end_row);
    const W weight = weight_of<W>(g, rule, static_cast<I>(place.row), static_cast<I>(place.column));
    Pack<T, width> out;
#pragma unroll
    for (int j = 0; j < width; ++j) out.v[j] = static_cast<T>(total[j] * weight);
    store_pack(y + n * width, out);
  }
}

template <int width, class I, class T>
__global__ void average_backward_kernel(Pixels pixels, Geometry<I> g, AverageRule rule, const T* dy, T* dx) {
  using W = Wide<T>;
  for (int64_t n = thread_in_grid(); n < pixels.count; n += threads_in_grid()) {
    W total[width];
#pragma unroll
    for (int j = 0; j < width; ++j) total[j] = 0;
    for_each_window(g, pixels.locate(n), [&](int64_t at, I oh, I ow, int32_t) {
      const W weight = weight_of<W>(g, rule, oh, ow);
      const Pack<T, width> upstream = load_pack<width>(dy + at);
#pragma unroll
      for (int j = 0; j < width; ++j) total[j] += widen(upstream.v[j]) * weight;
    });
    Pack<T, width> out;
#pragma unroll
    for (int j = 0; j < width; ++j) out.v[j] = static_cast<T>(total[j]);
    store_pack(dx + n * width, out);
  }
}

template <int n>
using Width = std::integral_constant<int, n>;

// Calls run(Width<n>, geometry) with the widest packs that channels and pointers take, and the shortest integers.
template <class T, class Run, class... P>
void by_width(const PoolGeometry& g, const Run& run, const P*... pointers) {
  const bool packs = g.channels % kPack<T> == 0 && (is_aligned(pointers, kPack<T>) && ...);
  const auto by_integer = [&](auto width) {
    if (fits_32_bits(g.h) && fits_32_bits(g.w))
      run(width, Geometry<int32_t>(g));
    else
      run(width, Geometry<int64_t>(g));
  };
  if (packs)
    by_integer(Width<kPack<T>>());
  else
    by_integer(Width<1>());
}

template <class T, class Tap>
void run_max(const PoolGeometry& g, const T* x, T* y, Tap* tap) {
  const auto run = [&](auto width, const auto& geometry) {
    using I = decltype(geometry.h.in);
    const Pixels pixels(g.n, g.h.out, g.w.out, g.channels, width());
    launch(max_kernel<width(), std::remove_const_t<I>, T, Tap>, blocks_for(pixels.count), kThreads, pixels, geometry, x,
           y, tap);
  };
  if constexpr (std::is_same_v<Tap, NoTaps>)
    by_width<T>(g, run, x, y);
  else
    by_width<T>(g, run, x, y, tap);
}

template <class T>
void max_pool(const PoolGeometry& g, const T* x, T* y) {
  run_max<T, NoTaps>(g, x, y, nullptr);
}

template <class T, class Tap>
void max_backward(const PoolGeometry& g, const T* dy, const Tap* tap, T* dx) {
  const auto run = [&](auto width, const auto& geometry) {
    using I = decltype(geometry.h.in);
    const Pixels pixels(g.n, g.h.in, g.w.in, g.channels, width());
    launch(max_backward_kernel<width(), std::remove_const_t<I>, T, Tap>, blocks_for(pixels.count), kThreads, pixels,
           geometry, dy, tap, dx);
  };
  by_width<T>(g, run, dy, tap, dx);
}

template <class T>
void average(const PoolGeometry& g, const AverageRule& rule, const T* x, T* y) {
  const auto run = [&](auto width, const auto& geometry) {
    using I = decltype(geometry.h.in);
    const Pixels pixels(g.n, g.h.out, g.w.out, g.channels, width());
    launch(average_kernel<width(), std::remove_const_t<I>, T>, blocks_for(pixels.count), kThreads, pixels, geometry,
           rule, x, y);
  };
  by_width<T>(g, run, x, y);
}

template <class T>
void average_backward(const PoolGeometry& g, const AverageRule& rule, const T* dy, T* dx) {
  const auto run = [&](auto width, const auto& geometry) {
    using I = decltype(geometry.h.in);
    const Pixels pixels(g.n, g.h.in, g.w.in, g.channels, width());
    launch(average_backward_kernel<width(), std::remove_const_t<I>, T>, blocks_for(pixels.count), kThreads, pixels,
           geometry, rule, dy, dx);
  };
  by_width<T>(g, run, dy, dx);
}

template <class T>
constexpr PoolKernels<T> kernels = {
    max_pool<T>, run_max<T, uint8_t>, run_max<T, int32_t>, max_backward<T, uint8_t>, max_backward<T, int32_t>,
    average<T>,  average_backward<T>,
};

}  // namespace

TINYDL_CUDA_TABLE(PoolKernels, pool, kernels);

}  // namespace tinydl::cuda
