// Bfloat16 operands of a product on the matrix tiles: copied in the order of the tiles, transposed where need be.
//
// A tile of A is 16 rows of 32 values of k. A tile of B is 16 rows of pairs of k, each pair 16 columns: A's tile of
// pairs, transposed. So a step of 32 lines (rows of A, columns of B) x 32 values of k is read either along its lines or
// across them, whichever way it lies in memory, and transposed if the tiles want the other way.
#pragma once
#include "cpu/matmul/dense_block.h"
#include "cpu/matmul/matrix.h"
#include "cpu/matmul/tile_gemm.h"

namespace tinydl::TINYDL_TIER {

// The lines of an operand: rows of A, or columns of B.
struct Bfloat16Lines {
  const Bfloat16* data;
  int64_t line_stride, k_stride;
};

TINYDL_INLINE __mmask32 lane_mask(int64_t lanes) { return lanes >= 32 ? ~0u : lanes <= 0 ? 0 : (1u << lanes) - 1; }

TINYDL_INLINE void store_pairs(const Vec<float> (&rows)[kTileEdge], Bfloat16* tile) {
  for (int i = 0; i < kTileEdge; ++i) rows[i].store(reinterpret_cast<float*>(tile + i * kStepDepth));
}

// Two tiles from `count` lines that are contiguous in k, `depth` of it; the rest is zeros.
template <bool transposed>
void pack_along(const Bfloat16* from, int64_t stride, int64_t count, int64_t depth, Bfloat16* to) {
  const __mmask32 mask = lane_mask(depth);
  for (int64_t line = 0; line < kPairEdge; line += kTileEdge, to += kTileValues) {
    Vec<float> rows[kTileEdge];
#pragma GCC unroll 16
    for (int i = 0; i < kTileEdge; ++i) {
      rows[i] = Vec<float>::Native(
          _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(line + i < count ? mask : 0, from + (line + i) * stride)));
    }
    if (transposed) transpose16(rows);
    store_pairs(rows, to);
  }
}

// Two tiles from `depth` rows of k that each hold `count` lines side by side.
template <bool transposed>
void pack_across(const Bfloat16* from, int64_t stride, int64_t count, int64_t depth, Bfloat16* to) {
  const __mmask32 mask = lane_mask(count);
  // Lane 2j takes word j of the first row, lane 2j + 1 word j of the second; and the same of words 16 on.
  const __m512i low =
      _mm512_set_epi32(0x002f000f, 0x002e000e, 0x002d000d, 0x002c000c, 0x002b000b, 0x002a000a, 0x00290009, 0x00280008,
                       0x00270007, 0x00260006, 0x00250005, 0x00240004, 0x00230003, 0x00220002, 0x00210001, 0x00200000);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  Vec<float> left[kTileEdge], right[kTileEdge];
#pragma GCC unroll 16
  for (int i = 0; i < kTileEdge; ++i) {
    const int64_t k = 2 * i;
    __builtin_prefetch(from + (k + kStepDepth) * stride);
    __builtin_prefetch(from + (k + 1 + kStepDepth) * stride);
    const __m512i first = _mm512_maskz_loadu_epi16(k < depth ? mask : 0, from + k * stride);
    const __m512i second = _mm512_maskz_loadu_epi16(k + 1 < depth ? mask : 0, from + (k + 1) * stride);
    left[i] = Vec<float>::Native(_mm512_castsi512_ps(_mm512_permutex2var_epi16(first, low, second)));
    right[i] = Vec<float>::Native(_mm512_castsi512_ps(_mm512_permutex2var_epi16(first, high, second)));
  }
  if (transposed) {
    transpose16(left);
    transpose16(right);
  }
  store_pairs(left, to);
  store_pairs(right, to + kTileValues);
}

// Two tiles from any 32 lines x 32 values of k.
template <bool by_lines>
void pack_step(const Bfloat16Lines& lines, int64_t line, int64_t count, int64_t k, int64_t depth, Bfloat16* to) {
  const Bfloat16* from = lines.data + line * lines.line_stride + k * lines.k_stride;
  if (lines.k_stride == 1) return pack_along<!by_lines>(from, lines.line_stride, count, depth, to);
  if (lines.line_stride == 1) return pack_across<by_lines>(from, lines.k_stride, count, depth, to);
  alignas(64) Bfloat16 dense[kPairEdge * kStepDepth] = {};
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < depth; ++j) dense[i * kStepDepth + j] = from[i * lines.line_stride + j * lines.k_stride];
  pack_along<!by_lines>(dense, kStepDepth, count, depth, to);
}

// A product's bfloat16 operands, as TileGemm wants them.
struct Bfloat16Operands {
  using Result = Bfloat16;
  static constexpr int planes = 1;
  struct Memory {};

  Bfloat16Lines rows, columns;
  int64_t n;
  Bfloat16* c;  // (m, n)

  void pack_a(int64_t first, int64_t count, const DepthBlock& block, Memory&, Bfloat16* to) const {
    for (int64_t i = 0; i < count; i += kPairEdge)
      for (int64_t k = 0; k < block.length; k += kStepDepth, to += kStepValues<planes>)
        pack_step<true>(rows, first + i, smaller(kPairEdge, count - i), block.first_k + k,
                        smaller(kStepDepth, block.length - k), to);
  }
  void pack_b(const DepthBlock& block, int64_t column, Bfloat16* to) const {
    for (int64_t k = 0; k < block.length; k += kStepDepth, to += kStepValues<planes>)
      pack_step<false>(columns, column, smaller(kPairEdge, n - column), block.first_k + k,
                       smaller(kStepDepth, block.length - k), to);
  }
  void locate(int64_t first, int64_t count, Bfloat16** to) const {
    for (int64_t i = 0; i < count; ++i) to[i] = c + (first + i) * n;
  }
};

}  // namespace tinydl::TINYDL_TIER
