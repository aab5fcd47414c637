// Philox4x32-10: four words from a counter and a key; a thread makes all of a counter's.
#pragma once
#include <cstdint>

#include "contract/random.h"
#include "cuda/runtime/device.h"

namespace tinydl::cuda {

struct Words {
  uint32_t v[4];
};

__device__ __forceinline__ Words philox(const Stream& stream, int64_t counter_from_offset) {
  const uint64_t counter = stream.offset + static_cast<uint64_t>(counter_from_offset);
  auto key0 = static_cast<uint32_t>(stream.seed), key1 = static_cast<uint32_t>(stream.seed >> 32);
  Words c = {{static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0}};
#pragma unroll
  for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
    const uint32_t high0 = __umulhi(0xD2511F53u, c.v[0]), low0 = 0xD2511F53u * c.v[0];
    const uint32_t high1 = __umulhi(0xCD9E8D57u, c.v[2]), low1 = 0xCD9E8D57u * c.v[2];
    c = {{high1 ^ c.v[1] ^ key0, low1, high0 ^ c.v[3] ^ key1, low0}};
  }
  return c;
}

// The 24 bits of which a uniform number is made.
__device__ __forceinline__ int fraction_bits(uint32_t word) { return static_cast<int>(word >> 8); }

}  // namespace tinydl::cuda
