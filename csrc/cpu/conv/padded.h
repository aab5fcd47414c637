// Images with a margin of zeros, so that no inner loop of a convolution checks bounds.
#pragma once
#include "cpu/runtime/allocator.h"
#include "cpu/runtime/parallel.h"
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

struct Margin {
  int64_t top, bottom, left, right;
  bool empty() const { return top == 0 && bottom == 0 && left == 0 && right == 0; }
};

// Channels-last images (n, h, w, c), copied into a wider frame unless the margin is empty.
template <class T>
class PaddedImages {
 public:
  PaddedImages(const T* x, int64_t n, int64_t h, int64_t w, int64_t c, const Margin& margin)
      : height_(h + margin.top + margin.bottom),
        width_(w + margin.left + margin.right),
        channels_(c),
        memory_(margin.empty() ? 0 : static_cast<size_t>(n * height_ * width_ * c) * sizeof(T)),
        data_(x) {
    if (margin.empty()) return;
    T* frame = static_cast<T*>(memory_.data());
    data_ = frame;
    const int64_t row = width_ * c, height = height_;
    parallel_for(n * height_, n * height_ * row, [=](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) {
        T* to = frame + r * row;
        const int64_t i = r % height - margin.top;
        if (i < 0 || i >= h) {
          clear(to, row);
          continue;
        }
        clear(to, margin.left * c);
        copy(x + (r / height * h + i) * w * c, w * c, to + margin.left * c);
        clear(to + (margin.left + w) * c, margin.right * c);
      }
    });
  }

  const T* data() const { return data_; }
  int64_t image() const { return height_ * width_ * channels_; }  // elements from one image to the next
  int64_t row() const { return width_ * channels_; }              // from one row to the next
  int64_t pixel() const { return channels_; }                     // from one pixel to the next

 private:
  static void clear(T* to, int64_t n) {
    for (int64_t i = 0; i < n; ++i) to[i] = T(0);
  }
  static void copy(const T* from, int64_t n, T* to) {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i];
  }

  int64_t height_, width_, channels_;
  Scratch memory_;
  const T* data_;
};

}  // namespace tinydl::TINYDL_TIER
