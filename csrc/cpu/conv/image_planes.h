// Images as bfloat16 planes in which a tile is one pixel of 16 images.
//
//   [16 images][pixel][32 channels][plane][image][channel]
//
// The rows of a product may come in any order, and a tile of A is 16 of them: here the same pixel of 16 images, not 16
// neighbouring pixels of one. So whatever pixel a tap meets, its tile lies ready: an image is split once, not once for
// each tap; stride, dilation and the image's shape make no difference; and a tap that falls into the padding is left
// out, for all 16 at once.
#pragma once
#include "cpu/matmul/split_operands.h"

namespace tinydl::TINYDL_TIER {

// Some channels of channels-last images.
struct Images {
  const float* data;
  int64_t count, pixels, channels;
  int64_t pixel_stride;  // from a pixel's first channel to the next pixel's

  Images part(int64_t first, int64_t most) const {
    return {data + first * pixels * pixel_stride, smaller(most, count - first), pixels, channels, pixel_stride};
  }
};

// 16 channels of a pixel from channel c on; zeros from `channels` on.
TINYDL_INLINE Vec<float> load_channels(const float* pixel, int64_t c, int64_t channels) {
  const int64_t lanes = smaller(Vec<float>::size, channels - c);
  return lanes > 0 ? Vec<float>::load(pixel + c, static_cast<int>(lanes)) : Vec<float>(0.0f);
}

template <int planes>
class ImagePlanes {
 public:
  static constexpr int64_t kStep = planes * kTileValues;  // a pixel's 32 channels: a tile for each plane

  // Room for as many images of this kind as stay in the second-level cache until they are used, but 32 at least.
  explicit ImagePlanes(const Images& kind)
      : steps_(div_up(kind.channels, kStepDepth)),
        pixels_(kind.pixels),
        capacity_(
            smaller(div_up(kind.count, kTileEdge), 2 * larger(1, kCacheValues / (2 * kind.pixels * steps_ * kStep)))),
        memory_(static_cast<size_t>(zeros() + steps_ * kStep) * sizeof(Bfloat16)) {
    for (int64_t i = 0; i < steps_ * kStep; ++i) values()[zeros() + i] = Bfloat16();
  }

  int64_t capacity() const { return capacity_ * kTileEdge; }  // images
  int64_t groups() const { return div_up(images_.count, kTileEdge); }
  int64_t steps() const { return steps_; }  // of 32 channels
  const Images& images() const { return images_; }

  // Where a pixel of 16 images lies, and a place that holds zeros.
  const Bfloat16* data() const { return values(); }
  int64_t offset(int64_t group, int64_t pixel) const { return (group * pixels_ + pixel) * steps_ * kStep; }
  int64_t zeros() const { return offset(capacity_, 0); }

  // Splits images; zeros fill the last 16 of them, and the last 32 channels.
  void fill(const Images& images, SharedRange& range) {
    images_ = images;
    const int64_t places = groups() * pixels_;
    parallel_for(places, places * steps_ * kTileEdge * 8, [&](int64_t begin, int64_t end, int) {
      const FlushDenormals flush;
      ExponentRange mine;
      for (int64_t place = begin; place < end; ++place) split_place(place, mine);
      range.add(mine);
    });
  }

 private:
  static constexpr int64_t kCacheValues = int64_t(1) << 20;

  Bfloat16* values() const { return static_cast<Bfloat16*>(memory_.data()); }

  void split_place(int64_t place, ExponentRange& shared) const {
    ExponentRange range = shared;  // in registers
    const int64_t first = place / pixels_ * kTileEdge, image = pixels_ * images_.pixel_stride;
    const float* from = images_.data + first * image + place % pixels_ * images_.pixel_stride;
    Bfloat16* to = values() + place * steps_ * kStep;
    for (int64_t i = 0; i < kTileEdge; ++i, from += image, to += kStepDepth) {
      const int64_t channels = first + i < images_.count ? images_.channels : 0;
      int64_t s = 0;
      for (; (s + 1) * kStepDepth <= channels; ++s)
        split<planes>(Vec<float>::load(from + s * kStepDepth), Vec<float>::load(from + s * kStepDepth + 16),
                      to + s * kStep, kTileValues, range);
      for (; s < steps_; ++s)
        split<planes>(load_channels(from, s * kStepDepth, channels), load_channels(from, s * kStepDepth + 16, channels),
                      to + s * kStep, kTileValues, range);
    }
    shared = range;
  }

  Images images_{};
  int64_t steps_, pixels_, capacity_;  // capacity in groups of 16 images
  Scratch memory_;
};

}  // namespace tinydl::TINYDL_TIER
