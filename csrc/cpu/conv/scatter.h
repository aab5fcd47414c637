// The input gradient by scattering: each output pixel adds its part to the input pixels that it read.
//
//   dx[n, i sh + r dh, j sw + s, c] += sum over o of dy[n, i, j, o] w[o, c, r, s]
//
// For a row r of the kernel the (s, c) of an output pixel lie side by side in dx: they are the columns of a product
// whose k are the filters. It does no work for pixels that a tap misses, where gathering (kernels.cpp) multiplies by a
// margin of zeros, and fills vectors where there are few channels; but it adds to dx once for each row of the kernel
// and block of filters. Neighbouring output pixels overlap in dx, so a worker has whole images, and a tile adds row by
// row.
#pragma once
#include "contract/conv.h"
#include "cpu/conv/phases.h"
#include "cpu/matmul/gemm.h"

namespace tinydl::TINYDL_TIER {

// How much more gathering must multiply: adding to dx again and again costs time, and matrix tiles can gather only.
constexpr double kScatterGain = 1.2, kScatterGainOverTiles = 2.5;

// Multiply-adds of gathering along an axis, for each position.
inline int64_t gathered_taps(const ConvAxis& axis) {
  int64_t taps = 0;
  for (int64_t phase = 0; phase < phase_count(axis); ++phase) {
    const PhaseTaps phase_taps(axis, phase);
    taps += phase_taps.positions * phase_taps.count;
  }
  return taps;
}

// Whether scattering takes less time, by the vectors that either multiplies.
template <class T>
bool is_scattered(const ConvGeometry& g, double gain) {
  if (g.groups != 1 || g.w.dilation != 1 || g.batch < 4) return false;
  const double gathered = static_cast<double>(gathered_taps(g.h) * gathered_taps(g.w)) *
                          static_cast<double>(div_up(g.channels, Vec<T>::size));
  const double scattered = static_cast<double>(g.h.output * g.h.kernel * g.w.output) *
                           static_cast<double>(div_up(g.w.kernel * g.channels, Vec<T>::size));
  return scattered * gain < gathered;
}

template <class T>
class Scatter {
 public:
  Scatter(const ConvGeometry& g, const T* dy, const ConvWeight<T>& w, const T* bias, T* dx)
      : g_(g),
        dy_(dy),
        w_(w),
        bias_(bias),
        dx_(dx),
        panels_(g.w.kernel * g.channels),
        row_((g.w.output - 1) * g.w.stride * g.channels + panels_.padded()),
        packed_(static_cast<size_t>(g.h.kernel * panels_.padded() * g.filters) * sizeof(T)) {}

  void run() {
    T* packed = static_cast<T*>(packed_.data());
    parallel_for(g_.h.kernel * panels_.count, g_.h.kernel * panels_.padded() * g_.filters,
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t t = begin; t < end; ++t) pack(t / panels_.count, t % panels_.count, packed);
                 });
    const int64_t work = g_.batch * g_.h.output * g_.w.output * g_.h.kernel * panels_.vectors * g_.filters / 2;
    const int workers = workers_for(g_.batch, work);
    const size_t share = static_cast<size_t>(frame_rows() * row_) * sizeof(T);
    Scratch scratch(share * static_cast<size_t>(workers));
    char* memory = static_cast<char*>(scratch.data());
    parallel_for_workers(g_.batch, workers, [&](int64_t begin, int64_t end, int worker) {
      const FlushDenormals flush;
      T* frame = reinterpret_cast<T*>(memory + share * static_cast<size_t>(worker));
      for (int64_t image = begin; image < end; ++image) {
        for (int64_t i = 0; i < frame_rows() * row_; ++i) frame[i] = T(0);
        add_image(dy_ + image * g_.h.output * g_.w.output * g_.filters, packed, frame);
        take_image(image, frame);
      }
    });
  }

 private:
  // The rows that outputs read, margins included; a row holds what they read, and the padding of the last panel.
  int64_t frame_rows() const { return (g_.h.output - 1) * g_.h.stride + (g_.h.kernel - 1) * g_.h.dilation + 1; }

  int64_t panel_offset(int64_t r, int64_t panel) const {
    return (r * panels_.padded() + panels_.column(panel)) * g_.filters;
  }

  // One panel of a row of the kernel as [filter][column].
  void pack(int64_t r, int64_t panel, T* packed) const {
    T* to = packed + panel_offset(r, panel);
    const int64_t width = panels_.width(panel);
    for (int64_t j = 0; j < width; ++j) {
      const int64_t column = panels_.column(panel) + j, s = column / g_.channels, c = column % g_.channels;
      const T* from = w_.data + r * w_.row_stride + s * w_.column_stride + c * w_.channel_stride;
      for (int64_t f = 0; f < g_.filters; ++f)
        to[f * width + j] = column < panels_.n ? from[f * w_.filter_stride] : T(0);
    }
  }

  // Adds what the output pixels of an image pass on. All of them for one panel of weights at a time: so an element of
  // dx gets its terms in an order that does not depend on where it lies.
  void add_image(const T* dy, const T* packed, T* frame) const {
    for (int64_t r = 0; r < g_.h.kernel; ++r)
      for (int64_t panel = 0; panel < panels_.count; ++panel)
        for (int64_t filter = 0; filter < g_.filters; filter += kBlockDepth<T>)
          add_panel(r, panel, filter, dy, packed, frame);
  }

  void add_panel(int64_t r, int64_t panel, int64_t filter, const T* dy, const T* packed, T* frame) const {
    const int64_t width = panels_.width(panel), pixels = g_.h.output * g_.w.output;
    const int vectors = static_cast<int>(width / Vec<T>::size), step = kTileRows[vectors];
    const Run run{filter, 0, smaller(kBlockDepth<T>, g_.filters - filter)};
    const T* tile_a[kMaxTileRows];
    T* tile_c[kMaxTileRows];
    TileJob<T> job{};
    job.a = tile_a;
    job.a_step = 1;
    job.b = packed + panel_offset(r, panel) + filter * width;
    job.b_step = width;
    job.runs = &run;
    job.run_count = 1;
    job.c = tile_c;
    job.partial = tile_c;
    job.tail = Vec<T>::size - static_cast<int>(larger(0, panels_.column(panel) + width - panels_.n));
    T* row = frame + r * g_.h.dilation * row_ + panels_.column(panel);
    for (int64_t first = 0, j = 0; first < pixels; first += step) {
      job.rows = static_cast<int>(smaller(step, pixels - first));
      for (int t = 0; t < kMaxTileRows; ++t) {
        tile_a[t] = dy + smaller(first + t, pixels - 1) * g_.filters;
        if (t >= job.rows) continue;
        tile_c[t] = row + j * g_.w.stride * g_.channels;
        if (++j < g_.w.output) continue;
        j = 0;
        row += g_.h.stride * row_;
      }
      tile_for<T, false>(vectors, job.rows)(job);
    }
  }

  // dx of an image: its part of the frame plus the bias; what no output read is the bias alone.
  void take_image(int64_t image, const T* frame) const {
    const int64_t channels = g_.channels, read = (g_.w.output - 1) * g_.w.stride + g_.w.kernel;
    T* to = dx_ + image * g_.h.input * g_.w.input * channels;
    for (int64_t i = 0; i < g_.h.input; ++i) {
      const int64_t row = i + g_.h.pad_before;
      for (int64_t j = 0; j < g_.w.input; ++j, to += channels) {
        const int64_t pixel = j + g_.w.pad_before;
        const T* from = row < frame_rows() && pixel < read ? frame + row * row_ + pixel * channels : nullptr;
        for (int64_t c = 0; c < channels; ++c) to[c] = (from ? from[c] : T(0)) + (bias_ ? bias_[c] : T(0));
      }
    }
  }

  const ConvGeometry& g_;
  const T* dy_;
  const ConvWeight<T>& w_;
  const T* bias_;
  T* dx_;
  Panels<T> panels_;  // of the (s, c) of a row of the kernel
  int64_t row_;       // elements of a row of the frame
  Scratch packed_;
};

}  // namespace tinydl::TINYDL_TIER
