// Reductions over the lanes of a warp and the threads of a block. Every thread gets the result, with the same bits.
#pragma once
#include "cuda/device/math.h"
#include "cuda/runtime/device.h"

namespace tinydl::cuda {

constexpr int kLanes = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

struct Sum {
  template <class W>
  __device__ __forceinline__ W operator()(W a, W b) const {
    return a + b;
  }
};
// NaN where one is.
struct Largest {
  template <class W>
  __device__ __forceinline__ W operator()(W a, W b) const {
    return larger(a, b);
  }
};

// `op` must commute; `lanes` neighbours, a power of two, reduce among themselves.
template <int lanes = kLanes, class W, class Op>
__device__ __forceinline__ W reduce_warp(W x, const Op& op) {
#pragma unroll
  for (int distance = lanes / 2; distance > 0; distance /= 2) x = op(x, __shfl_xor_sync(kAllLanes, x, distance));
  return x;
}

// For a block of `threads` threads in x; `partial` lies in shared memory and is free again on return.
template <int threads, class W, class Op>
__device__ __forceinline__ W reduce_block(W x, const Op& op, W (&partial)[threads / kLanes]) {
  x = reduce_warp(x, op);
  if (threadIdx.x % kLanes == 0) partial[threadIdx.x / kLanes] = x;
  __syncthreads();
  x = partial[0];
#pragma unroll
  for (int warp = 1; warp < threads / kLanes; ++warp) x = op(x, partial[warp]);
  __syncthreads();
  return x;
}

}  // namespace tinydl::cuda
