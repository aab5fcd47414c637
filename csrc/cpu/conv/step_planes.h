// Images as bfloat16 planes whose pixels are the k of a product: the operands of a weight gradient on matrix tiles.
//
//   [32 channels][images][row][column][plane][tile]: for each pixel a step of A, or of B
//
// The terms of a sum may come in any order, and a step sums 32: here one pixel of 32 images, values 16 images apart as
// pairs. So whatever pixel a tap meets, its step lies ready. Where the images are 16, a step is two pixels of them: of
// dY neighbours, of X the two that neighbours meet through some tap, for each such pair one.
#pragma once
#include "cpu/conv/image_planes.h"

namespace tinydl::TINYDL_TIER {

// What the two halves of a step are: columns scale * u + low and scale * u + high of step u, 16 images of each.
struct StepColumns {
  int64_t images;  // of a step: 32, where both halves are the same column, or 16
  int64_t count, scale, low, high;
};

// A step's 32 channels are the columns of B, or transposed the rows of A.
template <int planes, bool transposed>
class StepPlanes {
 public:
  // Room for `most` images of this kind, of `height` rows.
  StepPlanes(const Images& kind, int64_t height, const StepColumns& columns, int64_t most)
      : images_(kind),
        columns_(columns),
        height_(height),
        width_(kind.pixels / height),
        panels_(div_up(kind.channels, kPairEdge)),
        capacity_(div_up(most, columns.images)),
        memory_(static_cast<size_t>(offset(panels_, 0, 0)) * sizeof(Bfloat16)) {}

  int64_t panels() const { return panels_; }
  int64_t groups() const { return div_up(images_.count, columns_.images); }
  int64_t height() const { return height_; }
  const StepColumns& columns() const { return columns_; }
  const Bfloat16* row(int64_t panel, int64_t group, int64_t row) const {
    return static_cast<const Bfloat16*>(memory_.data()) + offset(panel, group, row);
  }

  // The images that are split next, row by row; zeros stand for what is missing to whole steps and tiles.
  void hold(const Images& images) { images_ = images; }
  int64_t rows() const { return groups() * height_; }
  int64_t work() const { return rows() * columns_.count * panels_ * kStepDepth * (transposed ? 32 : 16); }
  void split_row(int64_t row, ExponentRange& range) const {
    for (int64_t panel = 0; panel < panels_; ++panel) split_channels(row / height_, row % height_, panel, range);
  }

 private:
  int64_t offset(int64_t panel, int64_t group, int64_t row) const {
    return ((panel * capacity_ + group) * height_ + row) * columns_.count * kStepValues<planes>;
  }

  void split_channels(int64_t group, int64_t row, int64_t panel, ExponentRange& range) const {
    Bfloat16* to = static_cast<Bfloat16*>(memory_.data()) + offset(panel, group, row);
    const int64_t image = group * columns_.images, channel = panel * kPairEdge;
    for (int64_t u = 0; u < columns_.count; ++u, to += kStepValues<planes>) {
      const Half low = half(image, row, columns_.scale * u + columns_.low);
      const Half high = half(image + columns_.images - kTileEdge, row, columns_.scale * u + columns_.high);
      for (int64_t tile = 0; tile < 2; ++tile)
        split_tile(low, high, channel + tile * kTileEdge, to + tile * kTileValues, range);
    }
  }

  // A pixel of 16 images, or of the `count` that there are.
  struct Half {
    const float* from;
    int64_t count;
  };
  Half half(int64_t image, int64_t row, int64_t column) const {
    const int64_t pixel = row * width_ + column;
    const bool inside = column >= 0 && column < width_;
    return {images_.data + (image * images_.pixels + pixel) * images_.pixel_stride, inside ? images_.count - image : 0};
  }

  // 16 channels of a step.
  void split_tile(const Half& low, const Half& high, int64_t channel, Bfloat16* to, ExponentRange& shared) const {
    alignas(64) Bfloat16 split_pairs[planes * kTileValues];
    const int64_t image = images_.pixels * images_.pixel_stride;
    ExponentRange range = shared;  // in registers
    for (int64_t i = 0; i < kTileEdge; ++i) {
      const int64_t low_channels = i < low.count ? images_.channels : 0;
      const int64_t high_channels = i < high.count ? images_.channels : 0;
      split<planes>(load_channels(low.from + i * image, channel, low_channels),
                    load_channels(high.from + i * image, channel, high_channels),
                    transposed ? split_pairs + i * kStepDepth : to + i * kStepDepth,
                    transposed ? kTileValues : 2 * kTileValues, range);
    }
    shared = range;
    if (!transposed) return;
    for (int plane = 0; plane < planes; ++plane)
      transpose_pairs(split_pairs + plane * kTileValues, to + plane * 2 * kTileValues);
  }
  static void transpose_pairs(const Bfloat16* from, Bfloat16* to) {
    Vec<float> rows[kTileEdge];
#pragma GCC unroll 16
    for (int i = 0; i < kTileEdge; ++i)
      rows[i] = Vec<float>::load(reinterpret_cast<const float*>(from + i * kStepDepth));
    transpose16(rows);
#pragma GCC unroll 16
    for (int i = 0; i < kTileEdge; ++i) rows[i].store(reinterpret_cast<float*>(to + i * kStepDepth));
  }

  Images images_;
  StepColumns columns_;
  int64_t height_, width_, panels_, capacity_;
  Scratch memory_;
};

}  // namespace tinydl::TINYDL_TIER
