// The weight gradient on the matrix tiles: dw (tap, channel, filter) = sum over images n and pixels q of
// x[n, q through the tap, channel] dy[n, q, filter].
//
// Both operands are split once for all taps (step_planes.h), some images at a time. Meanwhile dw lies in scratch memory
// as [32 channels][32 filters][tap][four tiles]. Such pairs of 32 and 32, or rows of their taps, are shared out:
//
//   for some pairs at a time
//     for each block of pixels   (up to 32 steps: 200 KB for each 32 channels or filters)
//       for each pair, for each tap
//         32 x 32 of dw += x through the tap * dy, the pixels that the tap misses left out
#pragma once
#include "cpu/conv/step_planes.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kGradSteps = 32;                     // of a block of pixels
constexpr int64_t kGradPairs = 4;                      // of 32 channels and 32 filters that share a block
constexpr int64_t kGradTileTasks = 8;                  // enough to share among a few threads
constexpr int64_t kGradImageBytes = int64_t(4) << 20;  // of images that are split at a time, unless 32 have more

// How the steps of x and dy correspond: step v of a row of dy meets step v * step + first + s * tap of a row of x
// through column s of the kernel.
struct StepMatch {
  int64_t step, first, tap;

  // Leaves of the steps [begin, end) of dy those that meet one of x's `count` through column s.
  void narrow(int64_t s, int64_t count, int64_t* begin, int64_t* end) const {
    const int64_t low = first + s * tap;
    if (low < 0) *begin = larger(*begin, div_up(-low, step));
    *end = low >= count ? 0 : smaller(*end, (count - 1 - low) / step + 1);
  }
};

// How the images and columns of a convolution's operands become steps.
struct GradSteps {
  StepColumns x, dy;
  StepMatch match;

  explicit GradSteps(const ConvGeometry& g) {
    const ConvAxis& w = g.w;
    const bool full = div_up(g.batch, 32) * 32 <= g.batch + g.batch / 8;
    const int64_t apart = w.output > 1 ? w.stride : 1;
    x = full ? StepColumns{32, w.input, 1, 0, 0} : StepColumns{16, w.input + apart, 1, -apart, 0};
    dy = full ? StepColumns{32, w.output, 1, 0, 0} : StepColumns{16, div_up(w.output, 2), 2, 0, 1};
    match = {dy.scale * w.stride, -w.pad_before - x.low, w.dilation};
  }
};

template <int planes>
class GradTiles {
 public:
  using X = StepPlanes<planes, true>;
  using Y = StepPlanes<planes, false>;

  GradTiles(const ConvGeometry& g, const GradSteps& steps, const X& x, const Y& dy)
      : g_(g),
        match_(steps.match),
        x_(x),
        dy_(dy),
        taps_(g.h.kernel * g.w.kernel),
        row_parts_(x.panels() * dy.panels() >= kGradTileTasks ? 1 : g.h.kernel),
        block_rows_(larger(1, kGradSteps / steps.dy.count)),
        sums_(static_cast<size_t>(x.panels() * dy.panels() * taps_ * kPairFloats) * sizeof(float)) {}

  // Adds the images that x and dy hold, the first or the last; with the last, writes dw (tap, channel, filter), rows
  // `stride` apart.
  void add(bool first, bool last, float* dw, int64_t stride) const {
    const int64_t tasks = x_.panels() * dy_.panels() * row_parts_;
    const int64_t steps = dy_.rows() * dy_.columns().count;
    parallel_for(tasks, x_.panels() * dy_.panels() * taps_ * steps * kPairFloats, [&](int64_t begin, int64_t end, int) {
      const FlushDenormals flush;
      const TileRegisters registers;
      for (int64_t task = begin; task < end; task += kGradPairs * row_parts_)
        run_tasks(task, smaller(end, task + kGradPairs * row_parts_), first);
      for (int64_t task = begin; last && task < end; ++task)
        for (int64_t r = first_row(task); r < first_row(task) + rows_of_task(); ++r)
          for (int64_t s = 0; s < g_.w.kernel; ++s) put(task / row_parts_, r * g_.w.kernel + s, dw, stride);
    });
  }

 private:
  static constexpr int64_t kPairFloats = kPairEdge * kPairEdge;

  // Of the kernel: a task has all rows of it, or one.
  int64_t first_row(int64_t task) const { return task % row_parts_; }
  int64_t rows_of_task() const { return g_.h.kernel / row_parts_; }

  float* sums(int64_t pair, int64_t tap) const {
    return static_cast<float*>(sums_.data()) + (pair * taps_ + tap) * kPairFloats;
  }

  // Some of the pixels of 32 images, as steps of dy.
  struct Block {
    int64_t group, row, row_end, step, step_end;
  };

  void run_tasks(int64_t task, int64_t end, bool first) const {
    for (int64_t group = 0; group < dy_.groups(); ++group)
      for (int64_t row = 0; row < dy_.height(); row += block_rows_)
        for (int64_t step = 0; step < dy_.columns().count; step += kGradSteps, first = false) {
          const Block block{group, row, smaller(dy_.height(), row + block_rows_), step,
                            smaller(dy_.columns().count, step + kGradSteps)};
          for (int64_t t = task; t < end; ++t) {
            const int64_t part = t % row_parts_, r_end = g_.h.kernel * (part + 1) / row_parts_;
            for (int64_t r = g_.h.kernel * part / row_parts_; r < r_end; ++r)
              add_block(block, t / row_parts_, r, first);
          }
        }
  }

  // A block through a row of taps. pair: 32 channels and 32 filters.
  void add_block(const Block& block, int64_t pair, int64_t r, bool first) const {
    for (int64_t s = 0; s < g_.w.kernel; ++s) {
      float* c = sums(pair, r * g_.w.kernel + s);
      begin_sums(!first, c);
      multiply(block, pair / dy_.panels(), pair % dy_.panels(), r, s);
      end_sums(c);
    }
  }

  void multiply(const Block& block, int64_t channels, int64_t filters, int64_t r, int64_t s) const {
    int64_t first = block.step, end = block.step_end;
    match_.narrow(s, x_.columns().count, &first, &end);
    if (first >= end) return;
    const int64_t x_step = match_.step * kStepValues<planes>;
    const int64_t from = (first * match_.step + match_.first + s * match_.tap) * kStepValues<planes>;
    for (int64_t i = block.row; i < block.row_end; ++i) {
      const int64_t row = i * g_.h.stride - g_.h.pad_before + r * g_.h.dilation;
      if (row < 0 || row >= g_.h.input) continue;
      const Bfloat16* a = x_.row(channels, block.group, row) + from;
      const Bfloat16* b = dy_.row(filters, block.group, i) + first * kStepValues<planes>;
      for (int64_t v = first; v < end; ++v, a += x_step, b += kStepValues<planes>)
        multiply_step<planes>(packed_step(a), b);
    }
  }

  void put(int64_t pair, int64_t tap, float* dw, int64_t stride) const {
    const int64_t channels = g_.group_channels(), n = g_.group_filters();
    const int64_t channel = pair / dy_.panels() * kPairEdge, column = pair % dy_.panels() * kPairEdge;
    const int64_t count = smaller(kPairEdge, channels - channel);
    float* rows[kPairEdge];
    for (int64_t i = 0; i < count; ++i) rows[i] = dw + (tap * channels + channel + i) * stride;
    put_tiles(sums(pair, tap), Epilogue<float>(), rows, count, column, smaller(kPairEdge, n - column));
  }

  const ConvGeometry& g_;
  const StepMatch match_;
  const X& x_;
  const Y& dy_;
  int64_t taps_, row_parts_, block_rows_;
  Scratch sums_;
};

// Splits the rows of both operands, shared out together.
template <class X, class Y>
void split_images(const X& x, const Y& dy, SharedRange& x_range, SharedRange& dy_range) {
  parallel_for(x.rows() + dy.rows(), x.work() + dy.work(), [&](int64_t begin, int64_t end, int) {
    const FlushDenormals flush;
    ExponentRange of_x, of_dy;
    for (int64_t r = begin; r < end; ++r)
      if (r < x.rows())
        x.split_row(r, of_x);
      else
        dy.split_row(r - x.rows(), of_dy);
    x_range.add(of_x);
    dy_range.add(of_dy);
  });
}

// dw, `stride` from row to row; false, with dw undefined, where float32's accuracy would be lost.
template <int planes>
bool weight_grad_of_planes(const ConvGeometry& g, const Images& x_images, const Images& dy_images, float* dw,
                           int64_t stride) {
  const GradSteps steps(g);
  const int64_t bytes = (x_images.pixels * x_images.channels + dy_images.pixels * dy_images.channels) * 4;
  const int64_t most = smaller(div_up(g.batch, 32), larger(1, kGradImageBytes / (32 * bytes))) * 32;
  StepPlanes<planes, true> x(x_images, g.h.input, steps.x, most);
  StepPlanes<planes, false> dy(dy_images, g.h.output, steps.dy, most);
  const GradTiles<planes> grad(g, steps, x, dy);
  SharedRange x_range, dy_range;
  for (int64_t first = 0; first < g.batch; first += most) {
    x.hold(x_images.part(first, most));
    dy.hold(dy_images.part(first, most));
    split_images(x, dy, x_range, dy_range);
    if (!split_is_exact(x_range, dy_range, g.batch * dy_images.pixels)) return false;
    grad.add(first == 0, first + most >= g.batch, dw, stride);
  }
  return true;
}

}  // namespace tinydl::TINYDL_TIER
