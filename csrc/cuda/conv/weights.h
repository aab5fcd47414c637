// Weights in the order that products read them.
#pragma once
#include "contract/conv.h"
#include "cuda/conv/geometry.h"
#include "cuda/device/grid.h"
#include "cuda/device/pack.h"
#include "cuda/runtime/launch.h"
#include "cuda/runtime/memory.h"

namespace tinydl::cuda {

// Packed (group, tap, read, made) with rows of `pitch` elements, zeros beyond those made, or where groups lie side by
// side (tap, read, group, made): the forward pass reads channels and makes filters, the input gradient the other way
// round. There the taps of a class stay together.
struct WeightPacking {
  TapAxis h, w;
  bool backward, side_by_side;
  int64_t groups, read, made, pitch;

  WeightPacking(const ConvGeometry& g, bool backward, bool side_by_side, int width)
      : h(g.h),
        w(g.w),
        backward(backward),
        side_by_side(side_by_side),
        groups(g.groups),
        read(backward ? g.group_filters() : g.group_channels()),
        made(backward ? g.group_channels() : g.group_filters()),
        pitch(side_by_side ? made : (made + width - 1) / width * width) {}

  int64_t group_stride() const { return int64_t(h.kernel) * w.kernel * read * pitch; }
  TINYDL_ANYWHERE int64_t count() const { return groups * h.kernel * w.kernel * read * pitch; }

  // The tap at a place of the packed order: classes of rows, classes of columns, rows, columns.
  __device__ void tap_at(int place, int& r, int& s) const {
    if (!backward || side_by_side) {
      r = place / w.kernel, s = place % w.kernel;
      return;
    }
    int r0 = 0, s0 = 0;
    for (; place >= h.taps_of(r0) * w.kernel; ++r0) place -= h.taps_of(r0) * w.kernel;
    for (; place >= h.taps_of(r0) * w.taps_of(s0); ++s0) place -= h.taps_of(r0) * w.taps_of(s0);
    r = r0 + place / w.taps_of(s0) * h.period, s = s0 + place % w.taps_of(s0) * w.period;
  }
};

template <class T>
__global__ void pack_weights_kernel(WeightPacking p, ConvWeight<T> w, T* to) {
  const int64_t count = p.count(), taps = int64_t(p.h.kernel) * p.w.kernel;
  for (int64_t i = thread_in_grid(); i < count; i += threads_in_grid()) {
    int64_t rest = quotient(i, p.pitch), group = 0;
    const int64_t made = i - rest * p.pitch;
    if (p.side_by_side) {
      const int64_t row = quotient(rest, p.groups);
      group = rest - row * p.groups;
      rest = row;
    }
    const int64_t tap_and_group = quotient(rest, p.read), read = rest - tap_and_group * p.read;
    if (!p.side_by_side) group = quotient(tap_and_group, taps);
    int r, s;
    p.tap_at(static_cast<int>(p.side_by_side ? tap_and_group : tap_and_group - group * taps), r, s);
    const int64_t filter = p.backward ? group * p.read + read : group * p.made + made;
    const int64_t channel = p.backward ? made : read;
    to[i] = T(0.0f);
    if (made < p.made)
      to[i] = w.data[filter * w.filter_stride + channel * w.channel_stride + r * w.row_stride + s * w.column_stride];
  }
}

template <class T>
class PackedWeights {
 public:
  PackedWeights(const WeightPacking& packing, const ConvWeight<T>& w)
      : memory_(static_cast<size_t>(packing.count()) * sizeof(T)) {
    launch(pack_weights_kernel<T>, blocks_for(packing.count()), kThreads, packing, w, data());
  }
  T* data() const { return static_cast<T*>(memory_.data()); }

 private:
  Scratch memory_;
};

}  // namespace tinydl::cuda
