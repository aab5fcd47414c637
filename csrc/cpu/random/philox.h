// Philox4x32-10 on vectors: each 64-bit lane computes one counter, and holds one 32-bit word of its state in
// the lower half. The upper halves are left as they come: the next round's 32 x 32 -> 64 bit product ignores
// them. A round is then two products, two shifts and four exclusive ors, without a shuffle.
#pragma once
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

class Philox {
 public:
  using V = Vec<uint64_t>;
  static constexpr int kWords = 4 * V::size;  // that one step of `fill` writes

  explicit Philox(uint64_t seed) {
    auto key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    for (int r = 0; r < kRounds; ++r, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
      key0_[r] = V(uint64_t{key0});
      key1_[r] = V(uint64_t{key1});
    }
    // interleave_even takes the even lanes, which therefore compute the first half of the counters.
    for (int lane = 0; lane < V::size; ++lane)
      lane_counter_.v[lane] = static_cast<uint64_t>(lane / 2 + (lane % 2) * (V::size / 2));
  }

  // The words of the counters from `counter` on, at least n of them (a multiple of kWords).
  void fill(uint64_t counter, int64_t n, uint32_t* words) const {
    for (int64_t i = 0; i < n; i += kWords, counter += V::size) {
      V first, second;
      step(V(counter) + lane_counter_, first, second);
      bits_as<uint64_t>(first).store(reinterpret_cast<uint64_t*>(words + i));
      bits_as<uint64_t>(second).store(reinterpret_cast<uint64_t*>(words + i + kWords / 2));
    }
  }

 private:
  static constexpr int kRounds = 10;

  TINYDL_INLINE void step(V counter, V& first, V& second) const {
    V c0 = counter, c1 = counter >> 32, c2(uint64_t{0}), c3(uint64_t{0});
    for (int r = 0; r < kRounds; ++r) {
      const V product0 = multiply_low32(c0, V(uint64_t{0xD2511F53u}));
      const V product1 = multiply_low32(c2, V(uint64_t{0xCD9E8D57u}));
      c0 = (product1 >> 32) ^ c1 ^ key0_[r];
      c2 = (product0 >> 32) ^ c3 ^ key1_[r];
      c1 = product1;
      c3 = product0;
    }
    const V low(uint64_t{0xffffffffu});
    const V words01 = (c0 & low) | (c1 << 32), words23 = (c2 & low) | (c3 << 32);
    first = interleave_even(words01, words23);
    second = interleave_odd(words01, words23);
  }

  V key0_[kRounds], key1_[kRounds];
  V lane_counter_;
};

}  // namespace tinydl::TINYDL_TIER
