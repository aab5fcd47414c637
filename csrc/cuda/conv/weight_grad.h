// The pixels that the taps of a weight meet, as lines (tap, channel) of A by steps (image, row, column of the output).
#pragma once
#include "cuda/conv/geometry.h"
#include "cuda/matmul/matrices.h"

namespace tinydl::cuda {

// In `packs`, 16 bytes of lines are of one tap, and aligned.
template <class Layout_, int threads>
class PixelFetch {
 public:
  using Layout = Layout_;
  using T = typename Layout::Element;
  struct Source {
    const T* data;
    TapAxis h, w;
    int64_t pixel_stride, lines;
    AnyDivider image, row;  // outputs of each
    Divider channels;       // of a group
    bool packs;
  };

  __device__ PixelFetch(const Source& source, const Slice& slice, int64_t first_line)
      : s_(source),
        data_(source.data + slice.batch * source.channels.divisor),
        begin_(slice.begin),
        steps_(static_cast<int>(slice.end - slice.begin)),
        line_(first_line + static_cast<int>(threadIdx.x) % Layout::chunks * kPack<T>) {}

  __device__ __forceinline__ void fetch(T* tile, int k) const {
    Place places[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) places[i] = place(k + row(i));
    T* to = tile;
    const int chunk = static_cast<int>(threadIdx.x) % Layout::chunks;
    if (s_.packs) {
      const Tap tap = tap_of(line_);
#pragma unroll
      for (int i = 0; i < kRows; ++i) copy<kAccessBytes>(to + Layout::at(row(i), chunk), places[i], tap);
      return;
    }
#pragma unroll 1
    for (int e = 0; e < kPack<T>; ++e) {
      const Tap tap = tap_of(line_ + e);
#pragma unroll
      for (int i = 0; i < kRows; ++i) copy<sizeof(T)>(to + Layout::at(row(i), chunk) + e, places[i], tap);
    }
  }

 private:
  static constexpr int kRowsAtOnce = threads / Layout::chunks, kRows = Layout::rows / kRowsAtOnce;
  static_assert(Layout::along == Along::lines && threads % Layout::chunks == 0 && Layout::rows % kRowsAtOnce == 0,
                "every thread copies as much");

  // The first pixel that an output reads, and what a line adds to it.
  struct Place {
    int64_t image;
    int row, column;
    bool exists;
  };
  struct Tap {
    int row, column, channel;
    bool exists;
  };

  __device__ static __forceinline__ int row(int i) {
    return static_cast<int>(threadIdx.x) / Layout::chunks + i * kRowsAtOnce;
  }
  __device__ __forceinline__ Place place(int step) const {
    const int64_t output = begin_ + step, image = s_.image.quotient(output);
    const int64_t inside = output - image * s_.image.divisor, row = s_.row.quotient(inside);
    return {image, static_cast<int>(row) * s_.h.stride - s_.h.pad,
            static_cast<int>(inside - row * s_.row.divisor) * s_.w.stride - s_.w.pad, step < steps_};
  }
  __device__ __forceinline__ Tap tap_of(int64_t line) const {
    const auto tap = static_cast<int>(s_.channels.quotient(static_cast<uint32_t>(line)));
    const auto channel = static_cast<int>(line) - tap * static_cast<int>(s_.channels.divisor);
    const int r = tap / s_.w.kernel;
    return {r * s_.h.dilation, (tap - r * s_.w.kernel) * s_.w.dilation, channel, line < s_.lines};
  }
  template <int bytes>
  __device__ __forceinline__ void copy(T* to, const Place& place, const Tap& tap) const {
    const int row = place.row + tap.row, column = place.column + tap.column;
    const bool inside = place.exists && tap.exists && static_cast<unsigned>(row) < static_cast<unsigned>(s_.h.input) &&
                        static_cast<unsigned>(column) < static_cast<unsigned>(s_.w.input);
    const T* from = data_;
    if (inside) from += ((place.image * s_.h.input + row) * s_.w.input + column) * s_.pixel_stride + tap.channel;
    if constexpr (bytes >= 4)
      copy_async<bytes>(to, from, inside);
    else
      *to = inside ? *from : T(0.0f);
  }

  const Source& s_;
  const T* data_;
  int64_t begin_;
  int steps_;
  int64_t line_;
};

}  // namespace tinydl::cuda
