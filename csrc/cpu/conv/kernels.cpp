// Convolution as products without an im2col buffer.
//
// Forward: the rows of A are the output pixels, read straight from the image: a tap (r, s) moves every pixel's pointer
// by the same distance, so the taps are the runs of k. Input gradient: the same over dy, once for each residue of the
// position modulo the stride, because pixels of one residue meet the same taps; or scattered (scatter.h) where that
// would multiply many zeros. Weight gradient: the rows are (r, s, c), and k runs over the output pixels.
// Depthwise convolutions, and those in narrow groups, have kernels of their own; so have, where there are matrix tiles,
// those of many images and channels (tap_product.h).
#include "contract/conv.h"

#include "cpu/conv/depthwise.h"
#include "cpu/conv/depthwise_grad.h"
#include "cpu/conv/padded.h"
#include "cpu/conv/phases.h"
#include "cpu/conv/scatter.h"
#include "cpu/conv/tap_product.h"
#include "cpu/conv/taps.h"
#include "cpu/conv/weight_grad.h"
#include "cpu/matmul/product.h"

namespace tinydl::TINYDL_TIER {

namespace {

// A grid of pixels (n, rows, columns) as the rows of a product: where each reads and where it writes.
template <class T>
struct PixelRows {
  int64_t grid_rows, grid_columns;
  const T* a;
  int64_t a_image, a_row, a_column;
  T* c;
  int64_t c_image, c_row, c_column;

  void locate(int64_t first, int64_t count, const T** a_rows, T** c_rows) const {
    int64_t column = first % grid_columns;
    int64_t row = first / grid_columns % grid_rows;
    int64_t image = first / grid_columns / grid_rows;
    for (int64_t i = 0; i < count; ++i) {
      a_rows[i] = a + image * a_image + row * a_row + column * a_column;
      c_rows[i] = c + image * c_image + row * c_row + column * c_column;
      if (++column < grid_columns) continue;
      column = 0;
      if (++row < grid_rows) continue;
      row = 0;
      ++image;
    }
  }
  void stage(int64_t, int64_t, const DepthBlock&, T*, const T**) const {}
  int64_t step() const { return 1; }
  int64_t scratch_elements() const { return 0; }
  bool k_is_contiguous() const { return false; }  // but in pieces, a tap's channels
};

template <class T>
void multiply_taps(const PixelRows<T>& rows, int64_t pixels, const TapColumns<T>& columns, int tap_count, int64_t n,
                   const Epilogue<T>& epilogue, const char* refused) {
  if (pixels == 0 || n == 0) return;
  multiply(rows, columns, TapRuns{columns.taps, tap_count, columns.channels}, pixels, n, epilogue, refused);
}

// Whether the kernels for depthwise convolutions and narrow groups take this one.
template <class T>
bool runs_swept(const ConvGeometry& g) {
  if (!is_swept<T>(g)) return false;
  trace_line("convolution in narrow groups: fused multiply-adds over vectors of channels, tap by tap; no product");
  return true;
}

template <class T>
void forward(const ConvGeometry& g, const T* x, const ConvWeight<T>& w, const Epilogue<T>& epilogue, T* y) {
  if (runs_swept<T>(g)) return depthwise_forward(g, x, w, epilogue, y);
  const char* refused = nullptr;
  if (forward_on_tiles(g, x, w, epilogue, y, &refused)) return;
  const PaddedImages<T> images(x, g.batch, g.h.input, g.w.input, g.channels,
                               {g.h.pad_before, g.h.pad_after, g.w.pad_before, g.w.pad_after});
  const TapList taps(g, images.row(), images.pixel());
  const int tap_count = static_cast<int>(g.h.kernel * g.w.kernel);
  const int64_t pixels = g.batch * g.h.output * g.w.output;
  for (int64_t group = 0; group < g.groups; ++group) {
    const int64_t channel = group * g.group_channels(), filter = group * g.group_filters();
    const PixelRows<T> rows{g.h.output,
                            g.w.output,
                            images.data() + channel,
                            images.image(),
                            g.h.stride * images.row(),
                            g.w.stride * images.pixel(),
                            y + filter,
                            g.h.output * g.w.output * g.filters,
                            g.w.output * g.filters,
                            g.filters};
    const Epilogue<T> mine{epilogue.bias ? epilogue.bias + filter : nullptr, epilogue.activation};
    multiply_taps(rows, pixels, forward_columns(g, w, group, taps.data()), tap_count, g.group_filters(), mine, refused);
  }
}

// The input gradient at the positions of one phase of each axis, for one group.
template <class T>
void input_grad_phase(const ConvGeometry& g, const PaddedImages<T>& dy, const Margin& margin, int64_t phase_h,
                      int64_t phase_w, int64_t group, const ConvWeight<T>& w, const T* bias, Tap* taps, T* dx,
                      const char* refused) {
  const PhaseTaps in_h(g.h, phase_h), in_w(g.w, phase_w);
  int count = 0;
  for (int64_t r = 0; r < g.h.kernel; ++r)
    for (int64_t s = 0; s < g.w.kernel; ++s) {
      if (!PhaseTaps::meets(g.h, phase_h, r) || !PhaseTaps::meets(g.w, phase_w, s)) continue;
      taps[count++] = {r, s,
                       (PhaseTaps::first(g.h, phase_h, r) + margin.top) * dy.row() +
                           (PhaseTaps::first(g.w, phase_w, s) + margin.left) * dy.pixel()};
    }
  const int64_t channel = group * g.group_channels(), filter = group * g.group_filters();
  const int64_t pixel = g.channels, row = g.w.input * pixel;
  const PixelRows<T> rows{in_h.positions,
                          in_w.positions,
                          dy.data() + filter,
                          dy.image(),
                          dy.row(),
                          dy.pixel(),
                          dx + channel + phase_h * row + phase_w * pixel,
                          g.h.input * row,
                          g.h.stride * row,
                          g.w.stride * pixel};
  multiply_taps(rows, g.batch * in_h.positions * in_w.positions, input_grad_columns(g, w, group, taps), count,
                g.group_channels(), Epilogue<T>{bias ? bias + channel : nullptr, Activation::none}, refused);
}

template <class T>
void input_grad(const ConvGeometry& g, const T* dy, const ConvWeight<T>& w, const T* bias, T* dx) {
  if (runs_swept<T>(g)) return depthwise_input_grad(g, dy, w, bias, dx);
  const char* refused = nullptr;
  if (input_grad_on_tiles(g, dy, w, bias, dx, &refused)) return;
  const int64_t pixels = g.batch * g.h.input * g.w.input, depth = g.h.kernel * g.w.kernel * g.filters;
  const bool tiles = !refused && !tiles_refused<T>(pixels, g.channels, depth);
  if (is_scattered<T>(g, tiles ? kScatterGainOverTiles : kScatterGain)) {
    trace_line("scattered input gradient: fused multiply-adds");
    return Scatter<T>(g, dy, w, bias, dx).run();
  }
  Margin margin;
  overhang(g.h, &margin.top, &margin.bottom);
  overhang(g.w, &margin.left, &margin.right);
  const PaddedImages<T> images(dy, g.batch, g.h.output, g.w.output, g.filters, margin);
  Scratch memory(static_cast<size_t>(g.h.kernel * g.w.kernel) * sizeof(Tap));
  Tap* taps = static_cast<Tap*>(memory.data());
  for (int64_t group = 0; group < g.groups; ++group)
    for (int64_t phase_h = 0; phase_h < phase_count(g.h); ++phase_h)
      for (int64_t phase_w = 0; phase_w < phase_count(g.w); ++phase_w)
        input_grad_phase(g, images, margin, phase_h, phase_w, group, w, bias, taps, dx, refused);
}

template <class T>
void filter_grad(const ConvGeometry& g, const T* x, const T* dy, T* dw) {
  if (runs_swept<T>(g)) return depthwise_weight_grad(g, x, dy, dw);
  weight_grad(g, x, dy, dw);
}

template <class T>
constexpr ConvKernels<T> kernels = {forward<T>, input_grad<T>, filter_grad<T>};

}  // namespace

extern const ByType<ConvKernels> conv_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
