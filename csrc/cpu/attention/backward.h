// Attention backward: probabilities are computed again from the scores and the log-sum-exp that forward kept.
//
//   for each block of keys, for each block of queries that sees it
//     P = e^(scale Q K^T + mask - lse),  dP = dO V^T,  dS = P (dP - D),  D_i = dO_i . O_i
//     dV += P^T dO,  dK += dS^T scale Q,  dQ += dS scale K
//
// A worker takes whole heads. Where these are too few, one pass over the blocks of queries makes dQ and one over the
// blocks of keys makes dK and dV: 7 products instead of 5, in which every sum is taken in the same order, so that its
// bits do not depend on the way.
#pragma once
#include "cpu/attention/blocks.h"

namespace tinydl::TINYDL_TIER {

// A worker's memory, by its parts.
template <class T>
struct BackwardMemory {
  int64_t q, q_panels, d_o, d_o_panels, p, ds, k, k_panels, v, total;

  explicit BackwardMemory(const AttentionShape& s) {
    const int64_t rows = smaller(kBlock, s.queries), keys = padded<T>(smaller(kBlock, s.keys)),
                  features = padded<T>(s.features), values = padded<T>(s.values);
    q = 0;
    q_panels = q + rows * features;
    d_o = q_panels + rows * features;
    d_o_panels = d_o + rows * values;
    p = d_o_panels + rows * values;
    ds = p + rows * kScorePitch<T>;
    k = ds + rows * kScorePitch<T>;
    k_panels = k + keys * features;
    v = k_panels + keys * features;
    total = v + keys * values;
  }
};

template <class T>
struct AttentionGrads {
  Heads<const T> o, d_o;
  const T* lse;
  const T* dots;  // D (B, H, L)
  Heads<T> dq, dk, dv;
};

template <class T>
struct AttentionBackward {
  using V = Vec<T>;
  using Memory = BackwardMemory<T>;
  const AttentionShape& shape;
  const AttentionInput<T>& in;
  const AttentionGrads<T>& grads;
  const BackwardMemory<T>& at;
  T* memory;
  ScoreTerms<T> terms;
  bool wants_q, wants_k, wants_v;

  AttentionBackward(const AttentionShape& shape, const AttentionInput<T>& in, const AttentionGrads<T>& grads,
                    const BackwardMemory<T>& at, T* memory, bool queries, bool keys)
      : shape(shape),
        in(in),
        grads(grads),
        at(at),
        memory(memory),
        terms(shape, in),
        wants_q(queries && grads.dq.data),
        wants_k(keys && grads.dk.data),
        wants_v(keys && grads.dv.data) {}

  // All of one head of keys, or one block of its keys with the queries that see it.
  void head(int64_t batch, int64_t kv_head) {
    for (int64_t key = 0; key < shape.keys; key += kBlock) keys(batch, kv_head, key);
  }
  void keys(int64_t batch, int64_t kv_head, int64_t key) {
    const int64_t group = shape.heads / shape.kv_heads, first = first_query_block(shape, key) * kBlock;
    ScoreBlock block{batch, 0, 0, 0, key, smaller(kBlock, shape.keys - key), shape.causal};
    pack_keys(block, kv_head);
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
      for (int64_t query = first; query < shape.queries; query += kBlock) {
        block.head = head;
        set_queries(block, query);
        visit(block, kv_head, head == kv_head * group && query == first, key == 0);
      }
    if (first >= shape.queries) clear(block, kv_head);
  }

  // One block of queries with the keys that it sees.
  void queries(int64_t batch, int64_t head, int64_t query) {
    const int64_t kv_head = head / (shape.heads / shape.kv_heads);
    ScoreBlock block{batch, head, 0, 0, 0, 0, shape.causal};
    set_queries(block, query);
    const int64_t blocks = visible_key_blocks(shape, query + block.rows);
    for (int64_t b = 0; b < blocks; ++b) {
      block.key = b * kBlock;
      block.keys = smaller(kBlock, shape.keys - block.key);
      pack_keys(block, kv_head);
      visit(block, kv_head, false, b == 0);
    }
  }

 private:
  void pack_keys(const ScoreBlock& block, int64_t head) {
    const T* k = row_of(in.k, block.batch, head, block.key);
    pack_as_columns(k, in.k.row_stride, block.keys, shape.features, memory + at.k);
    pack_as_columns(row_of(in.v, block.batch, head, block.key), in.v.row_stride, block.keys, shape.values,
                    memory + at.v);
    if (!wants_q) return;
    pack_as_rows(k, in.k.row_stride, block.keys, shape.features, memory + at.k_panels);
    const V scale(static_cast<T>(shape.scale));
    T* packed = memory + at.k_panels;
    for (int64_t f = 0; f < block.keys * padded<T>(shape.features); f += V::size)
      (V::load(packed + f) * scale).store(packed + f);
  }

  void set_queries(ScoreBlock& block, int64_t query) {
    block.query = query;
    block.rows = smaller(kBlock, shape.queries - query);
    const T *q = row_of(in.q, block.batch, block.head, query), *d_o = row_of(grads.d_o, block.batch, block.head, query);
    stage_rows(q, in.q.row_stride, block.rows, shape.features, static_cast<T>(shape.scale), memory + at.q);
    stage_rows(d_o, grads.d_o.row_stride, block.rows, shape.values, T(1), memory + at.d_o);
    if (wants_k)
      pack_as_rows(memory + at.q, padded<T>(shape.features), block.rows, shape.features, memory + at.q_panels);
    if (wants_v)
      pack_as_rows(memory + at.d_o, padded<T>(shape.values), block.rows, shape.values, memory + at.d_o_panels);
  }

  void visit(const ScoreBlock& block, int64_t kv_head, bool first_queries, bool first_keys) {
    T *p = memory + at.p, *ds = memory + at.ds;
    score(block, at.q, at.k, shape.features, p);
    score(block, at.d_o, at.v, shape.values, ds);
    for (int64_t i = 0; i < block.rows; ++i) weigh(block, i, p + i * kScorePitch<T>, ds + i * kScorePitch<T>);
    if (wants_v) sum_over_queries(block, p, at.d_o_panels, shape.values, grads.dv, kv_head, first_queries);
    if (wants_k) sum_over_queries(block, ds, at.q_panels, shape.features, grads.dk, kv_head, first_queries);
    if (wants_q) sum_over_keys(block, first_keys);
  }

  // Rows of the block's queries times columns of its keys.
  void score(const ScoreBlock& block, int64_t rows, int64_t columns, int64_t depth, T* to) {
    const BlockProduct<T> product{
        memory + rows, padded<T>(depth),      1,    memory + columns, depth, to, kScorePitch<T>,
        block.rows,    padded<T>(block.keys), false};
    product.run([&](int64_t i, int64_t count) { return Part{0, depth, padded<T>(block.visible(i + count - 1))}; });
  }

  // d[j] (+)= sum over the block's queries i of x_ij y_i
  void sum_over_queries(const ScoreBlock& block, const T* x, int64_t y, int64_t n, const Heads<T>& d, int64_t kv_head,
                        bool first) {
    const BlockProduct<T> product{
        x,          1, kScorePitch<T>, memory + y, block.rows, row_of(d, block.batch, kv_head, block.key), d.row_stride,
        block.keys, n, !first};
    product.run([&](int64_t j, int64_t) { return Part{block.first_row(j), block.rows, n}; });
  }

  // dq[i] (+)= sum over the block's keys j of dS_ij scale k_j
  void sum_over_keys(const ScoreBlock& block, bool first) {
    const BlockProduct<T> product{memory + at.ds,
                                  kScorePitch<T>,
                                  1,
                                  memory + at.k_panels,
                                  block.keys,
                                  row_of(grads.dq, block.batch, block.head, block.query),
                                  grads.dq.row_stride,
                                  block.rows,
                                  shape.features,
                                  !first};
    product.run([&](int64_t i, int64_t count) { return Part{0, block.visible(i + count - 1), shape.features}; });
  }

  // Row i of the scores becomes m P, and that of dO V^T becomes dS.
  void weigh(const ScoreBlock& block, int64_t i, T* p, T* ds) {
    const int64_t n = block.visible(i);
    const int64_t row = (block.batch * shape.heads + block.head) * shape.queries + block.query + i;
    const V lse(grads.lse[row]), dot(grads.dots[row]);
    const T* added = terms.mask_row(block, i);
    const uint32_t* words = terms.drops() ? terms.words_of_row(block, i) : nullptr;
    int64_t j = 0;
    for (; j < n; j += V::size) {
      const int lanes = static_cast<int>(smaller(V::size, n - j));
      V s = V::load(p + j);
      if (added) s = s + load_first(added + j, lanes);
      // A score may be rounded otherwise than forward, on tiles of lower precision by far.
      V e = exp(min(V(T(0)), s - lse)), d = V::load(ds + j), kept = e;
      if (words) {
        const V factor = keep_factor(words + j);
        kept = e * factor;
        d = d * factor;
      }
      d = e * (d - dot);
      if (lanes < V::size) {
        const auto inside = first_lanes<T>(lanes);
        kept = select(inside, kept, V(T(0)));
        d = select(inside, d, V(T(0)));
      }
      kept.store(p + j);
      d.store(ds + j);
    }
    for (; j < block.keys; j += V::size) {
      V(T(0)).store(p + j);
      V(T(0)).store(ds + j);
    }
  }

  // 1 / (1 - p) for what is kept and 0 for what is dropped.
  V keep_factor(const uint32_t* words) const {
    const uint32_t least = terms.threshold();
    const T scale = terms.keep_scale();
    alignas(64) T factor[V::size];
    for (int l = 0; l < V::size; ++l) factor[l] = words[l] >= least ? scale : T(0);
    return V::load(factor);
  }

  // Keys that no query sees.
  void clear(const ScoreBlock& block, int64_t kv_head) {
    for (int64_t j = 0; j < block.keys; ++j) {
      if (wants_k) zero_row(row_of(grads.dk, block.batch, kv_head, block.key + j), shape.features);
      if (wants_v) zero_row(row_of(grads.dv, block.batch, kv_head, block.key + j), shape.values);
    }
  }

 public:
  static void zero_row(T* to, int64_t n) {
    for (int64_t f = 0; f < n; ++f) to[f] = T(0);
  }
};

}  // namespace tinydl::TINYDL_TIER
