// Weights in the order that products read them.
#pragma once
#include "contract/conv.h"
#include "cuda/conv/geometry.h"
#include "cuda/device/grid.h"
#include "cuda/device/pack.h"
#include "cuda/runtime/launch.h"
#include "cuda/runtime/memory.h"

namespace tinydl::cuda {

// Packed (group, tap, read, made) with rows of `pitch` elements, zeros beyond those made: the forward pass reads
// channels and makes filters, the input gradient the other way round. There the taps of a class stay together.
struct WeightPacking {
  TapAxis h, w;
  bool backward;
  int64_t groups, read, made, pitch;

  int64_t rows() const { return groups * h.kernel * w.kernel * read; }
  int64_t group_stride() const { return int64_t(h.kernel) * w.kernel * read * pitch; }

  // The tap at a place of the packed order: classes of rows, classes of columns, rows, columns.
  __device__ void tap_at(int place, int& r, int& s) const {
    if (!backward) {
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
  const int64_t count = p.groups * p.h.kernel * p.w.kernel * p.read * p.pitch;
  for (int64_t i = thread_in_grid(); i < count; i += threads_in_grid()) {
    const int64_t row = quotient(i, p.pitch), made = i - row * p.pitch;
    const int64_t tap = quotient(row, p.read), read = row - tap * p.read;
    const int64_t taps = int64_t(p.h.kernel) * p.w.kernel, group = quotient(tap, taps);
    int r, s;
    p.tap_at(static_cast<int>(tap - group * taps), r, s);
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
  PackedWeights(const ConvGeometry& g, const ConvWeight<T>& w, bool backward)
      : packing_{TapAxis(g.h),
                 TapAxis(g.w),
                 backward,
                 g.groups,
                 backward ? g.group_filters() : g.group_channels(),
                 backward ? g.group_channels() : g.group_filters(),
                 0},
        memory_(bytes()) {
    packing_.pitch = pitch();
    const int64_t count = packing_.rows() * packing_.pitch;
    launch(pack_weights_kernel<T>, blocks_for(count), kThreads, packing_, w, data());
  }
  T* data() const { return static_cast<T*>(memory_.data()); }
  const WeightPacking& packing() const { return packing_; }

 private:
  int64_t pitch() const { return (packing_.made + kPack<T> - 1) / kPack<T> * kPack<T>; }
  size_t bytes() const { return static_cast<size_t>(packing_.rows() * pitch()) * sizeof(T); }

  WeightPacking packing_;
  Scratch memory_;
};

}  // namespace tinydl::cuda
