// Reductions over more than a block in two steps: a double for each block, which one block then joins, always in the
// same order.
#pragma once
#include "cuda/device/reduce.h"
#include "cuda/runtime/launch.h"

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

}  // namespace tinydl::cuda
