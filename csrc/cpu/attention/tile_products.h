// Forward's products on the matrix tiles: float32 operands split into bfloat16 planes (see matmul/planes.h).
//
// Queries, keys and values are split once, probabilities for every block. Where the exponents of the operands would
// cost accuracy, or one is not finite, the caller computes everything again with fused multiply-adds. Probabilities are
// at most 1 and relative to the row's largest so far: where one is too small for its planes it adds nothing that
// counts.
#pragma once
#include "cpu/attention/fma_products.h"
#include "cpu/matmul/split_operands.h"

namespace tinydl::TINYDL_TIER {

inline int64_t whole_steps(int64_t n) { return div_up(n, kStepDepth) * kStepDepth; }

// Whether scores can be made on the tiles, forward or backward. Where the other of the two has no tiles (a mask, other
// exponents), its scores are rounded otherwise, and e^(s - lse) with them: by up to 2^-24 of the sums' largest size,
// 2^16 here, beyond which probabilities would be off by more than a percent, then infinite.
inline bool scores_are_exact(const SharedRange& q, const SharedRange& k, const AttentionShape& s) {
  constexpr int kMostBits = 16;
  return split_is_exact(q, k, s.features, kMostBits);
}

// The exponents of the operands of all workers.
struct AttentionRanges {
  SharedRange q, k, v;
  bool are_exact(const AttentionShape& s) const {
    // Values beside probabilities from 2^-35 to 1.
    const bool values = v.largest() == 0 || (v.largest() < 200 && v.smallest() >= 64);
    return values && scores_are_exact(q, k, s);
  }
};

// 32 x 32 of C (+)= A B over `steps` steps of 32; for `meanwhile` see multiply_step.
template <int planes, class Meanwhile>
void multiply_pairs(const Bfloat16* a, const Bfloat16* b, int64_t steps, bool adds, float* c, int64_t pitch,
                    const Meanwhile& meanwhile) {
  const int64_t stride = pitch * static_cast<int64_t>(sizeof(float));
  float* below = c + kTileEdge * pitch;
  finish_stores();
  if (adds) {
    _tile_loadd(0, c, stride);
    _tile_loadd(1, c + kTileEdge, stride);
    _tile_loadd(2, below, stride);
    _tile_loadd(3, below + kTileEdge, stride);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t s = 0; s < steps; ++s, a += kStepValues<planes>, b += kStepValues<planes>)
    multiply_step<planes>(packed_step(a), b, meanwhile);
  _tile_stored(0, c, stride);
  _tile_stored(1, c + kTileEdge, stride);
  _tile_stored(2, below, stride);
  _tile_stored(3, below + kTileEdge, stride);
  finish_stores();
}

template <int planes>
void multiply_pairs(const Bfloat16* a, const Bfloat16* b, int64_t steps, bool adds, float* c, int64_t pitch) {
  multiply_pairs<planes>(a, b, steps, adds, c, pitch, [] {});
}

// Splits `rows` dense rows of whole steps, a multiple of 32, to [32 rows][step][plane][tile].
template <int planes>
void split_all_rows(const float* dense, int64_t pitch, int64_t rows, int64_t steps, Bfloat16* to,
                    ExponentRange& range) {
  for (int64_t i = 0; i < rows; i += kTileEdge)
    split_rows<planes>(dense + i * pitch, pitch, steps,
                       to + i / kPairEdge * steps * kStepValues<planes> + i / kTileEdge % 2 * kTileValues, range);
}

template <int planes>
struct TileProducts {
  // A worker's memory, in floats, by its parts.
  struct Memory {
    int64_t q, q_planes, k, v, k_block, v_block, total;
    explicit Memory(const AttentionShape& s) {
      const int64_t features = whole_steps(s.features), blocks = larger(2, PackedHead::capacity(s));
      k_block = kBlock * features * planes / 2;
      v_block = kBlock * whole_steps(s.values) * planes / 2;
      q = 0;
      q_planes = q + kBlock * features;
      k = q_planes + kBlock * features * planes / 2;
      v = k + blocks * k_block;
      total = v + blocks * v_block;
    }
  };

  const AttentionShape& shape;
  const AttentionInput<float>& in;
  const Memory& at;
  float* memory;
  PackedHead packed;
  ExponentRange q_range, k_range, v_range;

  TileProducts(const AttentionShape& shape, const AttentionInput<float>& in, const Memory& at, float* memory)
      : shape(shape), in(in), at(at), memory(memory), packed(shape) {}

  void set_queries(const ScoreBlock& block) {
    const int64_t pitch = whole_steps(shape.features), rows = whole_steps(block.rows);
    float* q = memory + at.q;
    if (block.rows < rows || shape.features < pitch) clear(q, rows * pitch);
    const float* from = row_of(in.q, block.batch, block.head, block.query);
    for (int64_t i = 0; i < block.rows; ++i)
      stage_rows(from + i * in.q.row_stride, 0, 1, shape.features, static_cast<float>(shape.scale), q + i * pitch);
    split_all_rows<planes>(q, pitch, rows, pitch / kStepDepth, planes_at(at.q_planes), q_range);
  }

  // scores = scale Q K^T for a strip of 32 queries, strip `place` of the block.
  template <class Meanwhile>
  void score(const ScoreBlock& strip, int64_t place, float* scores, const Meanwhile& meanwhile) {
    const int64_t steps = div_up(shape.features, kStepDepth);
    const Bfloat16 *k = pack(strip, place), *q = planes_at(at.q_planes) + place * steps * kStepValues<planes>;
    for (int64_t j = 0; j < strip.visible(kPairEdge - 1); j += kPairEdge)
      multiply_pairs<planes>(q, k + j / kPairEdge * steps * kStepValues<planes>, steps, false, scores + j,
                             kScorePitch<float>, meanwhile);
  }

  // out (+)= P V for a strip of 32 queries.
  template <class Meanwhile>
  void add_values(const ScoreBlock& strip, const Bfloat16* p, float* out, const Meanwhile& meanwhile) {
    const int64_t steps = div_up(strip.keys, kStepDepth), pitch = whole_steps(shape.values);
    const Bfloat16* v = planes_at(at.v + place_of(strip) * at.v_block);
    for (int64_t f = 0; f < shape.values; f += kPairEdge)
      multiply_pairs<planes>(p, v + f / kPairEdge * steps * kStepValues<planes>,
                             div_up(strip.visible(kPairEdge - 1), kStepDepth), strip.key > 0, out + f, pitch,
                             meanwhile);
  }

 private:
  Bfloat16* planes_at(int64_t place) const { return reinterpret_cast<Bfloat16*>(memory + place); }

  // A block of keys that is not kept stays until the next but one: its last strips still want its values.
  int64_t place_of(const ScoreBlock& block) const {
    return packed.keeps ? packed.place(block) : block.key / kBlock % 2;
  }

  // The keys of the block, split for the first strip that wants them; its values lie beside them.
  const Bfloat16* pack(const ScoreBlock& block, int64_t strip) {
    const int64_t head = block.kv_head(shape), steps = div_up(shape.features, kStepDepth);
    Bfloat16 *k = planes_at(at.k + place_of(block) * at.k_block), *v = planes_at(at.v + place_of(block) * at.v_block);
    const bool is_new = packed.keeps ? packed.add(block.batch * shape.kv_heads + head, block) : strip == 0;
    if (!is_new) return k;
    const MatrixColumns<float> keys{row_of(in.k, block.batch, head, block.key), 1, in.k.row_stride, shape.features};
    for (int64_t j = 0; j < block.keys; j += kPairEdge)
      split_panel<planes>(keys, DepthBlock{0, shape.features, 0, 0}, j, block.keys,
                          k + j / kPairEdge * steps * kStepValues<planes>, k_range);
    const MatrixColumns<float> values{row_of(in.v, block.batch, head, block.key), in.v.row_stride, 1, block.keys};
    for (int64_t f = 0; f < shape.values; f += kPairEdge)
      split_panel<planes>(values, DepthBlock{0, block.keys, 0, 0}, f, shape.values,
                          v + f / kPairEdge * div_up(block.keys, kStepDepth) * kStepValues<planes>, v_range);
    return k;
  }
};

}  // namespace tinydl::TINYDL_TIER
