// The weights of a convolution as the right operand of a product, tap by tap.
#pragma once
#include "contract/conv.h"
#include "cpu/matmul/depth.h"
#include "cpu/runtime/allocator.h"

namespace tinydl::TINYDL_TIER {

struct Tap {
  int64_t row, column;  // in the kernel
  int64_t a_offset;     // from a pixel's pointer to what the tap reads
};

// The weights as B: k counts (tap, channel), the channel fastest. Forward, channels are the input's; for the input
// gradient, the filters.
template <class T>
struct TapColumns {
  const T* data;
  const Tap* taps;
  int64_t channels, row_stride, column_stride, k_stride, n_stride;

  int64_t at(int64_t k, const T** from) const {
    const Tap& tap = taps[k / channels];
    const int64_t channel = k % channels;
    *from = data + tap.row * row_stride + tap.column * column_stride + channel * k_stride;
    return channels - channel;
  }
  bool is_packed(int64_t) const { return false; }
  const T* packed_data() const { return nullptr; }
};

template <class T>
TapColumns<T> forward_columns(const ConvGeometry& g, const ConvWeight<T>& w, int64_t group, const Tap* taps) {
  return {w.data + group * g.group_filters() * w.filter_stride,
          taps,
          g.group_channels(),
          w.row_stride,
          w.column_stride,
          w.channel_stride,
          w.filter_stride};
}
template <class T>
TapColumns<T> input_grad_columns(const ConvGeometry& g, const ConvWeight<T>& w, int64_t group, const Tap* taps) {
  return {w.data + group * g.group_filters() * w.filter_stride,
          taps,
          g.group_filters(),
          w.row_stride,
          w.column_stride,
          w.filter_stride,
          w.channel_stride};
}

// All taps of a kernel, which move a pixel's pointer by `row` and `pixel` elements for each row and column.
class TapList {
 public:
  TapList(const ConvGeometry& g, int64_t row, int64_t pixel)
      : memory_(static_cast<size_t>(g.h.kernel * g.w.kernel) * sizeof(Tap)) {
    Tap* taps = static_cast<Tap*>(memory_.data());
    for (int64_t r = 0; r < g.h.kernel; ++r)
      for (int64_t s = 0; s < g.w.kernel; ++s) *taps++ = {r, s, r * g.h.dilation * row + s * g.w.dilation * pixel};
  }
  const Tap* data() const { return static_cast<const Tap*>(memory_.data()); }

 private:
  Scratch memory_;
};

// k counts (tap, channel); neighbouring taps that continue each other in memory make one run.
struct TapRuns {
  const Tap* taps;
  int tap_count;
  int64_t channels;

  int64_t total() const { return tap_count * channels; }
  Depth cut(int64_t limit) const {
    Depth depth(2 * tap_count + total() / limit + 2, total() / limit + 2);
    for (int t = 0; t < tap_count; ++t) {
      const int64_t offset = taps[t].a_offset;
      int64_t length = channels;
      for (; t + 1 < tap_count && taps[t + 1].a_offset == offset + length; ++t) length += channels;
      depth.add(offset, 1, length, limit);
    }
    depth.finish();
    return depth;
  }
};

}  // namespace tinydl::TINYDL_TIER
