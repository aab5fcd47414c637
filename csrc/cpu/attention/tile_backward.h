// Attention backward on the matrix tiles; the loops of backward.h.
//
// Everything is computed transposed, a row for each key, so that no product needs scores turned around:
//
//   S^T = K (scale Q)^T,  P^T = e^(S^T - lse),  dP^T = V dO^T,  dS^T = P^T (dP^T - D)
//   dV += P^T dO,  dK += dS^T scale Q,  dQ^T += scale K^T dS^T
//
// P^T and dS^T are left operands as they stand, their rows lying along the sum over queries; dS^T is a right operand
// too, whose pairs of bfloat16 come from two rows: both kinds of pairs are made of one rounding. Queries and upstream
// gradients are split once for all keys of their head, as columns (for scores) and as rows (for dV and dK).
#pragma once
#include "cpu/attention/backward.h"
#include "cpu/attention/tile_products.h"

namespace tinydl::TINYDL_TIER {

// The exponents of the operands of all workers.
struct BackwardRanges {
  SharedRange q, k, v, d_o, ds;
  bool are_exact(const AttentionShape& s) const {
    // The gradient beside probabilities from 2^-35 to 1.
    const bool upstream = d_o.largest() == 0 || (d_o.largest() < 200 && d_o.smallest() >= 64);
    return upstream && scores_are_exact(q, k, s) && split_is_exact(d_o, v, s.values) && counts(ds) && counts(q) &&
           counts(k);
  }
  // Of a factor of sums, what matters beside the largest is not lost.
  static bool counts(const SharedRange& x) {
    return x.largest() == 0 || (x.largest() < 200 && x.largest() >= 127 - 40);
  }
};

// The planes of a block of 2 x 2 vectors, rows `upper` and `lower` of two tiles: side by side as pairs of a left
// operand's two tiles of rows, and above each other as pairs of a right operand's two tiles of columns.
template <int planes>
TINYDL_INLINE void split_both_ways(Vec<float> (&upper)[2], Vec<float> (&lower)[2], Bfloat16* rows, Bfloat16* columns,
                                   ExponentRange& range) {
  const __m512i high_half = _mm512_set1_epi32(static_cast<int>(0xffff0000));
#pragma GCC unroll 3
  for (int plane = 0; plane < planes; ++plane, rows += 2 * kTileValues, columns += 2 * kTileValues) {
    const __m512i above = round_pairs(upper[0], upper[1]), below = round_pairs(lower[0], lower[1]);
    const __m512i above_low = _mm512_maskz_slli_epi32(0xffff, above, 16);
    const __m512i below_low = _mm512_maskz_slli_epi32(0xffff, below, 16);
    const __m512i below_high = _mm512_maskz_and_epi32(0xffff, below, high_half);
    _mm512_storeu_si512(rows, above);
    _mm512_storeu_si512(rows + kTileValues, below);
    _mm512_storeu_si512(columns, _mm512_maskz_mov_epi32(0xffff, _mm512_mask_blend_epi16(0xaaaaaaaa, above, below_low)));
    _mm512_storeu_si512(columns + kTileValues,
                        _mm512_maskz_or_epi32(0xffff, _mm512_maskz_srli_epi32(0xffff, above, 16), below_high));
    if (plane == 0) range.add(above), range.add(below);
    if (plane + 1 == planes) break;
    upper[0] = upper[0] - as_floats(above_low);
    upper[1] = upper[1] - as_floats(_mm512_maskz_and_epi32(0xffff, above, high_half));
    lower[0] = lower[0] - as_floats(below_low);
    lower[1] = lower[1] - as_floats(below_high);
  }
}

// A worker's memory, in floats, by its parts.
template <int planes>
struct TileBackwardMemory {
  static constexpr int64_t kMostSlots = 32;
  // Blocks of queries that stay split, of all heads that share keys; dQ^T of all.
  int64_t blocks, slots;
  int64_t dense, turned, k, v, k_columns, p, ds, ds_columns, scores, grads, row_terms, dk, dv, q, d_o, q_rows, d_o_rows,
      slot, queries, dq, dq_block, total;

  explicit TileBackwardMemory(const AttentionShape& s) {
    const int64_t features = whole_steps(s.features), values = whole_steps(s.values), wide = larger(features, values);
    const int64_t of_features = kBlock * features * planes / 2, of_values = kBlock * values * planes / 2;
    blocks = s.heads / s.kv_heads * div_up(s.queries, kBlock);
    slots = blocks <= kMostSlots ? blocks : 1;
    dense = 0;
    turned = dense + kBlock * wide;
    k = turned + wide * kScorePitch<float>;
    v = k + of_features;
    k_columns = v + of_values;
    p = k_columns + of_features;
    ds = p + kBlock * kBlock * planes / 2;
    ds_columns = ds + kBlock * kBlock * planes / 2;
    scores = ds_columns + kBlock * kBlock * planes / 2;
    grads = scores + kPairEdge * kScorePitch<float>;
    row_terms = grads + kPairEdge * kScorePitch<float>;
    dk = row_terms + 2 * kBlock;
    dv = dk + kBlock * features;
    queries = dv + kBlock * values;
    q = 0;
    q_rows = q + of_features;
    d_o = q_rows + of_features;
    d_o_rows = d_o + of_values;
    slot = d_o_rows + of_values;
    dq = queries + slots * slot;
    dq_block = features * kScorePitch<float>;
    total = dq + blocks * dq_block;
  }
};

template <int planes>
struct TileBackward {
  using V = Vec<float>;
  using Memory = TileBackwardMemory<planes>;
  const AttentionShape& shape;
  const AttentionInput<float>& in;
  const AttentionGrads<float>& grads;
  const Memory& at;
  float* memory;
  bool wants_q, wants_k, wants_v;
  ExponentRange q_range, k_range, v_range, d_o_range, ds_range;

  TileBackward(const AttentionShape& shape, const AttentionInput<float>& in, const AttentionGrads<float>& grads,
               const Memory& at, float* memory, bool queries, bool keys)
      : shape(shape),
        in(in),
        grads(grads),
        at(at),
        memory(memory),
        wants_q(queries && grads.dq.data),
        wants_k(keys && grads.dk.data),
        wants_v(keys && grads.dv.data) {}

  // All of one head of keys, or one block of its keys with the queries that see it.
  void head(int64_t batch, int64_t kv_head) {
    const int64_t group = shape.heads / shape.kv_heads, blocks = div_up(shape.queries, kBlock);
    for (int64_t key = 0; key < shape.keys; key += kBlock) keys(batch, kv_head, key);
    for (int64_t b = 0; wants_q && b < group * blocks; ++b)
      write_dq(batch, kv_head * group + b / blocks, b % blocks * kBlock, b);
  }
  void keys(int64_t batch, int64_t kv_head, int64_t key) {
    const int64_t group = shape.heads / shape.kv_heads, first = first_query_block(shape, key) * kBlock;
    const int64_t blocks = div_up(shape.queries, kBlock);
    ScoreBlock block{batch, 0, 0, 0, key, smaller(kBlock, shape.keys - key), shape.causal};
    hold(batch * shape.kv_heads + kv_head);
    pack_keys(block, kv_head);
    bool is_first = true;
    for (int64_t h = 0; h < group; ++h)
      for (int64_t query = first; query < shape.queries; query += kBlock, is_first = false) {
        block.head = kv_head * group + h;
        set_queries(block, query, h * blocks + query / kBlock);
        visit(block, h * blocks + query / kBlock, is_first, key == 0);
      }
    write_sums(block, kv_head, !is_first);
  }

  // One block of queries with the keys that it sees.
  void queries(int64_t batch, int64_t head, int64_t query) {
    ScoreBlock block{batch, head, 0, 0, 0, 0, shape.causal};
    hold(-1);
    set_queries(block, query, 0);
    const int64_t blocks = visible_key_blocks(shape, query + block.rows);
    for (int64_t b = 0; b < blocks; ++b) {
      block.key = b * kBlock;
      block.keys = smaller(kBlock, shape.keys - block.key);
      pack_keys(block, block.kv_head(shape));
      visit(block, 0, false, b == 0);
    }
    write_dq(batch, head, query, 0);
  }

 private:
  static constexpr int64_t kStep = kStepValues<planes>;
  int64_t held_head = -1;
  uint32_t held_blocks = 0;

  Bfloat16* planes_at(int64_t place) const { return reinterpret_cast<Bfloat16*>(memory + place); }
  int64_t slot_of(int64_t b) const { return at.queries + (at.slots > 1 ? b : 0) * at.slot; }

  // Forgets the queries that lie split, unless they are of this head of keys.
  void hold(int64_t head) {
    if (head != held_head || head < 0 || at.slots < at.blocks) held_blocks = 0;
    held_head = head;
  }

  void pack_keys(const ScoreBlock& block, int64_t head) {
    const float* k = row_of(in.k, block.batch, head, block.key);
    const float* v = row_of(in.v, block.batch, head, block.key);
    const float* dense = stage(v, in.v.row_stride, block.keys, shape.values, 1);
    split_left(dense, block.keys, shape.values, at.v, v_range);
    dense = stage(k, in.k.row_stride, block.keys, shape.features, 1);
    split_left(dense, block.keys, shape.features, at.k, k_range);
    if (!wants_q) return;
    dense = stage(k, in.k.row_stride, block.keys, shape.features, shape.scale);
    const int64_t pitch = whole_steps(shape.features);
    float* turned = memory + at.turned;
    for (int64_t f = 0; f < pitch; f += kTileEdge)
      copy_block(dense + f, 1, pitch, kTileEdge, whole_steps(block.keys), turned + f * kScorePitch<float>,
                 kScorePitch<float>);
    split_all_rows<planes>(turned, kScorePitch<float>, pitch, div_up(block.keys, kStepDepth), planes_at(at.k_columns),
                           k_range);
  }

  void set_queries(ScoreBlock& block, int64_t query, int64_t b) {
    block.query = query;
    block.rows = smaller(kBlock, shape.queries - query);
    if (at.slots > 1 && (held_blocks >> b & 1)) return;
    if (at.slots > 1) held_blocks |= 1u << b;
    const int64_t slot = slot_of(b);
    const float* q = row_of(in.q, block.batch, block.head, query);
    const float* dense = stage(q, in.q.row_stride, block.rows, shape.features, shape.scale);
    split_transposed(dense, block.rows, shape.features, slot + at.q, q_range);
    if (wants_k) split_right(dense, block.rows, shape.features, slot + at.q_rows, q_range);
    dense = stage(row_of(grads.d_o, block.batch, block.head, query), grads.d_o.row_stride, block.rows, shape.values, 1);
    split_transposed(dense, block.rows, shape.values, slot + at.d_o, d_o_range);
    if (wants_v) split_right(dense, block.rows, shape.values, slot + at.d_o_rows, d_o_range);
  }

  // Rows times the factor, with zeros up to whole steps of rows and columns.
  const float* stage(const float* from, int64_t stride, int64_t rows, int64_t n, double factor) {
    float* to = memory + at.dense;
    const int64_t pitch = whole_steps(n);
    if (rows % kPairEdge != 0 || n % kStepDepth != 0) clear(to, whole_steps(rows) * pitch);
    for (int64_t i = 0; i < rows; ++i)
      stage_rows(from + i * stride, 0, 1, n, static_cast<float>(factor), to + i * pitch);
    return to;
  }
  // Dense rows as a left operand.
  void split_left(const float* dense, int64_t rows, int64_t n, int64_t to, ExponentRange& range) {
    split_all_rows<planes>(dense, whole_steps(n), whole_steps(rows), div_up(n, kStepDepth), planes_at(to), range);
  }
  // Dense rows as a right operand of n columns, the sum running over the rows.
  void split_right(const float* dense, int64_t rows, int64_t n, int64_t to, ExponentRange& range) {
    const int64_t pitch = whole_steps(n), steps = div_up(rows, kStepDepth);
    for (int64_t f = 0; f < n; f += kPairEdge)
      for (int64_t s = 0; s < steps; ++s)
        split_columns<planes>(dense + s * kStepDepth * pitch + f, pitch,
                              planes_at(to) + (f / kPairEdge * steps + s) * kStep, range);
  }
  // Dense rows as the columns of a right operand, the sum running over their n values.
  void split_transposed(const float* dense, int64_t rows, int64_t n, int64_t to, ExponentRange& range) {
    const MatrixColumns<float> columns{dense, 1, whole_steps(n), n};
    const int64_t steps = div_up(n, kStepDepth);
    for (int64_t j = 0; j < rows; j += kPairEdge)
      split_panel<planes>(columns, DepthBlock{0, n, 0, 0}, j, rows, planes_at(to) + j / kPairEdge * steps * kStep,
                          range);
  }

  void visit(const ScoreBlock& block, int64_t b, bool first_queries, bool first_keys) {
    set_row_terms(block);
    for (int64_t j = 0; j < block.keys; j += kPairEdge) {
      score(block, j, at.k, slot_of(b) + at.q, shape.features, memory + at.scores);
      score(block, j, at.v, slot_of(b) + at.d_o, shape.values, memory + at.grads);
      weigh(block, j);
    }
    if (wants_v) sum_over_queries(block, at.p, slot_of(b) + at.d_o_rows, shape.values, at.dv, first_queries);
    if (wants_k) sum_over_queries(block, at.ds, slot_of(b) + at.q_rows, shape.features, at.dk, first_queries);
    if (wants_q) sum_over_keys(block, at.dq + b * at.dq_block, first_keys);
  }

  // lse and D of the block's queries; past the last, an lse that makes P zero.
  void set_row_terms(const ScoreBlock& block) {
    const int64_t row = (block.batch * shape.heads + block.head) * shape.queries + block.query;
    float* to = memory + at.row_terms;
    for (int64_t i = 0; i < kBlock; ++i) {
      to[i] = i < block.rows ? grads.lse[row + i] : kInfinity<float>;
      to[kBlock + i] = i < block.rows ? grads.dots[row + i] : 0.0f;
    }
  }

  // Rows j to j + 32 of the keys or values times the block's queries or gradients.
  void score(const ScoreBlock& block, int64_t j, int64_t rows, int64_t columns, int64_t depth, float* to) const {
    const int64_t steps = div_up(depth, kStepDepth);
    for (int64_t i = block.first_row(j) / kPairEdge * kPairEdge; i < block.rows; i += kPairEdge)
      multiply_pairs<planes>(planes_at(rows) + j / kPairEdge * steps * kStep,
                             planes_at(columns) + i / kPairEdge * steps * kStep, steps, false, to + i,
                             kScorePitch<float>);
  }

  // Rows j to j + 32 of P^T and dS^T, split.
  void weigh(const ScoreBlock& block, int64_t j) {
    const int64_t steps = div_up(block.rows, kStepDepth), key_steps = div_up(block.keys, kStepDepth);
    ExponentRange range = ds_range;
    for (int64_t s = block.first_row(j) / kStepDepth; s < steps; ++s) {
      const int64_t i = s * kStepDepth, row = (j / kPairEdge * steps + s) * kStep;
      const int64_t column = (s * key_steps + j / kStepDepth) * kStep;
      if (block.first_row(j + kPairEdge - 1) > i || j + kPairEdge > block.keys)
        weigh_step<true>(block, j, i, row, column, range);
      else
        weigh_step<false>(block, j, i, row, column, range);
    }
    ds_range = range;
  }

  // 32 keys from j and 32 queries from i on.
  template <bool hides>
  void weigh_step(const ScoreBlock& block, int64_t j, int64_t i, int64_t row, int64_t column, ExponentRange& range) {
    const float *s = memory + at.scores + i, *d = memory + at.grads + i, *terms = memory + at.row_terms + i;
    const V lse[2] = {V::load(terms), V::load(terms + 16)};
    const V dot[2] = {V::load(terms + kBlock), V::load(terms + kBlock + 16)};
    Bfloat16 *p_to = planes_at(at.p) + row, *ds_to = planes_at(at.ds) + row,
             *turned = planes_at(at.ds_columns) + column;
    for (int64_t r = 0; r < kTileEdge; ++r, p_to += kStepDepth, ds_to += kStepDepth, turned += kStepDepth) {
      V p[2][2], ds[2][2];
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half)
#pragma GCC unroll 2
        for (int c = 0; c < 2; ++c) {
          const int64_t from = (r + half * kTileEdge) * kScorePitch<float> + c * kTileEdge;
          V e = exp_below(V::load(s + from) - lse[c]);
          if (hides) e = keep_seen(block, j + r + half * kTileEdge, i + c * kTileEdge, e);
          p[half][c] = e;
          ds[half][c] = e * (V::load(d + from) - dot[c]);
        }
      ExponentRange unwatched;
      split<planes>(p[0][0], p[0][1], p_to, 2 * kTileValues, unwatched);
      split<planes>(p[1][0], p[1][1], p_to + kTileValues, 2 * kTileValues, unwatched);
      split_both_ways<planes>(ds[0], ds[1], ds_to, turned, range);
    }
  }

  // e with zeros for the queries from i on that do not see key j.
  static V keep_seen(const ScoreBlock& block, int64_t j, int64_t i, V e) {
    const int64_t hidden = j < block.keys ? larger(0, smaller(V::size, block.first_row(j) - i)) : V::size;
    return select(first_lanes<float>(static_cast<int>(hidden)), V(0.0f), e);
  }

  // sums[j] (+)= sum over the block's queries i of x_ji y_i
  void sum_over_queries(const ScoreBlock& block, int64_t x, int64_t y, int64_t n, int64_t sums, bool first) const {
    const int64_t steps = div_up(block.rows, kStepDepth), pitch = whole_steps(n);
    for (int64_t f = 0; f < n; f += kPairEdge)
      for (int64_t j = 0; j < block.keys; j += kPairEdge) {
        const int64_t skipped = smaller(steps, block.first_row(j) / kStepDepth);
        multiply_pairs<planes>(planes_at(x) + (j / kPairEdge * steps + skipped) * kStep,
                               planes_at(y) + (f / kPairEdge * steps + skipped) * kStep, steps - skipped, !first,
                               memory + sums + j * pitch + f, pitch);
      }
  }

  // dq^T[f][i] (+)= sum over the block's keys j that i sees of scale k_jf dS_ij
  void sum_over_keys(const ScoreBlock& block, int64_t sums, bool first) const {
    const int64_t steps = div_up(block.keys, kStepDepth);
    for (int64_t i = 0; i < block.rows; i += kPairEdge)
      for (int64_t f = 0; f < shape.features; f += kPairEdge)
        multiply_pairs<planes>(planes_at(at.k_columns) + f / kPairEdge * steps * kStep,
                               planes_at(at.ds_columns) + i / kPairEdge * steps * kStep,
                               div_up(block.visible(i + kPairEdge - 1), kStepDepth), !first,
                               memory + sums + f * kScorePitch<float> + i, kScorePitch<float>);
  }

  void write_sums(const ScoreBlock& block, int64_t kv_head, bool seen) const {
    for (int64_t j = 0; j < block.keys; ++j) {
      if (wants_k)
        write_row(seen ? memory + at.dk + j * whole_steps(shape.features) : nullptr, shape.features,
                  row_of(grads.dk, block.batch, kv_head, block.key + j));
      if (wants_v)
        write_row(seen ? memory + at.dv + j * whole_steps(shape.values) : nullptr, shape.values,
                  row_of(grads.dv, block.batch, kv_head, block.key + j));
    }
  }
  void write_dq(int64_t batch, int64_t head, int64_t query, int64_t b) const {
    const float* from = memory + at.dq + b * at.dq_block;
    float* dense = memory + at.dense;
    const int64_t rows = smaller(kBlock, shape.queries - query), pitch = whole_steps(shape.features);
    for (int64_t i = 0; i < rows; i += kTileEdge)
      copy_block(from + i, 1, kScorePitch<float>, kTileEdge, shape.features, dense + i * pitch, pitch);
    for (int64_t i = 0; i < rows; ++i)
      write_row(dense + i * pitch, shape.features, row_of(grads.dq, batch, head, query + i));
  }
  // n values, or zeros.
  static void write_row(const float* from, int64_t n, float* to) {
    for (int64_t f = 0; f < n; f += V::size) {
      const int lanes = static_cast<int>(smaller(V::size, n - f));
      store_first(from ? V::load(from + f) : V(0.0f), to + f, lanes);
    }
  }
};

}  // namespace tinydl::TINYDL_TIER
