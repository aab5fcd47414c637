// A thread's place in the grid.
#pragma once
#include <cstdint>

#include "cuda/runtime/device.h"

namespace tinydl::cuda {

__device__ __forceinline__ int64_t thread_in_grid() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ __forceinline__ int64_t threads_in_grid() { return int64_t(gridDim.x) * blockDim.x; }

}  // namespace tinydl::cuda
