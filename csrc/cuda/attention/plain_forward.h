// Attention forward by fused multiply-adds. A block takes 64 queries of a head and up to `columns` of its values, and
// goes through the keys they see, 64 at a time:
//
//   S = scale Q K^T + mask
//   for each row  m' = max(m, max S);  P = e^(S - m');  l = l e^(m - m') + sum P;  O = O e^(m - m')
//   O += P V
//   O / l, m + ln l
#pragma once
#include "cuda/attention/plain_tiles.h"
#include "cuda/runtime/launch.h"

namespace tinydl::cuda {

template <class W, int columns>
struct PlainStorage {
  ScoreStorage<W> operands;
  W weights[kSide][kSide + kPack<W>];
  alignas(16) W rows[kSide][columns];
};

// Of a thread's four rows, alike in the 16 threads of each.
template <class W>
struct RunningRows {
  W max[kEach], sum[kEach];  // sum of e^(score - max)

  __device__ RunningRows() {
#pragma unroll
    for (int i = 0; i < kEach; ++i) max[i] = -kInfinity<W>, sum[i] = 0;
  }
  // Row i's scores become weights; returns what multiplies earlier sums.
  __device__ W weigh(int i, W (&scores)[kEach]) {
    W best = scores[0];
#pragma unroll
    for (int j = 1; j < kEach; ++j) best = larger(best, scores[j]);
    best = larger(max[i], reduce_warp<16>(best, Largest()));
    const W shift = best == -kInfinity<W> ? W(0) : best, factor = exp_of(max[i] - shift);
    W total = 0;
#pragma unroll
    for (int j = 0; j < kEach; ++j) total += scores[j] = exp_of(scores[j] - shift);
    max[i] = best;
    sum[i] = sum[i] * factor + reduce_warp<16>(total, Sum());
    return factor;
  }
};

template <class T, int columns>
__global__ void __launch_bounds__(kPlainThreads, 1)
    plain_forward_kernel(Problem<T> x, bool packs, int chunks, Heads<T> o, Wide<T>* lse) {
  using W = Wide<T>;
  using Storage = PlainStorage<W, columns>;
  TINYDL_LARGE_SHARED(Storage, shared);
  const BlockPlace place = block_place((x.queries + kSide - 1) / kSide * chunks, x.heads, x.causal);
  const HeadPlace at = place.at, kv = keys_of(x, at);
  const int query = place.tile / chunks * kSide, first = place.tile % chunks * columns;
  const auto q = rows_of(x.q, at, query, x.queries, x.features, packs);
  RunningRows<W> running;
  Results<W, columns> results;
  results.clear();
  const int end = keys_seen(x, query + kSide);
  for (int key = 0; key < end; key += kSide) {
    stage<columns>(rows_of(x.v, kv, key, x.keys, x.values, packs), first, shared.rows);
    end_copy_group();
    W scores[kEach][kEach];
    score_tile(q, rows_of(x.k, kv, key, x.keys, x.features, packs), shared.operands, scores);
    const ScorePlace tile{at, query, key};
    add_terms(x, tile, scores);
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      results.scale_row(i, running.weigh(i, scores[i]));
      const unsigned kept = x.drops ? kept_of_row(x, tile, i) : ~0u;
#pragma unroll
      for (int j = 0; j < kEach; ++j)
        shared.weights[plain_row(i)][plain_column(j)] = kept >> j & 1 ? scores[i][j] : W(0);
    }
    __syncthreads();
    results.add(shared.weights, shared.rows);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int row = query + plain_row(i);
    if (row >= x.queries) continue;
    const bool hidden = running.sum[i] == 0;
    const W factor = hidden ? W(0) : x.keep_scale / running.sum[i];
    results.write_row(i, factor, row_of(o, at, row), first, x.values);
    if (first == 0 && threadIdx.x % 16 == 0)
      lse[row_number(x, at, row)] = hidden ? kInfinity<W> : running.max[i] + log_of(running.sum[i]);
  }
}

// Blocks of `columns` columns; one where there are none.
inline int chunks_of(int64_t length, int columns) {
  return length > columns ? static_cast<int>((length + columns - 1) / columns) : 1;
}
inline int64_t tiles_along(int64_t length, int64_t side) { return (length + side - 1) / side; }

template <int columns, class T>
void plain_forward(const AttentionShape& s, const AttentionInput<T>& in, const Heads<T>& o, Wide<T>* lse) {
  const Problem<T> x(s, in);
  const bool packs = takes_packs(in.q, s.features) && takes_packs(in.k, s.features) && takes_packs(in.v, s.values);
  const int chunks = chunks_of(s.values, columns);
  const int64_t blocks = s.batch * s.heads * tiles_along(s.queries, kSide) * chunks;
  launch_with_shared(plain_forward_kernel<T, columns>, sizeof(PlainStorage<Wide<T>, columns>), grid_of(blocks),
                     kPlainThreads, x, packs, chunks, o, lse);
}

}  // namespace tinydl::cuda
