// Attention backward by fused multiply-adds, with the scores computed again in either of two passes: one over blocks of
// 64 queries makes dQ, and one over blocks of 64 keys dK and dV, summed over the heads of a group one after another.
//
//   P = e^(scale Q K^T + mask - lse),  dP = dO V^T,  dS = P (dP - D)
//   dQ += dS K;  dV += P^T dO, dK += dS^T Q
//
// A block makes up to `columns` columns of its results.
#pragma once
#include "cuda/attention/plain_forward.h"

namespace tinydl::cuda {

// What the rows of a tile have.
template <class W>
struct RowTerms {
  W lse[kEach], dot[kEach];
  template <class T>
  __device__ RowTerms(const Problem<T>& x, const Gradients<T>& grads, const HeadPlace& at, int query) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int row = query + plain_row(i);
      const bool inside = row < x.queries;
      lse[i] = inside ? grads.lse[row_number(x, at, row)] : kInfinity<W>;
      dot[i] = inside ? grads.dots[row_number(x, at, row)] : W(0);
    }
  }
};

// Scores become m P, and the products of upstream gradients and values dS.
template <class T, class W>
__device__ void weigh_backward(const Problem<T>& x, const ScorePlace& tile, const RowTerms<W>& rows,
                               W (&p)[kEach][kEach], W (&ds)[kEach][kEach]) {
  add_terms(x, tile, p);
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const unsigned kept = x.drops ? kept_of_row(x, tile, i) : ~0u;
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      // A score of another order of rounding than forward may exceed lse.
      const W e = exp_of(smaller(p[i][j] - rows.lse[i], W(0))), factor = kept >> j & 1 ? x.keep_scale : W(0);
      const bool seen = p[i][j] != -kInfinity<W>;
      p[i][j] = seen ? e * factor : W(0);
      ds[i][j] = seen ? e * (ds[i][j] * factor - rows.dot[i]) : W(0);
    }
  }
}

template <class T>
struct PlainOperands {
  Problem<T> x;
  Gradients<T> grads;
  bool packs;
};

// A tile of weights m P and dS.
template <class T, class W>
__device__ void score_backward(const PlainOperands<T>& in, const ScorePlace& tile, ScoreStorage<W>& shared,
                               W (&p)[kEach][kEach], W (&ds)[kEach][kEach]) {
  const Problem<T>& x = in.x;
  const HeadPlace kv = keys_of(x, tile.at);
  score_tile(rows_of(x.q, tile.at, tile.query, x.queries, x.features, in.packs),
             rows_of(x.k, kv, tile.key, x.keys, x.features, in.packs), shared, p);
  score_tile(rows_of(in.grads.d_o, tile.at, tile.query, x.queries, x.values, in.packs),
             rows_of(x.v, kv, tile.key, x.keys, x.values, in.packs), shared, ds);
  weigh_backward(x, tile, RowTerms<W>(x, in.grads, tile.at, tile.query), p, ds);
}

template <bool transposed, class W, int pitch>
__device__ __forceinline__ void lay_out(const W (&scores)[kEach][kEach], W (&to)[kSide][pitch]) {
#pragma unroll
  for (int i = 0; i < kEach; ++i)
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      if (transposed)
        to[plain_column(j)][plain_row(i)] = scores[i][j];
      else
        to[plain_row(i)][plain_column(j)] = scores[i][j];
    }
}

// Columns from `first` on of dQ.
template <class T, int columns>
__global__ void __launch_bounds__(kPlainThreads, 1) plain_queries_kernel(PlainOperands<T> in, int chunks) {
  using W = Wide<T>;
  using Storage = PlainStorage<W, columns>;
  TINYDL_LARGE_SHARED(Storage, shared);
  const Problem<T>& x = in.x;
  const BlockPlace place = block_place((x.queries + kSide - 1) / kSide * chunks, x.heads, x.causal);
  const HeadPlace at = place.at, kv = keys_of(x, at);
  const int query = place.tile / chunks * kSide, first = place.tile % chunks * columns;
  Results<W, columns> dq;
  dq.clear();
  const int end = keys_seen(x, query + kSide);
  for (int key = 0; key < end; key += kSide) {
    stage<columns>(rows_of(x.k, kv, key, x.keys, x.features, in.packs), first, shared.rows);
    end_copy_group();
    W p[kEach][kEach], ds[kEach][kEach];
    score_backward(in, {at, query, key}, shared.operands, p, ds);
    lay_out<false>(ds, shared.weights);
    __syncthreads();
    dq.add(shared.weights, shared.rows);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i)
    if (query + plain_row(i) < x.queries)
      dq.write_row(i, x.scale, row_of(in.grads.dq, at, query + plain_row(i)), first, x.features);
}

// Columns from `first` on of dK and dV.
template <class T, int columns>
__global__ void __launch_bounds__(kPlainThreads, 1) plain_keys_kernel(PlainOperands<T> in, int chunks) {
  using W = Wide<T>;
  using Storage = PlainStorage<W, columns>;
  TINYDL_LARGE_SHARED(Storage, shared);
  const Problem<T>& x = in.x;
  const BlockPlace place = block_place((x.keys + kSide - 1) / kSide * chunks, x.kv_heads, false);
  const HeadPlace kv = place.at;
  const int key = place.tile / chunks * kSide, first = place.tile % chunks * columns, group = x.heads / x.kv_heads;
  const bool wants_k = in.grads.dk.data, wants_v = in.grads.dv.data;
  Results<W, columns> dk, dv;
  dk.clear();
  dv.clear();
  for (int h = 0; h < group; ++h) {
    const HeadPlace at{kv.batch, kv.head * group + h};
    for (int query = first_query(x, key, kSide); query < x.queries; query += kSide) {
      const auto d_o = rows_of(in.grads.d_o, at, query, x.queries, x.values, in.packs);
      const auto q = rows_of(x.q, at, query, x.queries, x.features, in.packs);
      stage<columns>(d_o, first, shared.rows);
      end_copy_group();
      W p[kEach][kEach], ds[kEach][kEach];
      score_backward(in, {at, query, key}, shared.operands, p, ds);
      lay_out<true>(p, shared.weights);
      __syncthreads();
      if (wants_v) dv.add(shared.weights, shared.rows);
      __syncthreads();
      stage<columns>(q, first, shared.rows);
      end_copy_group();
      lay_out<true>(ds, shared.weights);
      wait_for_copies<0>();
      __syncthreads();
      if (wants_k) dk.add(shared.weights, shared.rows);
      __syncthreads();
    }
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int row = key + plain_row(i);
    if (row >= x.keys) continue;
    if (wants_k) dk.write_row(i, x.scale, row_of(in.grads.dk, kv, row), first, x.features);
    if (wants_v) dv.write_row(i, W(1), row_of(in.grads.dv, kv, row), first, x.values);
  }
}

template <int columns, class T>
void plain_backward(const AttentionShape& s, const AttentionInput<T>& in, const Gradients<T>& grads) {
  using Storage = PlainStorage<Wide<T>, columns>;
  const bool packs = takes_packs(in.q, s.features) && takes_packs(in.k, s.features) && takes_packs(in.v, s.values) &&
                     takes_packs(grads.d_o, s.values);
  const PlainOperands<T> operands{Problem<T>(s, in), grads, packs};
  if (grads.dq.data) {
    const int chunks = chunks_of(s.features, columns);
    const int64_t blocks = s.batch * s.heads * tiles_along(s.queries, kSide) * chunks;
    launch_with_shared(plain_queries_kernel<T, columns>, sizeof(Storage), grid_of(blocks), kPlainThreads, operands,
                       chunks);
  }
  if (grads.dk.data || grads.dv.data) {
    const int chunks = chunks_of(s.features > s.values ? s.features : s.values, columns);
    const int64_t blocks = s.batch * s.kv_heads * tiles_along(s.keys, kSide) * chunks;
    launch_with_shared(plain_keys_kernel<T, columns>, sizeof(Storage), grid_of(blocks), kPlainThreads, operands,
                       chunks);
  }
}

}  // namespace tinydl::cuda
