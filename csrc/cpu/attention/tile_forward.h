// Attention forward on the matrix tiles; the loops of forward.h.
//
// The tiles and the vector units work side by side: strips of 32 queries pass through three stages, such that while one
// strip's scores become probabilities (vectors), the tiles compute the next strip's scores and the previous strip's
// part of O. Probabilities are split to planes as they arise.
#pragma once
#include "cpu/attention/forward.h"
#include "cpu/attention/tile_products.h"

namespace tinydl::TINYDL_TIER {

// A worker's memory, in floats, by its parts.
template <int planes>
struct TileForwardMemory {
  typename TileProducts<planes>::Memory products;
  int64_t out_pitch, scores, scores_strip, p_strip, p, out, max, sum, total;

  explicit TileForwardMemory(const AttentionShape& s) : products(s), out_pitch(whole_steps(s.values)) {
    scores_strip = kPairEdge * kScorePitch<float>;
    p_strip = kPairEdge * kBlock * planes / 2;
    scores = div_up(products.total, 64) * 64;
    p = scores + 2 * scores_strip;
    out = p + 2 * p_strip;
    max = out + kBlock * out_pitch;
    sum = max + kBlock * Vec<float>::size;
    total = sum + kBlock * Vec<float>::size;
  }
};

// The probabilities of a strip, a third of a row at each step: the row's maximum, then its exponentials in two halves.
struct StripSoftmax {
  using V = Vec<float>;
  static constexpr int kParts = 3;
  ScoreTerms<float>& terms;
  const ScoreBlock strip;
  float* scores;
  float *max, *sum, *out;  // of the strip's rows
  int64_t out_pitch, values;

  int64_t next = 0;  // row * kParts + part
  bool done() const { return next >= strip.rows * kParts; }
  const uint32_t* words = nullptr;

  // Row i's maximum so far; what was summed by an earlier one is rescaled.
  __attribute__((noinline)) void find_shift(int64_t i) {
    float* s = scores + i * kScorePitch<float>;
    const int64_t n = strip.visible(i);
    if (const float* added = terms.mask_row(strip, i))
      for (int64_t j = 0; j < n; j += V::size)
        (V::load(s + j) + load_first(added + j, static_cast<int>(smaller(V::size, n - j)))).store(s + j);
    const V before = V::load(max + i * V::size);
    V best = before, other = before;
    int64_t j = 0;
    for (; j + 2 * V::size <= n; j += 2 * V::size) {
      best = tinydl::TINYDL_TIER::max(V::load(s + j), best);
      other = tinydl::TINYDL_TIER::max(V::load(s + j + V::size), other);
    }
    for (; j < n; j += V::size)
      best =
          tinydl::TINYDL_TIER::max(load_or(s + j, static_cast<int>(smaller(V::size, n - j)), -kInfinity<float>), best);
    best = fold_to_all(tinydl::TINYDL_TIER::max(best, other), [](V a, V b) { return tinydl::TINYDL_TIER::max(a, b); });
    if (best[0] == before[0]) return;
    const V factor = exp_below(before - best);
    best.store(max + i * V::size);
    (V::load(sum + i * V::size) * factor).store(sum + i * V::size);
    float* to = out + i * out_pitch;
    for (int64_t f = 0; strip.key > 0 && f < values; f += V::size) (V::load(to + f) * factor).store(to + f);
  }

  // e^(s - shift) of one vector of row i, zero for keys that it does not see.
  TINYDL_INLINE V probability(const float* s, int64_t j, int64_t n, V shift) const {
    const V e = exp_below(V::load(s + j) - shift);
    if (j + V::size <= n) return e;
    return select(first_lanes<float>(static_cast<int>(larger(0, n - j))), e, V(0.0f));
  }
  V keep(int64_t j, V e) const {
    alignas(64) float factor[V::size];
    for (int l = 0; l < V::size; ++l) factor[l] = words[j + l] >= terms.threshold() ? 1.0f : 0.0f;
    return e * V::load(factor);
  }

  // Steps first to end of row i, 32 keys each.
  template <int planes>
  __attribute__((noinline)) void weigh(int64_t i, int64_t first, int64_t end, Bfloat16* to) {
    const float* s = scores + i * kScorePitch<float>;
    const int64_t n = strip.visible(i);
    const V best = V::load(max + i * V::size);
    const V shift = select(best == V(-kInfinity<float>), V(0.0f), best);
    V total = V::load(sum + i * V::size);
    ExponentRange unwatched;
    to += i / kTileEdge * kTileValues + i % kTileEdge * kStepDepth;
    for (int64_t step = first; step < end; ++step) {
      const int64_t j = step * kStepDepth;
      V low = probability(s, j, n, shift), high = probability(s, j + V::size, n, shift);
      total = total + (low + high);
      if (terms.drops()) low = keep(j, low), high = keep(j + V::size, high);
      split<planes>(low, high, to + step * kStepValues<planes>, 2 * kTileValues, unwatched);
    }
    total.store(sum + i * V::size);
  }

  template <int planes>
  void advance(Bfloat16* to) {
    const int64_t i = next / kParts, part = next % kParts, steps = div_up(strip.keys, kStepDepth), half = steps / 2;
    ++next;
    if (part == 0) {
      find_shift(i);
      if (terms.drops()) words = terms.words_of_row(strip, i);
    } else {
      weigh<planes>(i, part == 1 ? 0 : half, part == 1 ? half : steps, to);
    }
  }
};

template <int planes>
struct TileForward {
  using V = Vec<float>;
  using Memory = TileForwardMemory<planes>;
  const AttentionShape& shape;
  const AttentionInput<float>& in;
  const Heads<float>& o;
  float* lse;
  const Memory& at;
  float* memory;  // the worker's
  ScoreTerms<float> terms;
  TileProducts<planes> products;

  TileForward(const AttentionShape& shape, const AttentionInput<float>& in, const Heads<float>& o, float* lse,
              const Memory& at, float* memory)
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
      V(-kInfinity<float>).store(memory + at.max + i * V::size);
      V(0.0f).store(memory + at.sum + i * V::size);
    }
    const int64_t strips = div_up(block.rows, kPairEdge),
                  count = visible_key_blocks(shape, query + block.rows) * strips;
    for (int64_t t = -1; t <= count; ++t) stage(block, t, count, strips);
    for (int64_t i = 0; i < block.rows; ++i)
      finish_row(shape, block, i, count > 0, memory + at.out + i * at.out_pitch, memory + at.max + i * V::size,
                 memory + at.sum + i * V::size, terms.keep_scale(), o, lse);
  }

 private:
  // Strip t of the pairs of a block of keys and 32 queries.
  ScoreBlock strip_at(const ScoreBlock& block, int64_t t, int64_t strips) const {
    ScoreBlock strip = block;
    const int64_t first = t % strips * kPairEdge;
    strip.query += first;
    strip.rows = smaller(kPairEdge, block.rows - first);
    strip.key = t / strips * kBlock;
    strip.keys = smaller(kBlock, shape.keys - strip.key);
    return strip;
  }
  float* scores_of(int64_t t) const { return memory + at.scores + (t & 1) * at.scores_strip; }
  Bfloat16* p_of(int64_t t) const { return reinterpret_cast<Bfloat16*>(memory + at.p + (t & 1) * at.p_strip); }

  // Strip t's probabilities, beside strip t - 1's part of O and the scores of strip t + 1.
  void stage(const ScoreBlock& block, int64_t t, int64_t count, int64_t strips) {
    const auto nothing = [] {};
    const int64_t first = larger(0, t) % strips * kPairEdge;
    StripSoftmax softmax{terms,
                         strip_at(block, larger(0, t), strips),
                         scores_of(t),
                         memory + at.max + first * V::size,
                         memory + at.sum + first * V::size,
                         memory + at.out + first * at.out_pitch,
                         at.out_pitch,
                         shape.values};
    if (t < 0 || t == count) softmax.next = kBlock * StripSoftmax::kParts;
    Bfloat16* p = p_of(t);
    const auto soften = [&] {
      if (!softmax.done()) softmax.template advance<planes>(p);
    };
    if (t > 0) {
      const ScoreBlock strip = strip_at(block, t - 1, strips);
      float* out = memory + at.out + (t - 1) % strips * kPairEdge * at.out_pitch;
      // A lone strip's part of O is still to be rescaled by its next softmax.
      strips > 1 ? products.add_values(strip, p_of(t - 1), out, soften)
                 : products.add_values(strip, p_of(t - 1), out, nothing);
    }
    if (t + 1 < count) products.score(strip_at(block, t + 1, strips), (t + 1) % strips, scores_of(t + 1), soften);
    while (!softmax.done()) softmax.template advance<planes>(p);
  }
};

}  // namespace tinydl::TINYDL_TIER
