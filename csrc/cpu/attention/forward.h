// Attention forward (Dao et al. 2022, "FlashAttention", arXiv 2205.14135; the loops of arXiv 2307.08691). A worker
// takes blocks of queries, of one head after another:
//
//   for each block of keys                      (K^T and V packed once for a worker's queries of a head)
//     S = scale Q K^T                           tiles, from the first- and second-level cache
//     for each row  m' = max(m, max S + mask);  P = e^(S - m');  l = l e^(m - m') + sum P;  O = O e^(m - m')
//     O += P V
//   O / l, m + ln l
#pragma once
#include "cpu/attention/fma_products.h"

namespace tinydl::TINYDL_TIER {

// A worker's memory, by its parts.
template <class T>
struct ForwardMemory {
  typename FmaProducts<T>::Memory products;
  int64_t out_pitch, scores, out, max, sum, total;

  explicit ForwardMemory(const AttentionShape& s) : products(s), out_pitch(padded<T>(s.values)) {
    const int64_t rows = smaller(kBlock, s.queries);
    scores = div_up(products.total, 64) * 64;
    out = scores + rows * kScorePitch<T>;
    max = out + rows * out_pitch;
    sum = max + rows * Vec<T>::size;
    total = sum + rows * Vec<T>::size;
  }
};

// Row i of o and lse, of what was summed relative to e^max.
template <class T>
void finish_row(const AttentionShape& shape, const ScoreBlock& block, int64_t i, bool saw_keys, const T* from,
                const T* max, const T* sum, T keep_scale, const Heads<T>& o, T* lse) {
  using V = Vec<T>;
  const T total = sum_lanes(V::load(sum));
  const bool hidden = total == T(0);
  const V scale(hidden ? T(0) : keep_scale / total);
  T* to = row_of(o, block.batch, block.head, block.query + i);
  for (int64_t f = 0; f < shape.values; f += V::size) {
    const V x = saw_keys && !hidden ? V::load(from + f) * scale : V(T(0));
    store_first(x, to + f, static_cast<int>(smaller(V::size, shape.values - f)));
  }
  lse[(block.batch * shape.heads + block.head) * shape.queries + block.query + i] =
      hidden ? kInfinity<T> : (V::load(max) + log(V(total)))[0];
}

template <class T>
struct AttentionForward {
  using V = Vec<T>;
  using Memory = ForwardMemory<T>;
  const AttentionShape& shape;
  const AttentionInput<T>& in;
  const Heads<T>& o;
  T* lse;
  const Memory& at;
  T* memory;  // the worker's
  ScoreTerms<T> terms;
  FmaProducts<T> products;

  AttentionForward(const AttentionShape& shape, const AttentionInput<T>& in, const Heads<T>& o, T* lse,
                   const Memory& at, T* memory)
      : shape(shape),
        in(in),
        o(o),
        lse(lse),
        at(at),
        memory(memory),
        terms(shape, in),
        products(shape, in, at.products, memory) {}

  // A block of queries.
  void run(int64_t batch, int64_t head, int64_t query) {
    ScoreBlock block{batch, head, query, smaller(kBlock, shape.queries - query), 0, 0, shape.causal};
    products.set_queries(block);
    for (int64_t i = 0; i < block.rows; ++i) {
      V(-kInfinity<T>).store(memory + at.max + i * V::size);
      V(T(0)).store(memory + at.sum + i * V::size);
    }
    const int64_t blocks = visible_key_blocks(shape, query + block.rows);
    for (int64_t b = 0; b < blocks; ++b) {
      block.key = b * kBlock;
      block.keys = smaller(kBlock, shape.keys - block.key);
      products.score(block, memory + at.scores);
      for (int64_t i = 0; i < block.rows; ++i) weigh(block, i, memory + at.scores + i * kScorePitch<T>);
      products.add_values(block, memory + at.scores, memory + at.out);
    }
    for (int64_t i = 0; i < block.rows; ++i)
      finish_row(shape, block, i, blocks > 0, memory + at.out + i * at.out_pitch, memory + at.max + i * V::size,
                 memory + at.sum + i * V::size, terms.keep_scale(), o, lse);
  }

 private:
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
    T* out = memory + at.out + i * at.out_pitch;
    for (int64_t f = 0; f < shape.values; f += V::size) (V::load(out + f) * factor).store(out + f);
  }

  void drop(const ScoreBlock& block, int64_t i, int64_t n, T* s) {
    const uint32_t *words = terms.words_of_row(block, i), least = terms.threshold();
    for (int64_t j = 0; j < n; ++j) s[j] = words[j] >= least ? s[j] : T(0);
  }
};

}  // namespace tinydl::TINYDL_TIER
