// What a sweep reads, in its order: the weights, and channels repeated for several filters each.
#pragma once
#include "contract/conv.h"
#include "cpu/runtime/allocator.h"
#include "cpu/runtime/parallel.h"
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

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

// The weights of a sweep.
template <class T>
class SweepWeights {
 public:
  SweepWeights(const ConvGeometry& g, const ConvWeight<T>& w, bool transposed)
      : room_(static_cast<size_t>(g.h.kernel * g.w.kernel * columns(g)) * sizeof(T)) {
    gather_weights(g, w, g.group_channels(), transposed, static_cast<T*>(room_.data()));
  }
  const T* data() const { return static_cast<const T*>(room_.data()); }

 private:
  // Elements for each tap: whole vectors of channels.
  static int64_t columns(const ConvGeometry& g) {
    const int64_t group = g.group_channels(), span = Vec<T>::size / group * group;
    return div_up(g.filters, span) * span * group;
  }

  Scratch room_;
};

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

// An image with its channels repeated for their filters; the image itself where every channel has one filter, or groups
// hold several channels.
template <class T>
class RepeatedImages {
 public:
  explicit RepeatedImages(const ConvGeometry& g)
      : times_(g.group_channels() == 1 ? g.group_filters() : 1),
        pixels_(g.batch * g.h.input * g.w.input),
        channels_(g.channels),
        room_(times_ > 1 ? static_cast<size_t>(pixels_ * g.filters) * sizeof(T) : 0) {}

  bool needed() const { return times_ > 1; }
  const T* of(const T* x) const {
    if (!needed()) return x;
    repeat_channels(x, pixels_, channels_, times_, data());
    return data();
  }
  // Where to write what sum() is to add up.
  T* before(T* y) const { return needed() ? data() : y; }
  void sum(const T* bias, T* y) const {
    if (needed()) add_repeats(data(), pixels_, channels_, times_, bias, y);
  }

 private:
  T* data() const { return static_cast<T*>(room_.data()); }

  int64_t times_, pixels_, channels_;
  Scratch room_;
};

}  // namespace tinydl::TINYDL_TIER
