// Attention backward on tensor cores, in the two passes of plain_backward.h. Where a block takes keys, scores are
// computed transposed, a row for each key, so that P^T and dS^T are left operands as they stand. Scores are taken 32 at
// a time for each row.
#pragma once
#include "cuda/attention/tensor_forward.h"

namespace tinydl::cuda {

constexpr int kPartTiles = 4, kPart = kPartTiles * kMmaN;

template <class T, int head>
struct QueryStorage {
  alignas(16) HeadTile<T, head> k, v, q[2], d_o[2];
};

template <class T>
struct TensorOperands {
  Problem<T> x;
  Gradients<T> grads;
  bool packs, packs_results;
};

// Scores become m P, and the products of upstream gradients and values dS.
template <bool transposed, class T>
__device__ __forceinline__ void weigh_backward(const TensorOperands<T>& in, const FragmentPlace<transposed>& place,
                                               FragmentD (&p)[kPartTiles], FragmentD (&ds)[kPartTiles]) {
  const Problem<T>& x = in.x;
  const Lane lane;
  add_terms(x, place, p);
#pragma unroll
  for (int n = 0; n < kPartTiles; ++n) {
    const unsigned kept = x.drops ? kept_of_fragment(x, place, lane, n) : ~0u;
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int query = place.query(lane, n, e);
      const int64_t row = row_number(x, place.at, query);
      const bool inside = query < x.queries && p[n].v[e] != -kInfinity<float>;
      // A score of another order of rounding than forward may exceed lse.
      const float weight = inside ? fast_exp(smaller(p[n].v[e] - in.grads.lse[row], 0.0f)) : 0.0f;
      const float factor = kept >> e & 1 ? x.keep_scale : 0.0f;
      p[n].v[e] = weight * factor;
      ds[n].v[e] = inside ? weight * (ds[n].v[e] * factor - in.grads.dots[row]) : 0.0f;
    }
  }
}

template <class T, int head>
__global__ void __launch_bounds__(kTensorThreads, 1) tensor_queries_kernel(TensorOperands<T> in) {
  using Storage = KeyStorage<T, head>;
  TINYDL_LARGE_SHARED(Storage, shared);
  const Problem<T>& x = in.x;
  const BlockPlace block = block_place((x.queries + kTensorRows - 1) / kTensorRows, x.heads, x.causal);
  const HeadPlace at = block.at, kv = keys_of(x, at);
  const int first = block.tile * kTensorRows, warp_query = first + first_row_of_warp();
  const int end = keys_seen(x, first + kTensorRows);
  const auto copy_keys = [&](int key) {
    if (key < end) {
      const int to = key / kTensorRows % 2;
      copy_rows<head>(rows_of(x.k, kv, key, x.keys, x.features, in.packs), shared.k[to]);
      copy_rows<head>(rows_of(x.v, kv, key, x.keys, x.values, in.packs), shared.v[to]);
    }
    end_copy_group();
  };
  copy_rows<head>(rows_of(x.q, at, first, x.queries, x.features, in.packs), shared.k[1]);
  copy_rows<head>(rows_of(in.grads.d_o, at, first, x.queries, x.values, in.packs), shared.v[1]);
  copy_keys(0);
  wait_for_copies<0>();
  __syncthreads();
  const LeftRows<T, head, true> q(shared.k[1]), d_o(shared.v[1]);
  FragmentD dq[head / kMmaN] = {};
  for (int key = 0; key < end; key += kTensorRows) {
    const int from = key / kTensorRows % 2;
    wait_for_copies<0>();
    __syncthreads();
    copy_keys(key + kTensorRows);
#pragma unroll 1
    for (int part = 0; part < kTensorRows; part += kPart) {
      if (key + part >= x.keys || (x.causal && key + part > warp_query + kMmaM - 1)) break;
      FragmentD p[kPartTiles], ds[kPartTiles];
      score(q, shared.k[from], part, p);
      score(d_o, shared.v[from], part, ds);
      weigh_backward(in, FragmentPlace<false>{at, warp_query, key + part}, p, ds);
      add_rows<T, head>(ds, shared.k[from], part, dq);
    }
  }
  __syncthreads();
  const float factor[2] = {x.scale, x.scale};
  write_rows<head>(dq, factor, shared.k[0], row_of(in.grads.dq, at, first), in.grads.dq.row_stride, x.queries - first,
                   x.features, in.packs_results);
}

template <class T, int head>
__global__ void __launch_bounds__(kTensorThreads, 1) tensor_keys_kernel(TensorOperands<T> in) {
  using Storage = QueryStorage<T, head>;
  TINYDL_LARGE_SHARED(Storage, shared);
  const Problem<T>& x = in.x;
  const BlockPlace block = block_place((x.keys + kTensorRows - 1) / kTensorRows, x.kv_heads, false);
  const HeadPlace kv = block.at;
  const int first = block.tile * kTensorRows, warp_key = first + first_row_of_warp();
  const int start = first_query(x, first, kTensorRows), group = x.heads / x.kv_heads;
  const int tiles = start < x.queries ? (x.queries - start + kTensorRows - 1) / kTensorRows : 0, steps = group * tiles;
  const bool wants_k = in.grads.dk.data, wants_v = in.grads.dv.data;
  // Step i takes a tile of queries, of one head of the group after another.
  const auto head_of = [&](int i) { return HeadPlace{kv.batch, kv.head * group + i / tiles}; };
  const auto query_of = [&](int i) { return start + i % tiles * kTensorRows; };
  const auto copy_queries = [&](int i) {
    if (i < steps) {
      const HeadPlace at = head_of(i);
      copy_rows<head>(rows_of(x.q, at, query_of(i), x.queries, x.features, in.packs), shared.q[i % 2]);
      copy_rows<head>(rows_of(in.grads.d_o, at, query_of(i), x.queries, x.values, in.packs), shared.d_o[i % 2]);
    }
    end_copy_group();
  };
  copy_rows<head>(rows_of(x.k, kv, first, x.keys, x.features, in.packs), shared.k);
  copy_rows<head>(rows_of(x.v, kv, first, x.keys, x.values, in.packs), shared.v);
  copy_queries(0);
  wait_for_copies<0>();
  __syncthreads();
  const LeftRows<T, head, head <= 64> k(shared.k), v(shared.v);
  FragmentD dk[head / kMmaN] = {}, dv[head / kMmaN] = {};
  for (int i = 0; i < steps; ++i) {
    wait_for_copies<0>();
    __syncthreads();
    copy_queries(i + 1);
    const HeadPlace at = head_of(i);
#pragma unroll 1
    for (int part = 0; part < kTensorRows; part += kPart) {
      const int query = query_of(i) + part;
      if (query >= x.queries) break;
      if (x.causal && query + kPart - 1 < warp_key) continue;  // these queries see none of the warp's keys
      FragmentD p[kPartTiles], ds[kPartTiles];
      score(k, shared.q[i % 2], part, p);
      score(v, shared.d_o[i % 2], part, ds);
      weigh_backward(in, FragmentPlace<true>{at, warp_key, query}, p, ds);
      if (wants_v) add_rows<T, head>(p, shared.d_o[i % 2], part, dv);
      if (wants_k) add_rows<T, head>(ds, shared.q[i % 2], part, dk);
    }
  }
  // Of these tiles a warp has read its own rows alone, and writes no others.
  const float one[2] = {1, 1}, scale[2] = {x.scale, x.scale};
  const Heads<T>&to_k = in.grads.dk, &to_v = in.grads.dv;
  if (wants_k)
    write_rows<head>(dk, scale, shared.k, row_of(to_k, kv, first), to_k.row_stride, x.keys - first, x.features,
                     in.packs_results);
  if (wants_v)
    write_rows<head>(dv, one, shared.v, row_of(to_v, kv, first), to_v.row_stride, x.keys - first, x.values,
                     in.packs_results);
}

template <class T>
void tensor_backward(const AttentionShape& s, const AttentionInput<T>& in, const Gradients<T>& grads) {
  const bool packs = takes_packs(in.q, s.features) && takes_packs(in.k, s.features) && takes_packs(in.v, s.values) &&
                     takes_packs(grads.d_o, s.values);
  const bool packs_results =
      takes_packs(grads.dq, s.features) && takes_packs(grads.dk, s.features) && takes_packs(grads.dv, s.values);
  const TensorOperands<T> operands{Problem<T>(s, in), grads, packs, packs_results};
  with_head(widest(s), [&](auto head) {
    if (grads.dq.data)
      launch_with_shared(tensor_queries_kernel<T, head.value>, sizeof(KeyStorage<T, head.value>),
                         grid_of(tensor_blocks(s.batch, s.heads, s.queries)), kTensorThreads, operands);
    if (grads.dk.data || grads.dv.data)
      launch_with_shared(tensor_keys_kernel<T, head.value>, sizeof(QueryStorage<T, head.value>),
                         grid_of(tensor_blocks(s.batch, s.kv_heads, s.keys)), kTensorThreads, operands);
  });
}

}  // namespace tinydl::cuda
