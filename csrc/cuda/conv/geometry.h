// A convolution, and its input gradient, as gathers: places p of a lattice of pixels read
//
//   place p, tap t:  pixel p * stride + offset + t * step
//
// along each axis, nothing where that is outside. The forward pass is one gather, with stride, -padding and dilation.
// The input gradient of pixel h collects output i through tap r where h + pad = i * stride + r * dilation: a class of
// pixels h = first + stride p shares its taps, r = r0 + t * period with period = stride / gcd(stride, dilation), and
// reads i = p + offset - t * (period * dilation / stride). Every tap is of one class; classes without taps are zero.
#pragma once
#include <numeric>

#include "core/check.h"
#include "core/conv_geometry.h"
#include "cuda/device/walk.h"

namespace tinydl::cuda {

// Numbers below 2^31 are divided in 32 bits.
__device__ __forceinline__ int64_t quotient(int64_t a, int64_t b) {
  if (((a | b) >> 31) == 0) return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
  return a / b;
}

// Division of numbers of any size, the fast way where all are below 2^31.
struct AnyDivider {
  int64_t divisor;
  Divider small;
  bool is_small;

  AnyDivider(int64_t divisor, int64_t largest)
      : divisor(divisor), is_small(largest < int64_t(1) << 31 && divisor < int64_t(1) << 31) {
    if (is_small) small = Divider(static_cast<uint32_t>(divisor > 0 ? divisor : 1));
  }
  __device__ __forceinline__ int64_t quotient(int64_t n) const {
    return is_small ? int64_t(small.quotient(static_cast<uint32_t>(n))) : n / divisor;
  }
};

// One axis of a class.
struct GatherAxis {
  int places, taps;
  int stride, offset, step;
  int first, spacing;  // place p is pixel first + p * spacing of the result
  int first_tap;       // r0
};

// One axis of a convolution, from which each class's gather follows.
struct TapAxis {
  int input, kernel, output, stride, dilation, pad;
  int period;   // of the taps that share a class
  int classes;  // of the input gradient's pixels

  explicit TapAxis(const ConvAxis& a)
      : input(narrow(a.input)),
        kernel(narrow(a.kernel)),
        output(narrow(a.output)),
        stride(narrow(a.stride)),
        dilation(narrow(a.dilation)),
        pad(narrow(a.pad_before)) {
    narrow(a.padded() + a.dilation * a.kernel);
    period = stride / std::gcd(stride, dilation);
    classes = stride < input ? stride : input;
  }

  __device__ GatherAxis forward() const { return {output, kernel, stride, -pad, dilation, 0, 1, 0}; }

  __device__ GatherAxis input_grad(int first) const {
    const int64_t residue = (int64_t(first) + pad) % stride;
    int r = 0;
    while (r < kernel && r < period && int64_t(r) * dilation % stride != residue) ++r;
    GatherAxis g{};
    g.places = first < input ? (input - 1 - first) / stride + 1 : 0;
    g.taps = r < period ? taps_of(r) : 0;
    g.stride = 1;
    g.offset = g.taps > 0 ? static_cast<int>((int64_t(first) + pad - int64_t(r) * dilation) / stride) : 0;
    g.step = -static_cast<int>(int64_t(period) * dilation / stride);
    g.first = first;
    g.spacing = stride;
    g.first_tap = r;
    return g;
  }

  // Taps r0, r0 + period, ..., and how many taps have a smaller r0.
  __device__ int taps_of(int r0) const { return r0 < kernel ? (kernel - 1 - r0) / period + 1 : 0; }
  __device__ int taps_before(int r0) const {
    const int whole = kernel / period, rest = kernel % period;
    return r0 * whole + (r0 < rest ? r0 : rest);
  }
  int most_taps() const { return (kernel - 1) / period + 1; }

 private:
  static int narrow(int64_t x) {
    tinydl::check(x < int64_t(1) << 31, "conv2d: an axis reaches over ", x, " pixels, wanted below 2^31");
    return static_cast<int>(x);
  }
};

}  // namespace tinydl::cuda
