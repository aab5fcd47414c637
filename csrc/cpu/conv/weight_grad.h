// The weight gradient: dw (R S C, O) = X^T dY, where k runs over the output pixels.
//
// Row (r, s, c) of X^T is a pointer into the padded image that moves by one output pixel's stride for each k; dY's
// pixels are rows of B as they lie, or copied where many filters put them far apart. The pixels are cut into blocks
// whose operands fit in the first-level cache; a few splits of the blocks, chosen by the shape alone, sum into partial
// results of their own, which are added in order. On matrix tiles both operands are copied to them instead, as those of
// any product, or for many images split once (grad_tiles.h).
#pragma once
#include "contract/conv.h"
#include "cpu/conv/padded.h"
#include "cpu/conv/tap_product.h"
#include "cpu/matmul/matrix.h"
#include "cpu/matmul/product.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kGradRows = 192;    // rows (r, s, c) of a task; a multiple of every kTileRows
constexpr int64_t kGradPixels = 128;  // k of a block
constexpr int64_t kGradTasks = 8;     // enough to share among threads

template <class T>
struct WeightGrad {
  const ConvGeometry& g;
  const PaddedImages<T>& x;
  const T* dy;      // of the group's first filter
  int64_t channel;  // the group's first

  int64_t step() const { return g.w.stride * x.pixel(); }
  int64_t row_count() const { return g.h.kernel * g.w.kernel * g.group_channels(); }

  void locate(int64_t first, int64_t count, const T** rows) const {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t c = (first + i) % g.group_channels(), tap = (first + i) / g.group_channels();
      const int64_t r = tap / g.w.kernel, s = tap % g.w.kernel;
      rows[i] = x.data() + r * g.h.dilation * x.row() + s * g.w.dilation * x.pixel() + channel + c;
    }
  }
};

// The weight gradient's rows as those of a product.
template <class T>
struct GradRows {
  const WeightGrad<T>& grad;
  T* c;
  int64_t c_stride;

  int64_t step() const { return grad.step(); }
  bool k_is_contiguous() const { return false; }  // k counts pixels
  void locate(int64_t first, int64_t count, const T** a_rows, T** c_rows) const {
    grad.locate(first, count, a_rows);
    for (int64_t i = 0; i < count; ++i) c_rows[i] = c + (first + i) * c_stride;
  }
};

#if defined(TINYDL_TIER_amx)
// Neighbouring rows of one tap are neighbouring channels of a pixel.
inline void copy_rows(const GradRows<float>& rows, int64_t first, int64_t count, const DepthBlock& block,
                      const Run* runs, float* to, int64_t pitch) {
  const float* from[kTileEdge];
  const int64_t channels = rows.grad.g.group_channels(), step = rows.grad.step();
  rows.grad.locate(first, count, from);
  for (int64_t i = 0; i < count;) {
    const int64_t same = smaller(count - i, channels - (first + i) % channels);
    for (int r = 0; r < block.run_count; ++r)
      copy_block(from[i] + runs[r].a_offset, 1, step, same, runs[r].length, to + i * pitch + runs[r].k, pitch);
    i += same;
  }
}
#endif

// The output pixels, line by line, as the k of a product.
template <class T>
struct PixelRuns {
  const WeightGrad<T>& grad;

  int64_t total() const { return grad.g.batch * grad.g.h.output * grad.g.w.output; }
  Depth cut(int64_t limit) const {
    const ConvGeometry& g = grad.g;
    const int64_t lines = g.batch * g.h.output, most = total() / limit + 2;
    Depth depth(lines * 2 + most, most);
    for (int64_t line = 0; line < lines; ++line) {
      const int64_t offset = line / g.h.output * grad.x.image() + line % g.h.output * g.h.stride * grad.x.row();
      depth.add(offset, grad.step(), g.w.output, limit);
    }
    depth.finish();
    return depth;
  }
};

// to[i] (rows [first, first + count), columns [0, group_filters), `c_stride` apart) over blocks [block, block_end).
template <class T>
void weight_grad_task(const WeightGrad<T>& grad, const Depth& depth, int block, int block_end, int64_t first,
                      int64_t count, T* to, int64_t c_stride) {
  const T* a[kGradRows + kMaxTileRows];
  T* c[kMaxTileRows];
  // Pixels of many filters lie so far apart that their panels compete for the same lines of the cache.
  alignas(64) T panel[kGradPixels * kPanel<T>];
  const int64_t n = grad.g.group_filters();
  const bool copied = grad.g.filters > kPanel<T>;
  grad.locate(first, count, a);
  for (int i = 0; i < kMaxTileRows; ++i) a[count + i] = a[count - 1];
  for (int b = block; b < block_end; ++b) {
    const DepthBlock& pixels = depth.block(b);
    for (int64_t column = 0; column < n; column += kPanel<T>) {
      const int64_t width = smaller(kPanel<T>, n - column);
      const int vectors = static_cast<int>(div_up(width, Vec<T>::size));
      const int64_t padded = vectors * Vec<T>::size;
      const T* dy = grad.dy + pixels.first_k * grad.g.filters + column;
      if (copied) pack_columns(dy, grad.g.filters, 1, pixels.length, width, padded, padded, panel);
      TileJob<T> job;
      job.a_step = grad.step();
      job.b = copied ? panel : dy;
      job.b_step = copied ? padded : grad.g.filters;
      job.runs = depth.runs(pixels);
      job.run_count = pixels.run_count;
      job.c = c;
      job.tail = static_cast<int>(width - (vectors - 1) * Vec<T>::size);
      job.partial = b > block ? c : nullptr;
      job.epilogue = nullptr;
      const bool whole = copied || job.tail == Vec<T>::size;
      const int step = kTileRows[vectors];
      for (int64_t i = 0; i < count; i += step) {
        job.a = a + i;
        job.rows = static_cast<int>(smaller(step, count - i));
        for (int r = 0; r < job.rows; ++r) c[r] = to + (first + i + r) * c_stride + column;
        (whole ? tile_for<T, false>(vectors, job.rows) : tile_for<T, true>(vectors, job.rows))(job);
      }
    }
  }
}

// out[i] = sum over s < splits of parts[s * count + i], for the rows of out that lie `out_stride` apart.
template <class T>
void add_splits(const T* parts, int64_t splits, int64_t rows, int64_t n, T* out, int64_t out_stride) {
  parallel_for(rows, splits * rows * n, [=](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t j = 0; j < n; j += Vec<T>::size) {
        const int lanes = static_cast<int>(smaller(Vec<T>::size, n - j));
        Vec<T> total = Vec<T>::load(parts + r * n + j, lanes);
        for (int64_t s = 1; s < splits; ++s) total = total + Vec<T>::load(parts + (s * rows + r) * n + j, lanes);
        total.store(out + r * out_stride + j, lanes);
      }
  });
}

template <class T>
void weight_grad_group(const WeightGrad<T>& grad, const Depth& depth, T* dw) {
  const ConvGeometry& g = grad.g;
  const int64_t rows = grad.row_count(), n = g.group_filters(), blocks = depth.block_count();
  if (rows == 0 || n == 0) return;
  const int64_t row_blocks = div_up(rows, kGradRows);
  const int64_t splits = smaller(blocks, div_up(kGradTasks, row_blocks));
  Scratch scratch(splits > 1 ? static_cast<size_t>(splits * rows * n) * sizeof(T) : 0);
  T* parts = static_cast<T*>(scratch.data());
  const int64_t work = product_work<T>(rows, n, depth.total());
  parallel_for(row_blocks * splits, work, [&](int64_t begin, int64_t end, int) {
    const FlushDenormals flush;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t split = task / row_blocks, first = task % row_blocks * kGradRows;
      weight_grad_task(grad, depth, static_cast<int>(blocks * split / splits),
                       static_cast<int>(blocks * (split + 1) / splits), first, smaller(kGradRows, rows - first),
                       splits > 1 ? parts + split * rows * n : dw, splits > 1 ? n : g.filters);
    }
  });
  if (splits > 1) add_splits(parts, splits, rows, n, dw, g.filters);
}

template <class T>
void weight_grad(const ConvGeometry& g, const T* x, const T* dy, T* dw) {
  const char* known = nullptr;
  if (weight_grad_on_tiles(g, x, dy, dw, &known)) return;
  const PaddedImages<T> images(x, g.batch, g.h.input, g.w.input, g.channels,
                               {g.h.pad_before, g.h.pad_after, g.w.pad_before, g.w.pad_after});
  for (int64_t group = 0; group < g.groups; ++group) {
    const int64_t channel = group * g.group_channels(), filter = group * g.group_filters();
    const WeightGrad<T> grad{g, images, dy + filter, channel};
    const PixelRuns<T> pixels{grad};
    const GradRows<T> rows{grad, dw + filter, g.filters};
    const MatrixColumns<T> columns{dy + filter, g.filters, 1, pixels.total()};
    const char* refused = known;
    if (!refused)
      refused = multiply_on_tiles(rows, columns, pixels, grad.row_count(), g.group_filters(), Epilogue<T>());
    if (!refused) continue;
    trace_product(grad.row_count(), g.group_filters(), pixels.total(), "fused multiply-adds", refused);
    weight_grad_group(grad, pixels.cut(kGradPixels), dw + filter);
  }
}

}  // namespace tinydl::TINYDL_TIER
