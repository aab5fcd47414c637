// Depthwise convolution (as many groups as channels): vectors run over channels, and no product of matrices helps.
//
// Both the forward pass and the input gradient are sweeps (sweep.h), whose inner loops are in sweep_pixels.h. Images
// are read where they lie, without a margin: pixels near an edge take a list of the taps inside.
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
#include "cpu/conv/sweep.h"
#include "cpu/conv/sweep_operands.h"
#include "cpu/conv/sweep_pixels.h"
#include "cpu/runtime/allocator.h"
#include "cpu/runtime/parallel.h"

namespace tinydl::TINYDL_TIER {

// Depthwise (one channel would be a product of matrices after all), or groups of as many filters as channels of which
// a vector holds several.
template <class T>
bool is_swept(const ConvGeometry& g) {
  if (g.groups == 1) return false;
  return g.group_channels() == 1 || (g.group_channels() == g.group_filters() && 2 * g.group_channels() <= Vec<T>::size);
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
  const int workers = workers_for(tasks, work);
  Scratch scratch(static_cast<size_t>(workers * (taps + 1)) * sizeof(PixelTap));
  PixelTap* lists = static_cast<PixelTap*>(scratch.data());
  const int64_t block = s.channel_block();
  parallel_for_workers(tasks, workers, [&](int64_t begin, int64_t end, int worker) {
    const FlushDenormals flush;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t column = task % blocks * kSweepColumns, end_column = smaller(s.w.count, column + kSweepColumns);
      for (int64_t c = 0; c < s.channels; c += block)
        sweep_line(s, task / blocks, column, end_column, {c, smaller(block, s.channels - c)},
                   lists + worker * (taps + 1));
    }
  });
}

template <class T>
void depthwise_forward(const ConvGeometry& g, const T* x, const ConvWeight<T>& w, const Epilogue<T>& epilogue, T* y) {
  const SweepWeights<T> weights(g, w, false);
  const RepeatedImages<T> images(g);
  const AxisTaps taps(g);
  Sweep<T> sweep(g);
  sweep.h = forward_axis(g.h, taps.h());
  sweep.w = forward_axis(g.w, taps.w());
  sweep.read(images.of(x), g.h.input, g.w.input);
  sweep.write(y, g.h.output, g.w.output);
  sweep.weigh(weights.data());
  sweep.epilogue = epilogue;
  run_sweep(sweep);
}

template <class T>
void depthwise_input_grad(const ConvGeometry& g, const T* dy, const ConvWeight<T>& w, const T* bias, T* dx) {
  const SweepWeights<T> weights(g, w, g.group_channels() > 1);
  const RepeatedImages<T> images(g);
  const AxisTaps taps(g);
  Sweep<T> sweep(g);
  sweep.read(dy, g.h.output, g.w.output);
  sweep.write(images.before(dx), g.h.input, g.w.input);
  sweep.weigh(weights.data());
  if (!images.needed()) sweep.epilogue.bias = bias;
  for (int64_t phase_h = 0; phase_h < phase_count(g.h); ++phase_h)
    for (int64_t phase_w = 0; phase_w < phase_count(g.w); ++phase_w) {
      sweep.h = gradient_axis(g.h, phase_h, taps.h());
      sweep.w = gradient_axis(g.w, phase_w, taps.w());
      run_sweep(sweep);
    }
  images.sum(bias, dx);
}

}  // namespace tinydl::TINYDL_TIER
