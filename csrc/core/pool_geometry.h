// Where the windows of a 2-d pooling lie, shared by every device.
#pragma once
#include <cstdint>
#include <utility>

#include "core/layout.h"

namespace tinydl {

// Windows along one axis: tap i of window o reads position o * stride - padding + i * dilation.
struct PoolAxis {
  int64_t in, out;
  int64_t kernel, stride, padding, dilation;
};

// From images (n, channels, h.in, w.in) to (n, channels, h.out, w.out).
struct PoolGeometry {
  int64_t n, channels;
  PoolAxis h, w;
};

// What divides the sum of a window: divisor_override unless it is 0, else the number of taps, with or without
// those in the padding (taps beyond the padding, which ceil_mode allows, never count).
struct AverageRule {
  bool count_include_pad;
  int64_t divisor_override;
};

using Pair = std::pair<int64_t, int64_t>;  // along the height, along the width

struct PoolOptions {
  Pair kernel, stride, padding, dilation;
  bool ceil_mode;
};

// out = floor((in + 2 padding - dilation (kernel - 1) - 1) / stride) + 1, or with ceil_mode the same with
// ceil, less one where the last window would start in the padding after the image (PyTorch's rule). Throws
// std::invalid_argument unless x is (N, C, H, W) with at least one pixel, padding is at most half the kernel
// and out at least 1.
PoolGeometry pool_geometry(const char* op, const Layout& x, const PoolOptions& options);

}  // namespace tinydl
