// Reductions over more than a block in two steps: a double for each block, which one block then joins, always in the
// same order.
#pragma once
#include "cuda/device/reduce.h"
#include "cuda/runtime/launch.h"
#include "cuda/runtime/memory.h"

namespace tinydl::cuda {

struct BlockPartials {
  double of_warp[kThreads / kLanes];
};

// store(the partials joined by op), by one block of kThreads and one of its threads; 0 for none.
template <class Op, class Store>
__global__ void join_partials(int64_t n, const double* partial, Op op, Store store) {
  TINYDL_SHARED(BlockPartials, shared);
  double joined = 0;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) joined = op(joined, partial[i]);
  joined = reduce_block<kThreads>(joined, op, shared.of_warp);
  if (threadIdx.x == 0) store(joined);
}

constexpr int kTermsOfThread = 8, kTermTile = kThreads * kTermsOfThread;

// partial[b] = the sum of f(k) over a tile of k, f's values added as they are, those of threads in double.
template <class F>
__global__ void add_terms(int64_t n, F f, double* partial) {
  TINYDL_SHARED(BlockPartials, shared);
  const int64_t first = int64_t(blockIdx.x) * kTermTile + threadIdx.x;
  decltype(f(first)) total = 0;
#pragma unroll 4
  for (int64_t k = first; k < first + kTermTile && k < n; k += kThreads) total += f(k);
  const double sum = reduce_block<kThreads>(static_cast<double>(total), Sum(), shared.of_warp);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// store(the sum of f(k) for k < n), by one thread.
template <class F, class Store>
void add_up(int64_t n, const F& f, const Store& store) {
  const int64_t tiles = (n + kTermTile - 1) / kTermTile;
  const Scratch memory(static_cast<size_t>(tiles) * sizeof(double));
  auto* partial = static_cast<double*>(memory.data());
  launch(add_terms<F>, grid_of(tiles), kThreads, n, f, partial);
  launch(join_partials<Sum, Store>, 1, kThreads, tiles, partial, Sum(), store);
}

}  // namespace tinydl::cuda
