// A convolution, or its input gradient, on the matrix tiles: every written pixel meets one pixel through each tap.
//
//   y[n, q, j] = activation(bias[j] + sum over taps t and channels c of x[n, q through t, c] w[t, c, j])
//
// x is split into planes (image_planes.h), w packed as [k block][32 columns][tap][32 channels][plane][tile], where a k
// block is some channels of every tap. A pair of tiles is a pixel of 32 images, or of the last 16 images two pixels:
//
//   for each block of pairs
//     for each k block         (x: the pixels' taps overlap; from the second-level cache)
//       for each panel         (32 columns of w: 54 to 150 KB of three planes; the next one is fetched meanwhile)
//         for each pair
//           32 x 32 of y += the pixels met through each tap * w
//
// Between k blocks the sums lie in scratch memory, as tiles.
#pragma once
#include "cpu/conv/image_planes.h"
#include "cpu/conv/taps.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kPairsOfBlock = 16, kPanelsOfBlock = 32;
constexpr int64_t kStepsOfBlock = 24;  // most steps of a k block, unless 32 channels of every tap are more
constexpr int64_t kTapTasks = 8;       // enough to share among a few threads

// Which position of the images read a written position meets through a tap, along one axis: a table.
class Reads {
 public:
  static Reads of_forward(const ConvAxis& axis) {
    return {axis.output, axis.kernel, axis.input, axis.stride, -axis.pad_before, axis.dilation, 1};
  }
  static Reads of_gradient(const ConvAxis& axis) {
    return {axis.input, axis.kernel, axis.output, 1, axis.pad_before, -axis.dilation, axis.stride};
  }

  int64_t written() const { return written_; }
  int64_t kernel() const { return kernel_; }
  int64_t read() const { return read_; }
  // -1 where there is none.
  int64_t at(int64_t position, int64_t tap) const {
    return static_cast<const int64_t*>(memory_.data())[position * kernel_ + tap];
  }

 private:
  // Position i meets (i * step + first + tap * tap_step) / divisor, if that is whole.
  Reads(int64_t written, int64_t kernel, int64_t read, int64_t step, int64_t first, int64_t tap_step, int64_t divisor)
      : written_(written),
        kernel_(kernel),
        read_(read),
        memory_(static_cast<size_t>(written * kernel) * sizeof(int64_t)) {
    int64_t* to = static_cast<int64_t*>(memory_.data());
    for (int64_t i = 0; i < written; ++i)
      for (int64_t tap = 0; tap < kernel; ++tap) {
        const int64_t scaled = i * step + first + tap * tap_step, position = scaled / divisor;
        *to++ = scaled < 0 || scaled % divisor != 0 || position >= read ? -1 : position;
      }
  }

  int64_t written_, kernel_, read_;
  Scratch memory_;
};

// The kernel and what it connects.
struct TapGrid {
  Reads h, w;

  int64_t taps() const { return h.kernel() * w.kernel(); }
  int64_t pixels() const { return h.written() * w.written(); }  // of an image written
};

// The weights, packed: `steps` of 32 channels for each tap, the channels cut into k blocks.
template <int planes>
class PackedTaps {
 public:
  PackedTaps(const TapColumns<float>& columns, int64_t taps, int64_t n, SharedRange& range)
      : taps_(taps),
        steps_(div_up(columns.channels, kStepDepth)),
        panels_(div_up(n, kPairEdge)),
        blocks_(div_up(steps_, larger(1, kStepsOfBlock / taps))),
        memory_(static_cast<size_t>(taps * steps_ * panels_ * kStepValues<planes>) * sizeof(Bfloat16)) {
    parallel_for(blocks_ * panels_, taps * columns.channels * n, [&](int64_t begin, int64_t end, int) {
      const FlushDenormals flush;
      ExponentRange mine;
      for (int64_t t = begin; t < end; ++t) pack(columns, n, t / panels_, t % panels_, mine);
      range.add(mine);
    });
  }

  int64_t panels() const { return panels_; }
  int64_t blocks() const { return blocks_; }
  int64_t first_step(int64_t block) const { return steps_ * block / blocks_; }
  int64_t steps(int64_t block) const { return first_step(block + 1) - first_step(block); }
  Bfloat16* panel(int64_t block, int64_t panel) const {
    return static_cast<Bfloat16*>(memory_.data()) +
           (first_step(block) * panels_ + panel * steps(block)) * taps_ * kStepValues<planes>;
  }

 private:
  void pack(const TapColumns<float>& columns, int64_t n, int64_t block, int64_t panel, ExponentRange& range) const {
    const int64_t first = first_step(block) * kStepDepth;
    const int64_t channels = smaller(columns.channels, first_step(block + 1) * kStepDepth) - first;
    Bfloat16* to = this->panel(block, panel);
    for (int64_t tap = 0; tap < taps_; ++tap, to += steps(block) * kStepValues<planes>)
      split_panel<planes>(columns, DepthBlock{tap * columns.channels + first, channels, 0, 0}, panel * kPairEdge, n, to,
                          range);
  }

  int64_t taps_, steps_, panels_, blocks_;
  Scratch memory_;
};

// The images of one filling of the planes, times the weights.
template <int planes>
class TapTiles {
 public:
  // y: (images, pixels of grid, n), `y_stride` from a pixel to the next.
  TapTiles(const ImagePlanes<planes>& x, const PackedTaps<planes>& w, const TapGrid& grid, int64_t n,
           const Epilogue<float>& epilogue, float* y, int64_t y_stride)
      : x_(x),
        w_(w),
        grid_(grid),
        n_(n),
        epilogue_(epilogue),
        y_(y),
        y_stride_(y_stride),
        tiles_(x.groups() * grid.pixels()),
        pairs_(div_up(tiles_, 2)),
        panel_blocks_(div_up(w.panels(), kPanelsOfBlock)),
        block_pairs_(smaller(kPairsOfBlock, div_up(pairs_, div_up(kTapTasks, panel_blocks_)))) {}

  void run() const {
    const int64_t tasks = div_up(pairs_, block_pairs_) * panel_blocks_;
    const int64_t sums = (w_.blocks() > 1 ? block_pairs_ * smaller(kPanelsOfBlock, w_.panels()) : 1) * kPairFloats;
    const int64_t meetings = block_pairs_ * grid_.taps();
    const int workers = workers_for(tasks, pairs_ * w_.panels() * grid_.taps() * x_.steps() * kPairFloats);
    Scratch room(static_cast<size_t>(workers) *
                 (static_cast<size_t>(sums) * sizeof(float) + static_cast<size_t>(meetings) * sizeof(Meeting)));
    float* all_sums = static_cast<float*>(room.data());
    Meeting* all_meetings = reinterpret_cast<Meeting*>(all_sums + workers * sums);
    parallel_for_workers(tasks, workers, [&](int64_t begin, int64_t end, int worker) {
      const FlushDenormals flush;
      const TileRegisters registers;
      for (int64_t task = begin; task < end; ++task)
        run_block(task / panel_blocks_ * block_pairs_, task % panel_blocks_ * kPanelsOfBlock,
                  all_meetings + worker * meetings, all_sums + worker * sums);
    });
  }

 private:
  static constexpr int64_t kPairFloats = kPairEdge * kPairEdge, kLine = 64 / sizeof(Bfloat16);

  // What the tiles of a pair meet through a tap, as offsets in x.
  struct Meeting {
    int64_t upper, lower, tap;
  };
  // What a tile computes: a pixel of 16 images.
  struct Place {
    int64_t group, row, column;
  };

  // Tiles are counted such that a pair is one pixel of 32 images, as long as there are so many.
  Place place(int64_t tile) const {
    const int64_t block = tile / (2 * grid_.pixels()), groups = smaller(2, x_.groups() - 2 * block);
    const int64_t rest = tile - block * 2 * grid_.pixels(), pixel = rest / groups;
    return {2 * block + rest % groups, pixel / grid_.w.written(), pixel % grid_.w.written()};
  }

  // The taps through which a pair meets anything.
  int64_t meet(int64_t pair, Meeting* to) const {
    const Place upper = place(2 * pair), lower = 2 * pair + 1 < tiles_ ? place(2 * pair + 1) : upper;
    Meeting* const first = to;
    for (int64_t r = 0, tap = 0; r < grid_.h.kernel(); ++r)
      for (int64_t s = 0; s < grid_.w.kernel(); ++s, ++tap) {
        *to = {met(upper, r, s), met(lower, r, s), tap};
        if (to->upper != x_.zeros() || to->lower != x_.zeros()) ++to;
      }
    return to - first;
  }
  int64_t met(const Place& place, int64_t r, int64_t s) const {
    const int64_t row = grid_.h.at(place.row, r), column = grid_.w.at(place.column, s);
    return row < 0 || column < 0 ? x_.zeros() : x_.offset(place.group, row * grid_.w.read() + column);
  }

  void run_block(int64_t first, int64_t panel, Meeting* meetings, float* sums) const {
    const int64_t pairs = smaller(block_pairs_, pairs_ - first),
                  panel_end = smaller(w_.panels(), panel + kPanelsOfBlock);
    int64_t counts[kPairsOfBlock];
    for (int64_t i = 0; i < pairs; ++i) counts[i] = meet(first + i, meetings + i * grid_.taps());
    for (int64_t k = 0; k < w_.blocks(); ++k) {
      const bool last = k + 1 == w_.blocks();
      float* c = sums;
      for (int64_t p = panel; p < panel_end; ++p) {
        const Bfloat16* next = p + 1 < panel_end ? w_.panel(k, p + 1) : last ? nullptr : w_.panel(k + 1, panel);
        const int64_t lines = next ? div_up(kStepValues<planes> / kLine, pairs) : 0;  // for each step of a pair
        for (int64_t i = 0; i < pairs; ++i, next += lines * w_.steps(k) * grid_.taps() * kLine) {
          multiply(meetings + i * grid_.taps(), counts[i], k, w_.panel(k, p), c, next, lines);
          if (last) put(first + i, p, c);
          if (w_.blocks() > 1) c += kPairFloats;
        }
      }
    }
  }

  // A pair times a panel, for k block k.
  void multiply(const Meeting* meetings, int64_t count, int64_t k, const Bfloat16* panel, float* c,
                const Bfloat16* next, int64_t lines) const {
    const int64_t steps = w_.steps(k);
    const Bfloat16* x = x_.data() + w_.first_step(k) * x_.kStep;
    begin_sums(k > 0, c);
    for (int64_t m = 0; m < count; ++m) {
      StepOfA a{x + meetings[m].upper, x + meetings[m].lower, kTileValues};
      const Bfloat16* b = panel + meetings[m].tap * steps * kStepValues<planes>;
      for (int64_t s = 0; s < steps; ++s, b += kStepValues<planes>, next += lines * kLine) {
        fetch_lines(next, lines);
        multiply_step<planes>(a, b);
        a.upper += x_.kStep;
        a.lower += x_.kStep;
      }
    }
    end_sums(c);
  }

  void put(int64_t pair, int64_t panel, const float* sums) const {
    const int64_t column = panel * kPairEdge;
    for (int64_t tile = 2 * pair; tile < smaller(tiles_, 2 * pair + 2); ++tile, sums += 2 * kTileFloats) {
      const Place at = place(tile);
      const int64_t image = at.group * kTileEdge, count = smaller(kTileEdge, x_.images().count - image);
      float* rows[kTileEdge];
      for (int64_t i = 0; i < count; ++i)
        rows[i] = y_ + ((image + i) * grid_.pixels() + at.row * grid_.w.written() + at.column) * y_stride_;
      put_tiles(sums, epilogue_, rows, count, column, smaller(kPairEdge, n_ - column));
    }
  }

  const ImagePlanes<planes>& x_;
  const PackedTaps<planes>& w_;
  const TapGrid& grid_;
  int64_t n_;
  const Epilogue<float>& epilogue_;
  float* y_;
  int64_t y_stride_, tiles_, pairs_, panel_blocks_, block_pairs_;
};

// y (images, pixels of grid, n); false, with y undefined, where float32's accuracy would be lost.
template <int planes>
bool convolve_on_tiles(const Images& images, const TapColumns<float>& columns, const TapGrid& grid, int64_t n,
                       const Epilogue<float>& epilogue, float* y, int64_t y_stride) {
  SharedRange x_range, w_range;
  const PackedTaps<planes> w(columns, grid.taps(), n, w_range);
  ImagePlanes<planes> x(images);
  for (int64_t first = 0; first < images.count; first += x.capacity()) {
    x.fill(images.part(first, x.capacity()), x_range);
    if (!split_is_exact(x_range, w_range, grid.taps() * images.channels)) return false;
    TapTiles<planes>(x, w, grid, n, epilogue, y + first * grid.pixels() * y_stride, y_stride).run();
  }
  return true;
}

}  // namespace tinydl::TINYDL_TIER
