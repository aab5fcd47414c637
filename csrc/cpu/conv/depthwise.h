// Depthwise convolution (as many groups as channels): vectors run over channels, and no product of matrices helps.
//
// Both the forward pass and the input gradient are sweeps: output i of an axis reads, through each tap, the source
// position offset + i * step. The gradient makes one sweep for each residue of the position modulo the stride. Images
// are read where they lie, without a margin: pixels near an edge take a list of the taps inside. Eight neighbouring
// pixels share a weight; taps that follow each other in the image share its loads too (0.54 loads per FMA for 3 x 3).
//
// A 3 x 3 layer does 18 FLOP for 12 bytes (a read, a write and the write's fetch): about 1.5 FLOP a byte, bound by
// memory unless the images fit into the caches. Several filters for each channel first repeat the image's channels,
// so that every filter has one of its own. Narrow groups of as many filters as channels run here too: a vector holds
// several whole groups, and each of its channels in turn is permuted to its group's lanes.
//
// Measured forward on one core beside busy neighbours, best of 15 by CPU time; rates moved by half between runs, so
// read the ratios, PyTorch 2.13's time over ours in the same run: 3 x 3 over (8, 144, 56, 56) 0.6-0.8 (11-22 GB/s),
// over (8, 960, 7, 7) 0.9-1.4; 5 x 5 over (8, 240, 28, 28) 0.8-0.9; 7 x 7 over (8, 64, 28, 28) 0.4-0.6; 3 x 3 over (8,
// 128, 28, 28) in 32 groups 1.5-1.6, where products of matrices had 0.3-0.4, and over (8, 256, 28, 28) 0.6-0.9 after
// 0.4. Keeping each vector's weights together gained 7 % there and 2-5 % elsewhere (nine interleaved pairs of runs).
#pragma once
#include "cpu/conv/conv.h"
#include "cpu/conv/phases.h"
#include "cpu/conv/weight_grad.h"
#include "cpu/matmul/tile.h"
#include "cpu/runtime/allocator.h"
#include "cpu/runtime/parallel.h"
#include "cpu/simd/lanes.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kSweepColumns = 128;  // outputs of a task, along a row
constexpr int64_t kSweepCache = 24576;

// A tap of the kernel along one axis, and the source position that output 0 reads through it.
struct AxisTap {
  int64_t tap, offset;
};

struct SweepAxis {
  int64_t count, step, source;  // outputs; from one output's source to the next's; positions of the source
  int64_t out_first, out_step;  // where the outputs lie
  const AxisTap* taps;          // offsets ascend
  int tap_count;
  int64_t inner_first, inner_last;  // the outputs all of whose taps are inside

  bool inside(int tap, int64_t i) const {
    const int64_t at = taps[tap].offset + i * step;
    return at >= 0 && at < source;
  }
  void find_inner() {
    inner_first = 0;
    inner_last = count;
    if (tap_count == 0) return;
    const int64_t low = taps[0].offset, high = taps[tap_count - 1].offset;
    if (low < 0) inner_first = smaller(count, div_up(-low, step));
    inner_last = high >= source ? 0 : smaller(count, (source - 1 - high) / step + 1);
    inner_last = larger(inner_first, inner_last);
  }
};

// One tap of a pixel: where it reads, from the pixel's first channel, and its weights.
struct PixelTap {
  int64_t x, w;
};

struct Channels {
  int64_t first, count;
};

template <class T>
struct Sweep {
  SweepAxis h, w;
  int64_t batch, channels;
  const T* x;
  T* y;
  int64_t x_image, x_row, y_image, y_row;  // pixels are `channels` apart
  const T* weights;                        // (vectors of channels, KH, KW, group, span): each vector's lie together
  int64_t kernel_h, kernel_w;
  int64_t group;     // channels of a group, all of which every output of the group reads
  int64_t tap_step;  // from one tap's weights to the next's
  Epilogue<T> epilogue;

  // The weights of a vector of channels, whose first is a multiple of span().
  const T* weights_of(int64_t c) const { return weights + c * kernel_h * kernel_w * group; }
  // Channels of a vector: whole groups.
  int64_t span() const { return Vec<T>::size / group * group; }

  // Channels that are swept together: with their weights, the pixels that a block reads stay in the first-level cache.
  int64_t channel_block() const {
    const int64_t rows = h.tap_count, columns = w.tap_count;
    const int64_t vectors = kSweepCache / kVectorBytes / (rows * columns * group + rows * (8 + columns) + 1);
    return larger(1, vectors) * span();
  }

  // The taps of output row i, column j that are inside; x counts from the image, less j's own offset.
  int list_taps(int64_t i, int64_t j, PixelTap* list) const {
    int count = 0;
    for (int r = 0; r < h.tap_count; ++r) {
      if (!h.inside(r, i)) continue;
      for (int s = 0; s < w.tap_count; ++s)
        if (w.inside(s, j))
          list[count++] = {(h.taps[r].offset + i * h.step) * x_row + w.taps[s].offset * channels,
                           (h.taps[r].tap * kernel_w + w.taps[s].tap) * tap_step};
    }
    return count;
  }
};

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

// Outputs [begin, end) of row `line`, some channels of them.
template <class T>
void sweep_line(const Sweep<T>& s, int64_t line, int64_t begin, int64_t end, Channels range, PixelTap* list) {
  const int64_t image = line / s.h.count, i = line % s.h.count;
  const T* x = s.x + image * s.x_image;
  T* y = s.y + image * s.y_image + (s.h.out_first + i * s.h.out_step) * s.y_row + s.w.out_first * s.channels;
  const int64_t x_step = s.w.step * s.channels, y_step = s.w.out_step * s.channels;
  const int64_t first = larger(begin, smaller(end, s.w.inner_first));
  const int64_t last = larger(first, smaller(end, s.w.inner_last));
  int64_t j = begin;
  for (; j < first; ++j) sweep_pixel(s, x + j * x_step, y + j * y_step, list, s.list_taps(i, j, list), range);
  if (first < last) {
    const int count = s.list_taps(i, first, list), sliding = sliding_taps<T>(s.w);
    for (; j + 8 <= last; j += 8) sweep_block<T, 8>(s, x + j * x_step, y + j * y_step, list, count, sliding, range);
    for (; j + 4 <= last; j += 4) sweep_block<T, 4>(s, x + j * x_step, y + j * y_step, list, count, sliding, range);
    for (; j < last; ++j) sweep_pixel(s, x + j * x_step, y + j * y_step, list, count, range);
  }
  for (; j < end; ++j) sweep_pixel(s, x + j * x_step, y + j * y_step, list, s.list_taps(i, j, list), range);
}

template <class T>
void run_sweep(const Sweep<T>& s) {
  const int64_t blocks = div_up(s.w.count, kSweepColumns), tasks = s.batch * s.h.count * blocks;
  const int64_t taps = static_cast<int64_t>(s.h.tap_count) * s.w.tap_count;
  const int64_t work = s.batch * s.h.count * s.w.count * div_up(s.channels, Vec<T>::size) * (taps * s.group + 8) / 2;
  Scratch scratch(static_cast<size_t>(workers_for(tasks, work) * (taps + 1)) * sizeof(PixelTap));
  PixelTap* lists = static_cast<PixelTap*>(scratch.data());
  const int64_t block = s.channel_block();
  parallel_for(tasks, work, [&](int64_t begin, int64_t end, int worker) {
    const FlushDenormals flush;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t column = task % blocks * kSweepColumns, end_column = smaller(s.w.count, column + kSweepColumns);
      for (int64_t c = 0; c < s.channels; c += block)
        sweep_line(s, task / blocks, column, end_column, {c, smaller(block, s.channels - c)},
                   lists + worker * (taps + 1));
    }
  });
}

// The axis of a forward pass; `taps` is room for its kernel.
inline SweepAxis forward_axis(const ConvAxis& a, AxisTap* taps) {
  for (int64_t t = 0; t < a.kernel; ++t) taps[t] = {t, t * a.dilation - a.pad_before};
  SweepAxis axis{a.output, a.stride, a.input, 0, 1, taps, static_cast<int>(a.kernel), 0, 0};
  axis.find_inner();
  return axis;
}

// The axis of an input gradient at the positions of one phase.
inline SweepAxis gradient_axis(const ConvAxis& a, int64_t phase, AxisTap* taps) {
  int count = 0;
  for (int64_t t = a.kernel - 1; t >= 0; --t)
    if (PhaseTaps::meets(a, phase, t)) taps[count++] = {t, PhaseTaps::first(a, phase, t)};
  SweepAxis axis{PhaseTaps(a, phase).positions, 1, a.output, phase, a.stride, taps, count, 0, 0};
  axis.find_inner();
  return axis;
}

// Elements of a sweep's weights for each tap: whole vectors of channels.
template <class T>
int64_t weight_columns(const ConvGeometry& g, int64_t group) {
  const int64_t span = Vec<T>::size / group * group;
  return div_up(g.filters, span) * span * group;
}

// to (vectors of O, KH, KW, group, span): what each output takes from channel k of its group; or, for the input
// gradient, what each input channel takes from filter k.
template <class T>
void gather_weights(const ConvGeometry& g, const ConvWeight<T>& w, int64_t group, bool transposed, T* to) {
  const int64_t span = Vec<T>::size / group * group;
  for (int64_t first = 0; first < g.filters; first += span)
    for (int64_t r = 0; r < g.h.kernel; ++r)
      for (int64_t s = 0; s < g.w.kernel; ++s)
        for (int64_t k = 0; k < group; ++k, to += span)
          for (int64_t o = first; o < smaller(g.filters, first + span); ++o) {
            const int64_t filter = transposed ? o - o % group + k : o, channel = transposed ? o % group : k;
            to[o - first] =
                w.data[filter * w.filter_stride + channel * w.channel_stride + r * w.row_stride + s * w.column_stride];
          }
}

// Channels repeated for their filters: to[p, c * times + q] = x[p, c].
template <class T>
void repeat_channels(const T* x, int64_t pixels, int64_t channels, int64_t times, T* to) {
  parallel_for(pixels, pixels * channels * times, [=](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * channels; i < end * channels; ++i)
      for (int64_t q = 0; q < times; ++q) to[i * times + q] = x[i];
  });
}

// y[p, c] = bias[c] + sum over q of x[p, c * times + q]
template <class T>
void add_repeats(const T* x, int64_t pixels, int64_t channels, int64_t times, const T* bias, T* y) {
  parallel_for(pixels, pixels * channels * times, [=](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * channels; i < end * channels; ++i) {
      T total = 0;
      for (int64_t q = 0; q < times; ++q) total += x[i * times + q];
      y[i] = bias ? total + bias[i % channels] : total;
    }
  });
}

// Depthwise (one channel would be a product of matrices after all), or groups of as many filters as channels of which
// a vector holds several.
template <class T>
bool is_swept(const ConvGeometry& g) {
  if (g.groups == 1) return false;
  return g.group_channels() == 1 || (g.group_channels() == g.group_filters() && 2 * g.group_channels() <= Vec<T>::size);
}

template <class T>
void depthwise_forward(const ConvGeometry& g, const T* x, const ConvWeight<T>& w, const Epilogue<T>& epilogue, T* y) {
  const int64_t taps = g.h.kernel * g.w.kernel, group = g.group_channels(), times = group == 1 ? g.group_filters() : 1,
                pixels = g.batch * g.h.input * g.w.input;
  Scratch weights(static_cast<size_t>(taps * weight_columns<T>(g, group)) * sizeof(T));
  Scratch axes(static_cast<size_t>(g.h.kernel + g.w.kernel) * sizeof(AxisTap));
  Scratch repeated(times > 1 ? static_cast<size_t>(pixels * g.filters) * sizeof(T) : 0);
  gather_weights(g, w, group, false, static_cast<T*>(weights.data()));
  if (times > 1) {
    repeat_channels(x, pixels, g.channels, times, static_cast<T*>(repeated.data()));
    x = static_cast<const T*>(repeated.data());
  }
  AxisTap* tap = static_cast<AxisTap*>(axes.data());
  const int64_t row = g.w.input * g.filters, y_row = g.w.output * g.filters;
  run_sweep(Sweep<T>{forward_axis(g.h, tap), forward_axis(g.w, tap + g.h.kernel), g.batch, g.filters, x, y,
                     g.h.input * row, row, g.h.output * y_row, y_row, static_cast<const T*>(weights.data()), g.h.kernel,
                     g.w.kernel, group, Vec<T>::size / group * group * group, epilogue});
}

template <class T>
void depthwise_input_grad(const ConvGeometry& g, const T* dy, const ConvWeight<T>& w, const T* bias, T* dx) {
  const int64_t taps = g.h.kernel * g.w.kernel, group = g.group_channels(), times = group == 1 ? g.group_filters() : 1,
                pixels = g.batch * g.h.input * g.w.input;
  Scratch weights(static_cast<size_t>(taps * weight_columns<T>(g, group)) * sizeof(T));
  Scratch axes(static_cast<size_t>(g.h.kernel + g.w.kernel) * sizeof(AxisTap));
  Scratch repeated(times > 1 ? static_cast<size_t>(pixels * g.filters) * sizeof(T) : 0);
  gather_weights(g, w, group, group > 1, static_cast<T*>(weights.data()));
  T* to = times > 1 ? static_cast<T*>(repeated.data()) : dx;
  AxisTap* tap = static_cast<AxisTap*>(axes.data());
  const int64_t row = g.w.output * g.filters, dx_row = g.w.input * g.filters;
  for (int64_t phase_h = 0; phase_h < phase_count(g.h); ++phase_h)
    for (int64_t phase_w = 0; phase_w < phase_count(g.w); ++phase_w)
      run_sweep(Sweep<T>{gradient_axis(g.h, phase_h, tap), gradient_axis(g.w, phase_w, tap + g.h.kernel), g.batch,
                         g.filters, dy, to, g.h.output * row, row, g.h.input * dx_row, dx_row,
                         static_cast<const T*>(weights.data()), g.h.kernel, g.w.kernel, group,
                         Vec<T>::size / group * group * group,
                         Epilogue<T>{times > 1 ? nullptr : bias, Activation::none}});
  if (times > 1) add_repeats(to, pixels, g.channels, times, bias, dx);
}

}  // namespace tinydl::TINYDL_TIER
