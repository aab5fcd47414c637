// Attention forward (Dao et al. 2022, "FlashAttention", arXiv 2205.14135; the loops of arXiv 2307.08691). A worker
// takes blocks of queries, of one head after another:
//
//   for each block of keys                      (K^T and V packed once for a worker's queries of a head)
//     S = scale Q K^T                           tiles, from the first- and second-level cache
//     for each row  m' = max(m, max S + mask);  P = e^(S - m');  l = l e^(m - m') + sum P;  O = O e^(m - m')
//     O += P V
//   O / l, m + ln l
#pragma once
#include "cpu/attention/few_rows.h"

namespace tinydl::TINYDL_TIER {

// A worker's memory, by its parts.
template <class T>
struct ForwardMemory {
  int64_t packed_keys, q, scores, out, max, sum, k, v, total;

  explicit ForwardMemory(const AttentionShape& s)
      : packed_keys(s.queries <= kBlock ? smaller(kBlock, s.keys) : s.keys) {
    const int64_t rows = smaller(kBlock, s.queries), width = larger(padded<T>(s.values), Vec<T>::size);
    q = 0;
    scores = q + rows * padded<T>(s.features);
    out = scores + rows * kScorePitch<T>;
    max = out + rows * width;
    sum = max + rows * Vec<T>::size;
    k = sum + rows * Vec<T>::size;
    v = k + padded<T>(packed_keys) * padded<T>(s.features);
    total = v + padded<T>(packed_keys) * width;
  }
};

template <class T>
struct AttentionForward {
  using V = Vec<T>;
  const AttentionShape& shape;
  const AttentionInput<T>& in;
  const Heads<T>& o;
  T* lse;
  const ForwardMemory<T>& at;
  T* memory;  // the worker's
  ScoreTerms<T> terms;
  int64_t packed_head = -1, packed_blocks = 0;  // whose keys lie packed, and how many blocks of them

  AttentionForward(const AttentionShape& shape, const AttentionInput<T>& in, const Heads<T>& o, T* lse,
                   const ForwardMemory<T>& at, T* memory)
      : shape(shape), in(in), o(o), lse(lse), at(at), memory(memory), terms(shape, in) {}

  // A block of queries.
  void run(int64_t batch, int64_t head, int64_t query) {
    ScoreBlock block{batch, head, query, smaller(kBlock, shape.queries - query), 0, 0, shape.causal};
    stage_rows(row_of(in.q, batch, head, query), in.q.row_stride, block.rows, shape.features,
               static_cast<T>(shape.scale), memory + at.q);
    for (int64_t i = 0; i < block.rows; ++i) {
      V(-kInfinity<T>).store(memory + at.max + i * V::size);
      V(T(0)).store(memory + at.sum + i * V::size);
    }
    const int64_t blocks = visible_key_blocks(shape, query + block.rows);
    for (int64_t b = 0; b < blocks; ++b) {
      block.key = b * kBlock;
      block.keys = smaller(kBlock, shape.keys - block.key);
      visit(block);
    }
    for (int64_t i = 0; i < block.rows; ++i) finish(block, i, blocks > 0);
  }

 private:
  void visit(const ScoreBlock& block) {
    T* scores = memory + at.scores;
    const int64_t width = padded<T>(shape.values);
    BlockProduct<T> pv{scores,          kScorePitch<T>, 1,          nullptr,      block.keys,
                       memory + at.out, width,          block.rows, shape.values, block.key > 0};
    if (shape.queries <= kFewRows) {
      const int64_t head = kv_head_of(block);
      const T* k = row_of(in.k, block.batch, head, block.key);
      for (int64_t i = 0; i < block.rows; ++i)
        dot_products(memory + at.q + i * padded<T>(shape.features), k, in.k.row_stride, block.keys, shape.features,
                     scores + i * kScorePitch<T>);
      pv.b = row_of(in.v, block.batch, head, block.key);
      pv.b_row = in.v.row_stride;
      pv.in_rows = true;
    } else {
      pv.b = multiply_packed(block, scores);
    }
    for (int64_t i = 0; i < block.rows; ++i) weigh(block, i, scores + i * kScorePitch<T>);
    pv.run([&](int64_t i, int64_t count) { return Part{0, block.visible(i + count - 1), shape.values}; });
  }

  // The scores of the block, from packed keys; returns the packed values.
  const T* multiply_packed(const ScoreBlock& block, T* scores) {
    const bool keeps = at.packed_keys == shape.keys && shape.queries > kBlock;
    const int64_t packed = keeps ? block.key : 0;
    T *k = memory + at.k + packed * shape.features, *v = memory + at.v + packed * padded<T>(shape.values);
    pack(block, keeps, k, v);
    const BlockProduct<T> qk{memory + at.q, padded<T>(shape.features), 1,    k, shape.features, scores, kScorePitch<T>,
                             block.rows,    padded<T>(block.keys),     false};
    qk.run([&](int64_t i, int64_t count) { return Part{0, shape.features, padded<T>(block.visible(i + count - 1))}; });
    return v;
  }

  int64_t kv_head_of(const ScoreBlock& block) const { return block.head / (shape.heads / shape.kv_heads); }

  // Keys and values of the block, unless they lie there from the queries before.
  void pack(const ScoreBlock& block, bool keeps, T* k, T* v) {
    const int64_t head = kv_head_of(block), number = block.batch * shape.kv_heads + head;
    if (keeps) {
      if (number != packed_head) packed_blocks = 0;
      packed_head = number;
      if (block.key < packed_blocks * kBlock) return;
      ++packed_blocks;
    }
    pack_as_columns(row_of(in.k, block.batch, head, block.key), in.k.row_stride, block.keys, shape.features, k);
    pack_as_rows(row_of(in.v, block.batch, head, block.key), in.v.row_stride, block.keys, shape.values, v);
  }

  // Row i of the scores becomes that of the probabilities, times e^(the row's maximum so far).
  void weigh(const ScoreBlock& block, int64_t i, T* s) {
    const int64_t n = block.visible(i);
    const V before = V::load(memory + at.max + i * V::size);
    V best = before;
    if (const T* added = terms.mask_row(block, i)) {
      for (int64_t j = 0; j < n; j += V::size) {
        const int lanes = static_cast<int>(smaller(V::size, n - j));
        (V::load(s + j) + load_first(added + j, lanes)).store(s + j);
      }
    }
    int64_t j = 0;
    for (; j + V::size <= n; j += V::size) best = max(V::load(s + j), best);
    if (j < n) best = max(load_or(s + j, static_cast<int>(n - j), -kInfinity<T>), best);
    best = fold_to_all(best, [](V a, V b) { return max(a, b); });
    const V shift = select(best == V(-kInfinity<T>), V(T(0)), best);
    V sum = V::load(memory + at.sum + i * V::size);
    if (best[0] != before[0]) {
      const V factor = exp(before - shift);
      sum = sum * factor;
      if (block.key > 0) rescale(i, factor);
      best.store(memory + at.max + i * V::size);
    }
    for (j = 0; j < n; j += V::size) {
      V e = exp(V::load(s + j) - shift);
      if (j + V::size > n) e = select(first_lanes<T>(static_cast<int>(n - j)), e, V(T(0)));
      e.store(s + j);
      sum = sum + e;
    }
    sum.store(memory + at.sum + i * V::size);
    for (; j < block.keys; j += V::size) V(T(0)).store(s + j);
    if (terms.drops()) drop(block, i, n, s);
  }

  void rescale(int64_t i, V factor) {
    const int64_t width = padded<T>(shape.values);
    T* out = memory + at.out + i * width;
    for (int64_t f = 0; f < width; f += V::size) (V::load(out + f) * factor).store(out + f);
  }

  void drop(const ScoreBlock& block, int64_t i, int64_t n, T* s) {
    const uint32_t *words = terms.words_of_row(block, i), least = terms.threshold();
    for (int64_t j = 0; j < n; ++j) s[j] = words[j] >= least ? s[j] : T(0);
  }

  void finish(const ScoreBlock& block, int64_t i, bool saw_keys) {
    const T total = sum_lanes(V::load(memory + at.sum + i * V::size));
    const bool hidden = total == T(0);
    const V scale(hidden ? T(0) : terms.keep_scale() / total);
    const T* from = memory + at.out + i * padded<T>(shape.values);
    T* to = row_of(o, block.batch, block.head, block.query + i);
    for (int64_t f = 0; f < shape.values; f += V::size) {
      const V x = saw_keys && !hidden ? V::load(from + f) * scale : V(T(0));
      store_first(x, to + f, static_cast<int>(smaller(V::size, shape.values - f)));
    }
    lse[(block.batch * shape.heads + block.head) * shape.queries + block.query + i] =
        hidden ? kInfinity<T> : (V::load(memory + at.max + i * V::size) + log(V(total)))[0];
  }
};

}  // namespace tinydl::TINYDL_TIER
