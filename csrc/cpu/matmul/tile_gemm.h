// Float32 products on the matrix tiles: both operands split into bfloat16 planes, block by block.
//
//   B is split once as [k block][32 columns][step][plane][tile]. A block of C is up to kTileBlockRows rows x
//   kTileBlockPanels panels, and where there are few, a part of k too:
//
//     for each k block            (A's rows split to scratch memory: up to 768 KB of the second-level cache)
//       for each panel            (B's 96 KB: from the second- or third-level cache)
//         for each 32 rows        (A's 96 KB: from the second-level cache)
//           32 x 32 of C += A B
//
// Between k blocks C lies in scratch memory, as tiles. The cuts of k depend on the problem's shape alone; workers share
// out panels, or blocks after all of B is split. While splitting, the exponents of both operands are watched: where a
// partial product could overflow or be flushed, where an operand holds an infinity or a NaN, the result is discarded
// and the caller computes the product with fused multiply-adds.
#pragma once
#include "cpu/matmul/amx_tile.h"
#include "cpu/matmul/dense_block.h"
#include "cpu/matmul/gemm.h"
#include "cpu/matmul/matrix.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kTileDepth = 512;               // most k of a block
constexpr int64_t kDensePitch = kTileDepth + 16;  // copies of rows end on a whole vector, past the last k
constexpr int64_t kTileBlockRows = 256;
constexpr int64_t kTileBlockPanels = 32;
constexpr int64_t kTileTasks = 8;  // enough to share among a few threads

// How a product is cut and shared out.
struct TilePlan {
  int64_t m, panels, block_rows, row_blocks, panel_blocks;
  int64_t splits;  // parts of k that are summed at the end: by the shape alone, as the next
  int64_t depth;   // k of a block
  int workers;
  bool by_panels;  // each worker splits its own panels of B

  TilePlan(int64_t rows, int64_t n, int64_t k)
      : m(rows), panels(div_up(n, kPairEdge)), panel_blocks(div_up(panels, kTileBlockPanels)) {
    const int64_t even = div_up(div_up(m, div_up(kTileTasks, panel_blocks)), kPairEdge) * kPairEdge;
    set_block_rows(larger(2 * kPairEdge, smaller(kTileBlockRows, even)));
    const int64_t wanted = larger(1, kTileTasks / tasks_of_a_split());
    depth = smaller(kTileDepth, larger(4 * kStepDepth, div_up(div_up(k, wanted), kStepDepth) * kStepDepth));
    splits = smaller(wanted, larger(1, div_up(k, depth)));
    workers = workers_for(tasks_of_a_split() * splits, m * n / 64 * k);
    by_panels = splits == 1 && panels_are_shared(m, n, panels, workers);
    if (by_panels) set_block_rows(smaller(kTileBlockRows, div_up(m, kPairEdge) * kPairEdge));
  }
  int64_t tasks_of_a_split() const { return row_blocks * panel_blocks; }

 private:
  void set_block_rows(int64_t rows) {
    block_rows = rows;
    row_blocks = div_up(m, block_rows);
  }
};

// What the exponents of an operand must obey, gathered over all tasks.
class SharedRange {
 public:
  void add(const ExponentRange& range) {
    raise(&largest_, range.largest());
    raise(&margin_, 255 - range.smallest());
  }
  int largest() const { return largest_; }
  int smallest() const { return 255 - margin_; }

 private:
  static void raise(int* value, int candidate) {
    int seen = __atomic_load_n(value, __ATOMIC_RELAXED);
    while (candidate > seen &&
           !__atomic_compare_exchange_n(value, &seen, candidate, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
  }
  int largest_ = 0, margin_ = 0;
};

// Whether sums of k products stay finite and no partial product is lost.
//
// With biased exponents a and b, |x y| lies in [2^(a + b - 254), 2^(a + b - 252)). Of x y the planes' products that
// count reach down to 2^-24 of it, and tiles flush what is below 2^-126; the third plane of x itself lies 2^-16 below
// it.
inline bool split_is_exact(const SharedRange& a, const SharedRange& b, int64_t k) {
  constexpr int kInfinity = 255, kSmallestFactor = 1 + 24, kSmallestProduct = 254 - 126 + 28;
  // Before zeros: a finite value that rounds to infinity would turn a product with zero into NaN.
  if (a.largest() == kInfinity || b.largest() == kInfinity) return false;
  if (a.largest() == 0 || b.largest() == 0) return true;
  int sum_bits = 0;
  while ((int64_t(1) << sum_bits) < k) ++sum_bits;
  return a.largest() + b.largest() - 252 + sum_bits <= 127 && a.smallest() >= kSmallestFactor &&
         b.smallest() >= kSmallestFactor && a.smallest() + b.smallest() >= kSmallestProduct;
}

// The tiles of 16 rows, or 16 columns, of a step of an operand: [step][plane][two tiles][16][32].
template <int planes>
constexpr int64_t kStepValues = planes * 2 * kTileValues;

// Splits `steps` steps of a row, 32 floats each, into row `row` of the tiles at `to`.
template <int planes>
TINYDL_INLINE void split_row(const float* from, int64_t steps, int row, Bfloat16* to, ExponentRange& range) {
  to += row * kStepDepth;
  for (int64_t s = 0; s < steps; ++s, from += kStepDepth, to += kStepValues<planes>)
    split<planes>(Vec<float>::load(from), Vec<float>::load(from + 16), to, 2 * kTileValues, range);
}

// Splits 16 dense rows of `steps` steps.
template <int planes>
void split_rows(const float* dense, int64_t pitch, int64_t steps, Bfloat16* to, ExponentRange& shared) {
  ExponentRange range = shared;  // in registers
  for (int i = 0; i < kTileEdge; ++i) split_row<planes>(dense + i * pitch, steps, i, to, range);
  shared = range;
}

// Splits 16 rows whose runs are whole steps, straight from where they lie.
template <int planes>
void split_runs(const float* const* rows, const DepthBlock& block, const Run* runs, Bfloat16* to,
                ExponentRange& shared) {
  ExponentRange range = shared;
  for (int i = 0; i < kTileEdge; ++i)
    for (int r = 0; r < block.run_count; ++r)
      split_row<planes>(rows[i] + runs[r].a_offset, runs[r].length / kStepDepth, i,
                        to + runs[r].k / kStepDepth * kStepValues<planes>, range);
  shared = range;
}

inline bool has_whole_steps(const DepthBlock& block, const Run* runs) {
  for (int r = 0; r < block.run_count; ++r)
    if (runs[r].k % kStepDepth != 0 || runs[r].length % kStepDepth != 0) return false;
  return true;
}

// Splits a step of 32 values of k, `pitch` apart, x 32 columns.
template <int planes>
void split_columns(const float* from, int64_t pitch, Bfloat16* to, ExponentRange& shared) {
  ExponentRange range = shared;
  for (int i = 0; i < kTileEdge; ++i, from += pitch)
    for (int tile = 0; tile < 2; ++tile) {
      const float* low = from + tile * kTileEdge;
      __builtin_prefetch(low + kStepDepth * pitch);
      __builtin_prefetch(low + (kStepDepth + 16) * pitch);
      split<planes>(Vec<float>::load(low), Vec<float>::load(low + 16 * pitch), to + tile * kTileValues + i * kStepDepth,
                    2 * kTileValues, range);
    }
  shared = range;
}

inline void clear(float* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = 0;
}

// B's 32 columns from `column` over one block of k; see packing.h for `columns`.
template <int planes, class Columns>
void split_panel(const Columns& columns, const DepthBlock& block, int64_t column, int64_t n, Bfloat16* to,
                 ExponentRange& range) {
  alignas(64) float dense[kStepDepth * kPairEdge];
  const int64_t width = smaller(kPairEdge, n - column);
  const bool direct = columns.n_stride == 1 && width == kPairEdge;
  for (int64_t k = 0; k < block.length; k += kStepDepth, to += kStepValues<planes>) {
    const int64_t depth = smaller(kStepDepth, block.length - k);
    const float* from;
    if (direct && depth == kStepDepth && columns.at(block.first_k + k, &from) >= kStepDepth) {
      split_columns<planes>(from + column, columns.k_stride, to, range);
      continue;
    }
    if (depth < kStepDepth || width <= kTileEdge) clear(dense, kStepDepth * kPairEdge);
    for (int64_t at = 0; at < depth;) {
      const int64_t same = smaller(smaller(columns.at(block.first_k + k + at, &from), depth - at), 16);
      copy_block(from + column * columns.n_stride, columns.k_stride, columns.n_stride, same, width,
                 dense + at * kPairEdge, kPairEdge);
      at += same;
    }
    split_columns<planes>(dense, kPairEdge, to, range);
  }
}

// Writes a finished 32 x 32, four tiles, to C; with bias and activation, if this completes C.
struct TileSink {
  const Epilogue<float>* epilogue;  // or null

  void put(const float* tiles, float* const* c, int64_t count, int64_t column, int64_t width) const {
    for (int64_t j = 0; j < width; j += kTileEdge) {
      const int lanes = static_cast<int>(smaller(kTileEdge, width - j));
      const float* bias = epilogue && epilogue->bias ? epilogue->bias + column + j : nullptr;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t tile = i / kTileEdge * 2 + j / kTileEdge;
        Vec<float> x = Vec<float>::load(tiles + (tile * kTileEdge + i % kTileEdge) * kTileEdge);
        if (bias) x = x + Vec<float>::load(bias, lanes);
        if (epilogue) x = activate(x, epilogue->activation);
        x.store(c[i] + column + j, lanes);
      }
    }
  }
};

// to[i * pitch + k] = A's row first + i, for i < count <= 16, over a block of k.
template <class Rows>
void copy_rows(const Rows& rows, int64_t first, int64_t count, const DepthBlock& block, const Run* runs, float* to,
               int64_t pitch) {
  const float* from[kTileEdge];
  float* unused[kTileEdge];
  rows.locate(first, count, from, unused);
  copy_runs(from, count, block, runs, to, pitch);
}
// Whether the rows' runs can be split from where they lie.
template <class Rows>
bool lie_along_k(const Rows& rows) {
  return rows.step() == 1;
}
inline bool lie_along_k(const StagedRows<float>&) { return false; }

inline void copy_rows(const StagedRows<float>& rows, int64_t first, int64_t count, const DepthBlock& block, const Run*,
                      float* to, int64_t pitch) {
  const PlainRows<float>& plain = rows.plain;
  copy_block(plain.a + first * plain.a_stride + block.first_k * rows.k_stride, plain.a_stride, rows.k_stride, count,
             block.length, to, pitch);
}

template <int planes, class Rows, class Columns>
struct TileGemm {
  const Rows& rows;
  const Columns& columns;
  const Depth& depth;
  const TilePlan& plan;
  int64_t n;
  const Epilogue<float>& epilogue;
  Bfloat16* b;
  float* parts;  // [split][m][n], or null where C is written at once
  SharedRange &a_range, &b_range;

  // What a worker needs to itself.
  struct Memory {
    alignas(64) Bfloat16 a[kTileBlockRows * kTileDepth * planes];
    alignas(64) float dense[kTileEdge * kDensePitch];
    alignas(64) float c[kTileBlockPanels * kTileBlockRows / kPairEdge][kPairEdge * kPairEdge];
  };

  Bfloat16* split_b_at(int k, int64_t panel) const {
    const DepthBlock& block = depth.block(k);
    const int64_t steps = div_up(block.length, kStepDepth);
    return b + (div_up(block.first_k, kStepDepth) * plan.panels + panel * steps) * kStepValues<planes>;
  }
  void split_b(int k, int64_t panel, ExponentRange& range) const {
    split_panel<planes>(columns, depth.block(k), panel * kPairEdge, n, split_b_at(k, panel), range);
  }

  // A's rows [first, first + count) over a block of k, as [32 rows][step][plane][tile].
  void split_a(int64_t first, int64_t count, const DepthBlock& block, Memory& memory) const {
    const int64_t steps = div_up(block.length, kStepDepth);
    const bool direct = lie_along_k(rows) && has_whole_steps(block, depth.runs(block));
    ExponentRange range;
    for (int64_t i = 0; i < div_up(count, kPairEdge) * kPairEdge; i += kTileEdge) {
      const int64_t present = larger(0, smaller(kTileEdge, count - i));
      Bfloat16* to = memory.a + i / kPairEdge * steps * kStepValues<planes> + i / kTileEdge % 2 * kTileValues;
      if (direct && present == kTileEdge) {
        const float* from[kTileEdge];
        float* unused[kTileEdge];
        rows.locate(first + i, kTileEdge, from, unused);
        split_runs<planes>(from, block, depth.runs(block), to, range);
        continue;
      }
      if (present < kTileEdge || block.length % kStepDepth != 0) clear(memory.dense, kTileEdge * kDensePitch);
      if (present > 0) copy_rows(rows, first + i, present, block, depth.runs(block), memory.dense, kDensePitch);
      split_rows<planes>(memory.dense, kDensePitch, steps, to, range);
    }
    a_range.add(range);
  }

  void locate(int64_t first, int64_t count, int64_t split, float** c) const {
    const float* unused[kTileBlockRows];
    if (parts)
      for (int64_t i = 0; i < count; ++i) c[i] = parts + (split * plan.m + first + i) * n;
    else
      rows.locate(first, count, unused, c);
  }

  // C's rows [first, first + count) x panels [panel, panel_end), over one part of k.
  void block(int64_t first, int64_t count, int64_t panel, int64_t panel_end, int64_t split, Memory& memory) const {
    float* c[kTileBlockRows];
    locate(first, count, split, c);
    const TileSink sink{parts ? nullptr : &epilogue};
    const int64_t blocks = depth.block_count();
    const int begin = static_cast<int>(blocks * split / plan.splits);
    const int end = static_cast<int>(blocks * (split + 1) / plan.splits);
    for (int k = begin; k < end; ++k) {
      const int64_t steps = div_up(depth.block(k).length, kStepDepth);
      split_a(first, count, depth.block(k), memory);
      float (*tiles)[kPairEdge * kPairEdge] = memory.c;
      for (int64_t p = panel; p < panel_end; ++p) {
        const Bfloat16* next = p + 1 < panel_end ? split_b_at(k, p + 1)
                               : k + 1 < end     ? split_b_at(k + 1, panel)
                                                 : nullptr;
        for (int64_t i = 0; i < count; i += kPairEdge) {
          product(memory.a, i, count, split_b_at(k, p), next, steps, k > begin, *tiles);
          if (k + 1 == end)
            sink.put(*tiles, c + i, smaller(kPairEdge, count - i), p * kPairEdge,
                     smaller(kPairEdge, n - p * kPairEdge));
          if (end - begin > 1) ++tiles;
        }
      }
    }
  }

  // Rows [i, i + 32) of `count` times a panel of B; meanwhile their share of the `next` panel is fetched.
  static void product(const Bfloat16* a, int64_t i, int64_t count, const Bfloat16* panel, const Bfloat16* next,
                      int64_t steps, bool accumulate, float* c) {
    constexpr int64_t kLine = 64 / sizeof(Bfloat16);
    const int64_t pair = i / kPairEdge,
                  lines = next ? div_up(kStepValues<planes> / kLine, div_up(count, kPairEdge)) : 0;
    tile_product<planes>(a + pair * steps * kStepValues<planes>, panel, steps, accumulate, c,
                         next + pair * lines * steps * kLine, lines);
  }

  void run() const {
    Scratch scratch(sizeof(Memory) * static_cast<size_t>(plan.workers));
    Memory* memory = static_cast<Memory*>(scratch.data());
    if (plan.by_panels)
      share_panels(memory);
    else
      share_blocks(memory);
  }
  void share_panels(Memory* memory) const {
    parallel_for_workers(plan.panels, plan.workers, [&](int64_t begin, int64_t end, int worker) {
      const FlushDenormals flush;
      const TileRegisters registers;
      ExponentRange range;
      for (int k = 0; k < depth.block_count(); ++k)
        for (int64_t panel = begin; panel < end; ++panel) split_b(k, panel, range);
      b_range.add(range);
      for (int64_t panel = begin; panel < end; panel += kTileBlockPanels)
        for (int64_t first = 0; first < plan.m; first += plan.block_rows)
          block(first, smaller(plan.block_rows, plan.m - first), panel, smaller(end, panel + kTileBlockPanels), 0,
                memory[worker]);
    });
  }
  void share_blocks(Memory* memory) const {
    parallel_for(plan.panels * depth.block_count(), depth.total() * n / 2, [&](int64_t begin, int64_t end, int) {
      ExponentRange range;
      for (int64_t t = begin; t < end; ++t) split_b(static_cast<int>(t / plan.panels), t % plan.panels, range);
      b_range.add(range);
    });
    const int64_t tasks = plan.tasks_of_a_split() * plan.splits;
    parallel_for_workers(tasks, plan.workers, [&](int64_t begin, int64_t end, int worker) {
      const FlushDenormals flush;
      const TileRegisters registers;
      for (int64_t t = begin; t < end; ++t) {
        const int64_t split = t / plan.tasks_of_a_split(), place = t % plan.tasks_of_a_split();
        const int64_t first = place / plan.panel_blocks * plan.block_rows;
        const int64_t panel = place % plan.panel_blocks * kTileBlockPanels;
        block(first, smaller(plan.block_rows, plan.m - first), panel, smaller(plan.panels, panel + kTileBlockPanels),
              split, memory[worker]);
      }
    });
  }

  // C = activation(sum of the parts + bias)
  void add_parts() const {
    parallel_for(plan.m, plan.m * n * plan.splits, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const float* unused;
        float *c, *from = parts + i * n;
        rows.locate(i, 1, &unused, &c);
        for (int64_t s = 0; s < plan.splits; ++s, from += plan.m * n) add_row(from, s, c);
      }
    });
  }
  void add_row(const float* from, int64_t split, float* c) const {
    const bool last = split + 1 == plan.splits;
    for (int64_t j = 0; j < n; j += Vec<float>::size) {
      const int lanes = static_cast<int>(smaller(Vec<float>::size, n - j));
      Vec<float> x = Vec<float>::load(from + j, lanes);
      if (split > 0) x = x + Vec<float>::load(c + j, lanes);
      if (last && epilogue.bias) x = x + Vec<float>::load(epilogue.bias + j, lanes);
      if (last) x = activate(x, epilogue.activation);
      x.store(c + j, lanes);
    }
  }
};

// C (m, n) = activation(A B + bias); false, with C undefined, where float32's accuracy would be lost.
template <int planes, class Rows, class Columns>
bool tile_gemm(const Rows& rows, const Columns& columns, const Depth& depth, const TilePlan& plan, int64_t n,
               const Epilogue<float>& epilogue) {
  int64_t steps = 0;
  for (int b = 0; b < depth.block_count(); ++b) steps += div_up(depth.block(b).length, kStepDepth);
  Scratch split_b(static_cast<size_t>(steps * plan.panels * kStepValues<planes>) * sizeof(Bfloat16));
  Scratch parts(plan.splits > 1 ? static_cast<size_t>(plan.splits * plan.m * n) * sizeof(float) : 0);
  float* sums = plan.splits > 1 ? static_cast<float*>(parts.data()) : nullptr;
  SharedRange a_range, b_range;
  const TileGemm<planes, Rows, Columns> gemm{
      rows, columns, depth, plan, n, epilogue, static_cast<Bfloat16*>(split_b.data()), sums, a_range, b_range};
  gemm.run();
  if (sums) gemm.add_parts();
  return split_is_exact(a_range, b_range, depth.total());
}

}  // namespace tinydl::TINYDL_TIER
