// A sweep over images: output i of an axis reads, through each tap, the source position offset + i * step. The forward
// pass of a depthwise convolution is one; its input gradient is one for each residue of the position modulo the stride.
#pragma once
#include "contract/conv.h"
#include "cpu/conv/phases.h"
#include "cpu/matmul/tile.h"
#include "cpu/runtime/allocator.h"
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kSweepColumns = 128;  // outputs of a task, along a row
constexpr int64_t kSweepCache = 24576;

// A tap of the kernel along one axis, and the source position that output 0 reads through it.
struct AxisTap {
  int64_t tap, offset;
};

struct SweepAxis {
  int64_t count = 0;                    // outputs
  int64_t step = 1;                     // from one output's source to the next's
  int64_t source = 0;                   // positions of the source
  int64_t out_first = 0, out_step = 1;  // where the outputs lie
  const AxisTap* taps = nullptr;        // offsets ascend
  int tap_count = 0;
  int64_t inner_first = 0, inner_last = 0;  // the outputs all of whose taps are inside

  bool inside(int tap, int64_t i) const {
    const int64_t at = taps[tap].offset + i * step;
    return at >= 0 && at < source;
  }
  // Keeps the taps, and finds the inner outputs.
  void take(const AxisTap* given, int given_count) {
    taps = given;
    tap_count = given_count;
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
  int64_t batch, channels;
  int64_t group;  // channels of a group, all of which every output of the group reads
  int64_t kernel_h, kernel_w;
  SweepAxis h, w;
  const T* x = nullptr;
  int64_t x_image = 0, x_row = 0;  // from one image and one row to the next; pixels are `channels` apart
  T* y = nullptr;
  int64_t y_image = 0, y_row = 0;
  const T* weights = nullptr;  // (vectors of channels, KH, KW, group, span): each vector's lie together
  int64_t tap_step = 0;        // from one tap's weights to the next's
  Epilogue<T> epilogue = {};

  // What all sweeps of a convolution share.
  explicit Sweep(const ConvGeometry& g)
      : batch(g.batch), channels(g.filters), group(g.group_channels()), kernel_h(g.h.kernel), kernel_w(g.w.kernel) {}

  void read(const T* data, int64_t rows, int64_t columns) {
    x = data;
    x_row = columns * channels;
    x_image = rows * x_row;
  }
  void write(T* data, int64_t rows, int64_t columns) {
    y = data;
    y_row = columns * channels;
    y_image = rows * y_row;
  }
  void weigh(const T* gathered) {
    weights = gathered;
    tap_step = span() * group;
  }

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

// Room for the taps of both axes.
class AxisTaps {
 public:
  explicit AxisTaps(const ConvGeometry& g)
      : room_(static_cast<size_t>(g.h.kernel + g.w.kernel) * sizeof(AxisTap)), rows_(g.h.kernel) {}
  AxisTap* h() const { return static_cast<AxisTap*>(room_.data()); }
  AxisTap* w() const { return h() + rows_; }

 private:
  Scratch room_;
  int64_t rows_;
};

// The axis of a forward pass; `taps` is room for its kernel.
inline SweepAxis forward_axis(const ConvAxis& a, AxisTap* taps) {
  for (int64_t t = 0; t < a.kernel; ++t) taps[t] = {t, t * a.dilation - a.pad_before};
  SweepAxis axis;
  axis.count = a.output;
  axis.step = a.stride;
  axis.source = a.input;
  axis.take(taps, static_cast<int>(a.kernel));
  return axis;
}

// The axis of an input gradient at the positions of one phase.
inline SweepAxis gradient_axis(const ConvAxis& a, int64_t phase, AxisTap* taps) {
  int count = 0;
  for (int64_t t = a.kernel - 1; t >= 0; --t)
    if (PhaseTaps::meets(a, phase, t)) taps[count++] = {t, PhaseTaps::first(a, phase, t)};
  SweepAxis axis;
  axis.count = PhaseTaps(a, phase).positions;
  axis.source = a.output;
  axis.out_first = phase;
  axis.out_step = a.stride;
  axis.take(taps, count);
  return axis;
}

}  // namespace tinydl::TINYDL_TIER
