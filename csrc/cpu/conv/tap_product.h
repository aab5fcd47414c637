// The choice of the matrix tiles for convolutions of many images (tap_tiles.h, grad_tiles.h), forward and for both
// gradients.
#pragma once
#include "contract/conv.h"
#include "cpu/conv/taps.h"
#include "cpu/matmul/product.h"
#if defined(TINYDL_TIER_amx)
#include "cpu/conv/grad_tiles.h"
#include "cpu/conv/tap_tiles.h"
#endif

namespace tinydl::TINYDL_TIER {

// Whether y, or dx, is computed. If not, `refused` is why tiles are out of the question, or null if that is still open.
template <class T>
bool forward_on_tiles(const ConvGeometry&, const T*, const ConvWeight<T>&, const Epilogue<T>&, T*, const char**) {
  return false;
}
template <class T>
bool input_grad_on_tiles(const ConvGeometry&, const T*, const ConvWeight<T>&, const T*, T*, const char**) {
  return false;
}
template <class T>
bool weight_grad_on_tiles(const ConvGeometry&, const T*, const T*, T*, const char**) {
  return false;
}

#if defined(TINYDL_TIER_amx)
// Whether a convolution of `channels` to n others pays for splitting its images and weights. An image is split once for
// all its taps, so less work pays than a product of matrices needs; but with one tap that is no gain, and filling up 16
// images, 32 channels and 32 filters with zeros must not outweigh what the tiles save.
inline bool taps_pay(const ConvGeometry& g, int64_t channels, int64_t n) {
  constexpr int64_t kSideShare = 8, kWorkShare = 5;
  const TileThreshold threshold = tile_threshold();
  const int64_t taps = g.h.kernel * g.w.kernel, work = g.batch * g.h.output * g.w.output * taps * channels * n;
  const int64_t images = div_up(g.batch, kTileEdge) * kTileEdge;
  const double filled = static_cast<double>(images * div_up(channels, kStepDepth) * div_up(n, kPairEdge)) * 1024;
  return taps > 1 && n >= threshold.side / kSideShare && work >= threshold.work / kWorkShare && work > 0 &&
         filled <= 1.5 * static_cast<double>(g.batch * channels * n);
}

constexpr TileNames kImagePlanes = {
    "matrix tiles, six products of bfloat16 parts (planes of the images)",
    "matrix tiles, three products of bfloat16 parts (planes of the images, precision high)",
    "matrix tiles, one product of bfloat16 parts (planes of the images, precision medium)"};

inline const char* multiply_taps_on_tiles(const Images& images, const TapColumns<float>& columns, const TapGrid& grid,
                                          int64_t n, const Epilogue<float>& epilogue, float* y, int64_t y_stride) {
  return with_planes(images.count * grid.pixels(), n, grid.taps() * images.channels, kImagePlanes, [&](auto planes) {
    return convolve_on_tiles<decltype(planes)::value>(images, columns, grid, n, epilogue, y, y_stride);
  });
}

inline bool forward_on_tiles(const ConvGeometry& g, const float* x, const ConvWeight<float>& w,
                             const Epilogue<float>& epilogue, float* y, const char** refused) {
  if (!taps_pay(g, g.group_channels(), g.group_filters())) return false;
  const TapGrid grid{Reads::of_forward(g.h), Reads::of_forward(g.w)};
  const TapList taps(g, 0, 0);
  for (int64_t group = 0; group < g.groups && !*refused; ++group) {
    const int64_t channel = group * g.group_channels(), filter = group * g.group_filters();
    const Images images{x + channel, g.batch, g.h.input * g.w.input, g.group_channels(), g.channels};
    const Epilogue<float> mine{epilogue.bias ? epilogue.bias + filter : nullptr, epilogue.activation};
    *refused = multiply_taps_on_tiles(images, forward_columns(g, w, group, taps.data()), grid, g.group_filters(), mine,
                                      y + filter, g.filters);
  }
  return !*refused;
}

inline bool input_grad_on_tiles(const ConvGeometry& g, const float* dy, const ConvWeight<float>& w, const float* bias,
                                float* dx, const char** refused) {
  if (!taps_pay(g, g.group_filters(), g.group_channels())) return false;
  const TapGrid grid{Reads::of_gradient(g.h), Reads::of_gradient(g.w)};
  const TapList taps(g, 0, 0);
  for (int64_t group = 0; group < g.groups && !*refused; ++group) {
    const int64_t channel = group * g.group_channels(), filter = group * g.group_filters();
    const Images images{dy + filter, g.batch, g.h.output * g.w.output, g.group_filters(), g.filters};
    const Epilogue<float> mine{bias ? bias + channel : nullptr, Activation::none};
    *refused = multiply_taps_on_tiles(images, input_grad_columns(g, w, group, taps.data()), grid, g.group_channels(),
                                      mine, dx + channel, g.channels);
  }
  return !*refused;
}

inline bool weight_grad_on_tiles(const ConvGeometry& g, const float* x, const float* dy, float* dw,
                                 const char** refused) {
  if (!taps_pay(g, g.group_channels(), g.group_filters())) return false;
  const int64_t channels = g.group_channels(), n = g.group_filters(), pixels = g.h.output * g.w.output;
  for (int64_t group = 0; group < g.groups && !*refused; ++group) {
    const Images images{x + group * channels, g.batch, g.h.input * g.w.input, channels, g.channels};
    const Images upstream{dy + group * n, g.batch, pixels, n, g.filters};
    *refused = with_planes(g.h.kernel * g.w.kernel * channels, n, g.batch * pixels, kImagePlanes, [&](auto planes) {
      return weight_grad_of_planes<decltype(planes)::value>(g, images, upstream, dw + group * n, g.filters);
    });
  }
  return !*refused;
}
#endif

}  // namespace tinydl::TINYDL_TIER
