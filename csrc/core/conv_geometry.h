// The sizes of a 2-d convolution, checked.
#pragma once
#include "core/layout.h"

namespace tinydl {

// One spatial axis: output o reads input o * stride - pad_before + tap * dilation, for tap < kernel.
struct ConvAxis {
  int64_t input, kernel, output;
  int64_t stride, dilation, pad_before, pad_after;

  int64_t padded() const { return input + pad_before + pad_after; }
};

struct ConvGeometry {
  int64_t batch, channels, filters, groups;
  ConvAxis h, w;

  int64_t group_channels() const { return channels / groups; }
  int64_t group_filters() const { return filters / groups; }
};

struct ConvOptions {
  int64_t stride[2], dilation[2];  // height, width
  int64_t padding[4];              // top, bottom, left, right
  int64_t groups;
};

// For an input (N, C, H, W) and a weight (O, C / groups, KH, KW); throws where they do not fit. Per axis
//   output = floor((input + pad_before + pad_after - dilation (kernel - 1) - 1) / stride) + 1.
ConvGeometry conv_geometry(const char* op, const Layout& input, const Layout& weight, const ConvOptions& options);

}  // namespace tinydl
