// Philox4x32-10 (Salmon et al. 2011): four random words of a counter; see contract/random.h.
#pragma once
#include <cstdint>

#include "cuda/runtime/device.h"
#include "cuda/runtime/replay.h"

namespace tinydl::cuda {

struct Philox4 {
  uint32_t word[4];
};

__device__ __forceinline__ Philox4 philox(uint64_t seed, uint64_t counter) {
  auto key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  auto c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32);
  uint32_t c2 = 0, c3 = 0;
#pragma unroll
  for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
    const uint32_t high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
    const uint32_t high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
    c0 = high1 ^ c1 ^ key0;
    c1 = low1;
    c2 = high0 ^ c3 ^ key1;
    c3 = low0;
  }
  return {{c0, c1, c2, c3}};
}

// The words of a draw as a launch hands them to its kernel.
struct Draws {
  uint64_t seed, offset;
  const uint64_t* of_replay;

  Draws(uint64_t seed, uint64_t offset) : seed(seed), offset(offset), of_replay(offset_of_replay()) {}
  __device__ __forceinline__ Philox4 at(uint64_t counter) const {
    return philox(seed, offset + (of_replay ? *of_replay : 0) + counter);
  }
};

}  // namespace tinydl::cuda
