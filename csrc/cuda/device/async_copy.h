// Copies from global to shared memory that run beside the threads (cp.async, from compute capability 8.0 on): they may
// be read after wait_for_copies and, by other threads, a barrier.
#pragma once
#include <cstdint>

#include "cuda/runtime/device.h"

namespace tinydl::cuda {

// Copies `bytes` (4, 8 or 16, to which both addresses are aligned); zeros arrive where `valid` is false, and `from` is
// not read.
template <int bytes>
__device__ __forceinline__ void copy_async(void* to, const void* from, bool valid) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16, "what cp.async can copy");
#ifdef __CUDACC__
  const auto shared = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  const int read = valid ? bytes : 0;
  if constexpr (bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(read) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared), "l"(from), "n"(bytes), "r"(read)
                 : "memory");
#else
  emulation::copy_later(to, valid ? from : nullptr, bytes);
#endif
}

// Ends a group of copies.
__device__ __forceinline__ void end_copy_group() {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  emulation::end_copy_group();
#endif
}

// Waits until at most the youngest `groups_left` groups of this thread are under way.
template <int groups_left>
__device__ __forceinline__ void wait_for_copies() {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" ::"n"(groups_left) : "memory");
#else
  emulation::wait_for_copies(groups_left);
#endif
}

}  // namespace tinydl::cuda
