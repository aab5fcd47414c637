// Attention forward on tensor cores; the loop of plain_forward.h. A block takes 64 queries, which stay in registers as
// left operands; 64 keys and values come to shared memory while the 64 before them are used.
#pragma once
#include "cuda/attention/tensor_tiles.h"
#include "cuda/runtime/launch.h"

namespace tinydl::cuda {

template <class T, int head>
struct KeyStorage {
  alignas(16) HeadTile<T, head> k[2], v[2];
};

// The largest score of the lane's two rows, and the lane's part of the sum of e^(score - max).
struct FragmentRows {
  float max[2] = {-kInfinity<float>, -kInfinity<float>}, sum[2] = {0, 0};

  // Scores become weights, relative to the largest so far; `factor` is for what was summed before.
  template <int tiles>
  __device__ __forceinline__ void weigh(FragmentD (&scores)[tiles], float (&factor)[2]) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float best = max[r];
#pragma unroll
      for (int n = 0; n < tiles; ++n) best = fmaxf(best, fmaxf(scores[n].v[2 * r], scores[n].v[2 * r + 1]));
      best = fmaxf(best, __shfl_xor_sync(kAllLanes, best, 1));
      best = fmaxf(best, __shfl_xor_sync(kAllLanes, best, 2));
      const float shift = best == -kInfinity<float> ? 0 : best;
      factor[r] = fast_exp(max[r] - shift);
      max[r] = best;
      float total = 0;
#pragma unroll
      for (int n = 0; n < tiles; ++n)
#pragma unroll
        for (int e = 2 * r; e < 2 * r + 2; ++e) total += scores[n].v[e] = fast_exp(scores[n].v[e] - shift);
      sum[r] = sum[r] * factor[r] + total;
    }
  }
};

template <bool transposed, class T, int tiles>
__device__ __forceinline__ void drop(const Problem<T>& x, const FragmentPlace<transposed>& place,
                                     FragmentD (&weights)[tiles]) {
  const Lane lane;
#pragma unroll
  for (int n = 0; n < tiles; ++n) {
    const unsigned kept = kept_of_fragment(x, place, lane, n);
#pragma unroll
    for (int e = 0; e < 4; ++e) weights[n].v[e] = kept >> e & 1 ? weights[n].v[e] : 0.0f;
  }
}

template <class T, int head>
__global__ void __launch_bounds__(kTensorThreads, head <= 64 ? 3 : 2)
    tensor_forward_kernel(Problem<T> x, bool packs, Heads<T> o, bool packs_o, float* lse) {
  constexpr int tiles = kTensorRows / kMmaN;
  using Storage = KeyStorage<T, head>;
  TINYDL_LARGE_SHARED(Storage, shared);
  const BlockPlace block = block_place((x.queries + kTensorRows - 1) / kTensorRows, x.heads, x.causal);
  const HeadPlace at = block.at, kv = keys_of(x, at);
  const int first = block.tile * kTensorRows, warp_query = first + first_row_of_warp();
  const int end = keys_seen(x, first + kTensorRows);
  const auto copy_keys = [&](int key) {
    if (key < end) {
      const int to = key / kTensorRows % 2;
      copy_rows<head>(rows_of(x.k, kv, key, x.keys, x.features, packs), shared.k[to]);
      copy_rows<head>(rows_of(x.v, kv, key, x.keys, x.values, packs), shared.v[to]);
    }
    end_copy_group();
  };
  copy_rows<head>(rows_of(x.q, at, first, x.queries, x.features, packs), shared.k[1]);
  copy_keys(0);
  wait_for_copies<0>();
  __syncthreads();
  const LeftRows<T, head, true> q(shared.k[1]);
  FragmentRows rows;
  FragmentD results[head / kMmaN] = {};
  for (int key = 0; key < end; key += kTensorRows) {
    const int from = key / kTensorRows % 2;
    wait_for_copies<0>();
    __syncthreads();
    copy_keys(key + kTensorRows);
    if (x.causal && key > warp_query + kMmaM - 1) continue;  // the warp's queries see none of them
    FragmentD scores[tiles];
    score(q, shared.k[from], 0, scores);
    const FragmentPlace<false> place{at, warp_query, key};
    add_terms(x, place, scores);
    float factor[2];
    rows.weigh(scores, factor);
#pragma unroll
    for (int n = 0; n < head / kMmaN; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) results[n].v[e] *= factor[e / 2];
    if (x.drops) drop(x, place, scores);
    add_rows<T, head>(scores, shared.v[from], 0, results);
  }
  __syncthreads();

  float factor[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float sum = reduce_warp<4>(rows.sum[r], Sum());
    const Lane lane;
    const int query = warp_query + lane.group + 8 * r;
    factor[r] = sum == 0 ? 0 : x.keep_scale / sum;
    if (lane.pair == 0 && query < x.queries)
      lse[row_number(x, at, query)] = sum == 0 ? kInfinity<float> : rows.max[r] + log_of(sum);
  }
  write_rows<head>(results, factor, shared.k[0], row_of(o, at, first), o.row_stride, x.queries - first, x.values,
                   packs_o);
}

// Calls run(head) with the least of the compiled sizes that holds so many features.
template <class F>
void with_head(int64_t features, const F& run) {
  if (features <= 32) return run(std::integral_constant<int, 32>());
  if (features <= 64) return run(std::integral_constant<int, 64>());
  if (features <= 96) return run(std::integral_constant<int, 96>());
  run(std::integral_constant<int, 128>());
}

inline int64_t widest(const AttentionShape& s) { return s.features > s.values ? s.features : s.values; }
inline int64_t tensor_blocks(int64_t batch, int64_t heads, int64_t length) {
  return batch * heads * ((length + kTensorRows - 1) / kTensorRows);
}

template <class T>
void tensor_forward(const AttentionShape& s, const AttentionInput<T>& in, const Heads<T>& o, float* lse) {
  const Problem<T> x(s, in);
  const bool packs = takes_packs(in.q, s.features) && takes_packs(in.k, s.features) && takes_packs(in.v, s.values);
  const bool packs_o = takes_packs(o, s.values);
  const dim3 blocks = grid_of(tensor_blocks(s.batch, s.heads, s.queries));
  with_head(widest(s), [&](auto head) {
    launch_with_shared(tensor_forward_kernel<T, head.value>, sizeof(KeyStorage<T, head.value>), blocks, kTensorThreads,
                       x, packs, o, packs_o, lse);
  });
}

}  // namespace tinydl::cuda
