// Float32 operands of a product on the matrix tiles: split into bfloat16 planes, block by block.
//
// While splitting, the exponents of both operands are watched: where a partial product could overflow or be flushed,
// where an operand holds an infinity or a NaN, the result is discarded and the caller computes the product with fused
// multiply-adds.
#pragma once
#include "cpu/matmul/dense_block.h"
#include "cpu/matmul/matrix.h"
#include "cpu/matmul/tile_gemm.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kDensePitch = kTileDepth + 16;  // copies of rows end on a whole vector, past the last k

// What the exponents of an operand must obey, gathered over all tasks.
class SharedRange {
 public:
  void add(const ExponentRange& range) { add(range.largest(), range.smallest()); }
  void add(int largest, int smallest) {
    raise(&largest_, largest);
    raise(&margin_, 255 - smallest);
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

// Whether sums of k products stay finite, or below 2^most_bits, and no partial product is lost.
//
// With biased exponents a and b, |x y| lies in [2^(a + b - 254), 2^(a + b - 252)). Of x y the planes' products that
// count reach down to 2^-24 of it, and tiles flush what is below 2^-126; the third plane of x itself lies 2^-16 below
// it.
inline bool split_is_exact(const SharedRange& a, const SharedRange& b, int64_t k, int most_bits = 127) {
  constexpr int kInfinity = 255, kSmallestFactor = 1 + 24, kSmallestProduct = 254 - 126 + 28;
  // Before zeros: a finite value that rounds to infinity would turn a product with zero into NaN.
  if (a.largest() == kInfinity || b.largest() == kInfinity) return false;
  if (a.largest() == 0 || b.largest() == 0) return true;
  int sum_bits = 0;
  while ((int64_t(1) << sum_bits) < k) ++sum_bits;
  return a.largest() + b.largest() - 252 + sum_bits <= most_bits && a.smallest() >= kSmallestFactor &&
         b.smallest() >= kSmallestFactor && a.smallest() + b.smallest() >= kSmallestProduct;
}

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

// A product's float32 operands, as TileGemm wants them.
template <int kPlanes, class Rows, class Columns>
struct SplitOperands {
  using Result = float;
  static constexpr int planes = kPlanes;
  struct Memory {
    alignas(64) float dense[kTileEdge * kDensePitch];
  };

  const Rows& rows;
  const Columns& columns;
  const Depth& depth;
  int64_t n;
  SharedRange &a_range, &b_range;

  void pack_b(const DepthBlock& block, int64_t column, Bfloat16* to) const {
    ExponentRange range;
    split_panel<planes>(columns, block, column, n, to, range);
    b_range.add(range);
  }

  void pack_a(int64_t first, int64_t count, const DepthBlock& block, Memory& memory, Bfloat16* to) const {
    const int64_t steps = div_up(block.length, kStepDepth);
    ExponentRange range;
    for (int64_t i = 0; i < div_up(count, kPairEdge) * kPairEdge; i += kTileEdge)
      pack_tile_rows(first + i, larger(0, smaller(kTileEdge, count - i)), block, memory,
                     to + i / kPairEdge * steps * kStepValues<planes> + i / kTileEdge % 2 * kTileValues, range);
    a_range.add(range);
  }

  void locate(int64_t first, int64_t count, float** c) const {
    const float* unused[kPairEdge];
    rows.locate(first, count, unused, c);
  }

 private:
  void pack_tile_rows(int64_t first, int64_t present, const DepthBlock& block, Memory& memory, Bfloat16* to,
                      ExponentRange& range) const {
    if (present == kTileEdge && lie_along_k(rows) && has_whole_steps(block, depth.runs(block))) {
      const float* from[kTileEdge];
      float* unused[kTileEdge];
      rows.locate(first, kTileEdge, from, unused);
      return split_runs<planes>(from, block, depth.runs(block), to, range);
    }
    if (present < kTileEdge || block.length % kStepDepth != 0) clear(memory.dense, kTileEdge * kDensePitch);
    if (present > 0) copy_rows(rows, first, present, block, depth.runs(block), memory.dense, kDensePitch);
    split_rows<planes>(memory.dense, kDensePitch, div_up(block.length, kStepDepth), to, range);
  }
};

// C (m, n) = activation(A B + bias); false, with C undefined, where float32's accuracy would be lost.
template <int planes, class Rows, class Columns, class Runs>
bool split_gemm(const Rows& rows, const Columns& columns, const Runs& runs, int64_t m, int64_t n,
                const Epilogue<float>& epilogue) {
  const TilePlan<planes> plan(m, n, runs.total());
  const Depth depth = runs.cut(plan.depth);
  SharedRange a_range, b_range;
  const SplitOperands<planes, Rows, Columns> operands{rows, columns, depth, n, a_range, b_range};
  tile_gemm(operands, depth, plan, n, epilogue);
  return split_is_exact(a_range, b_range, depth.total());
}

}  // namespace tinydl::TINYDL_TIER
