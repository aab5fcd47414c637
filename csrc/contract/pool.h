// Two-dimensional pooling of channels-last images: x and dx are (n, h.in, w.in, channels), y, dy and the taps
// (n, h.out, w.out, channels). A tap (i, j) of a window is numbered i * w.kernel + j; "inside" are those that
// read a pixel of the image.
#pragma once
#include <cstdint>

#include "contract/tables.h"
#include "core/pool_geometry.h"

namespace tinydl {

template <class T>
struct PoolKernels {
  // y = max over the taps inside of x; a NaN wins. Where none is inside, -infinity.
  void (*max)(const PoolGeometry&, const T* x, T* y);
  // The same, with the tap that won: the first of equals, the last of several NaN. 8 bits hold kernels of 256
  // taps.
  void (*max_tap8)(const PoolGeometry&, const T* x, T* y, uint8_t* tap);
  void (*max_tap32)(const PoolGeometry&, const T* x, T* y, int32_t* tap);
  // dx = sum of dy over the windows that the pixel won
  void (*max_backward_tap8)(const PoolGeometry&, const T* dy, const uint8_t* tap, T* dx);
  void (*max_backward_tap32)(const PoolGeometry&, const T* dy, const int32_t* tap, T* dx);

  // y = (sum over the taps inside of x) / divisor
  void (*average)(const PoolGeometry&, const AverageRule&, const T* x, T* y);
  // dx = sum of dy / divisor over the windows that hold the pixel
  void (*average_backward)(const PoolGeometry&, const AverageRule&, const T* dy, T* dx);
};

TINYDL_KERNELS(PoolKernels, pool)

}  // namespace tinydl
