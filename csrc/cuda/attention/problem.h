// What the attention kernels know of their task: the operands, the place of a block in them, and what depends on the
// place of a score alone, which is causality, masks and dropout.
#pragma once
#include "contract/attention.h"
#include "cuda/device/math.h"
#include "cuda/device/pack.h"
#include "cuda/device/philox.h"

namespace tinydl::cuda {

template <class T>
struct Problem {
  int heads, kv_heads, queries, keys, features, values;
  Wide<T> scale;
  bool causal;
  Heads<const T> q, k, v;
  AttentionMask<T> mask;
  // An element is dropped whose random word, but for the lowest 8 bits, is below `least`; others count keep_scale
  // times.
  bool drops;
  uint32_t least;
  Draws draws;
  Wide<T> keep_scale;

  Problem(const AttentionShape& s, const AttentionInput<T>& in)
      : heads(static_cast<int>(s.heads)),
        kv_heads(static_cast<int>(s.kv_heads)),
        queries(static_cast<int>(s.queries)),
        keys(static_cast<int>(s.keys)),
        features(static_cast<int>(s.features)),
        values(static_cast<int>(s.values)),
        scale(static_cast<Wide<T>>(s.scale)),
        causal(s.causal),
        q(in.q),
        k(in.k),
        v(in.v),
        mask(in.mask),
        drops(in.dropout.p > 0),
        least(static_cast<uint32_t>(std::ceil(in.dropout.p * 16777216.0))),
        draws(in.dropout.seed, in.dropout.offset),
        keep_scale(in.dropout.p < 1 ? static_cast<Wide<T>>(1 / (1 - in.dropout.p)) : 0) {}
};

// One head of one sequence.
struct HeadPlace {
  int64_t batch;
  int head;
};

template <class T>
__device__ __forceinline__ T* row_of(const Heads<T>& x, const HeadPlace& at, int64_t row) {
  return x.data + at.batch * x.batch_stride + at.head * x.head_stride + row * x.row_stride;
}

// Rows of a head, from one on; those from `count` on count as zeros.
template <class T>
struct HeadRows {
  const T* data;
  int64_t stride;
  int count, depth;
  bool packs;  // can be copied in packs of 16 bytes
};

template <class T>
bool takes_packs(const Heads<T>& x, int64_t features) {
  constexpr int width = kPack<std::remove_const_t<T>>;
  return is_aligned(x.data, width) && features % width == 0 && x.batch_stride % width == 0 &&
         x.head_stride % width == 0 && x.row_stride % width == 0;
}

template <class T>
__device__ __forceinline__ HeadRows<T> rows_of(const Heads<const T>& x, const HeadPlace& at, int first, int rows,
                                               int depth, bool packs) {
  return {row_of(x, at, first), x.row_stride, rows - first, depth, packs};
}

// The head whose keys a head of queries reads.
template <class T>
__device__ __forceinline__ HeadPlace keys_of(const Problem<T>& x, const HeadPlace& at) {
  return {at.batch, at.head / (x.heads / x.kv_heads)};
}

// A row's place among those of all heads (B, H, L).
template <class T>
__device__ __forceinline__ int64_t row_number(const Problem<T>& x, const HeadPlace& at, int query) {
  return (at.batch * x.heads + at.head) * x.queries + query;
}

template <class T>
__device__ __forceinline__ bool is_seen(const Problem<T>& x, int query, int key) {
  return key < x.keys && (!x.causal || key <= query);
}

// What the mask adds to a score that is there.
template <class T>
__device__ __forceinline__ Wide<T> mask_term(const Problem<T>& x, const HeadPlace& at, int query, int key) {
  const int64_t place =
      at.batch * x.mask.stride[0] + at.head * x.mask.stride[1] + query * x.mask.stride[2] + key * x.mask.stride[3];
  if (x.mask.added) return widen(x.mask.added[place]);
  return x.mask.allowed && !x.mask.allowed[place] ? -kInfinity<Wide<T>> : Wide<T>(0);
}
template <class T>
__device__ __forceinline__ bool has_mask(const Problem<T>& x) {
  return x.mask.added || x.mask.allowed;
}

// Which of keys 4 n to 4 n + 3 a row keeps, as bits.
template <class T>
__device__ __forceinline__ unsigned kept_of_four(const Problem<T>& x, int64_t row, int n) {
  const auto counter = static_cast<uint64_t>(row * ((x.keys + 3) / 4) + n);
  const Philox4 random = x.draws.at(counter);
  unsigned kept = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) kept |= static_cast<unsigned>(random.word[i] >> 8 >= x.least) << i;
  return kept;
}

// The keys that a block of queries sees, and the first query that sees a key.
template <class T>
__device__ __forceinline__ int keys_seen(const Problem<T>& x, int query_end) {
  return x.causal && query_end < x.keys ? query_end : x.keys;
}
template <class T>
__device__ __forceinline__ int first_query(const Problem<T>& x, int key, int side) {
  return x.causal ? key / side * side : 0;
}

// A block's place: tiles of one head after another, those with the most work first.
struct BlockPlace {
  HeadPlace at;
  int tile;
};
__device__ __forceinline__ BlockPlace block_place(int tiles, int heads, bool from_last) {
  const int64_t head = blockIdx.x / static_cast<unsigned>(tiles);
  const int tile = static_cast<int>(blockIdx.x % static_cast<unsigned>(tiles));
  return {{head / heads, static_cast<int>(head % heads)}, from_last ? tiles - 1 - tile : tile};
}

// What backward knows besides.
template <class T>
struct Gradients {
  Heads<const T> d_o;
  const Wide<T>*lse, *dots;  // (B, H, L); D_i = do_i . o_i
  Heads<T> dq, dk, dv;
};

}  // namespace tinydl::cuda
