// Float32 as a sum of bfloat16 planes, which the matrix tiles can multiply.
//
//   x = x0 + x1 + x2, each plane the bfloat16 nearest to what the planes before it leave: 24 bits in all
//   (Henry, Tang, Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype for Higher-Precision
//   Computations", arXiv 1904.06376)
//
// A step is 32 values of k. Both operands store value j of a step beside value j + 16, as one 32-bit pair, so that one
// instruction sequence splits either: two vectors of 16 floats become a vector of 16 pairs for each plane.
#pragma once
#include "contract/matmul.h"
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

constexpr int kStepDepth = 32;    // values of k in a tile
constexpr int kTileEdge = 16;     // rows of A's tile, columns of B's
constexpr int kTileValues = 512;  // of bfloat16 in a tile: 1 KB
constexpr int kPairEdge = 2 * kTileEdge;

// The finite exponents met while splitting. A product of planes is exact unless it leaves float32's range, so the
// split is as accurate as float32 while no partial product overflows or is flushed as a denormal.
class ExponentRange {
 public:
  ExponentRange() : largest_(_mm512_setzero_si512()), smallest_(_mm512_set1_epi16(-1)) {}

  TINYDL_INLINE void add(__m512i pairs) {
    const __m512i magnitude = _mm512_maskz_and_epi32(0xffff, pairs, _mm512_set1_epi32(0x7fff7fff));
    largest_ = _mm512_maskz_max_epu16(~0u, largest_, magnitude);
    // Zero wraps around to the largest value: it has no exponent.
    smallest_ = _mm512_maskz_min_epu16(~0u, smallest_, _mm512_sub_epi16(magnitude, _mm512_set1_epi16(1)));
  }

  // The biased exponents of the largest and the smallest value that are not zero; 0 and 255 if all are zero.
  int largest() const {
    alignas(64) uint16_t lane[32];
    _mm512_store_si512(lane, largest_);
    uint16_t most = 0;
    for (const uint16_t x : lane) most = x > most ? x : most;
    return most >> 7;
  }
  int smallest() const {
    alignas(64) uint16_t lane[32];
    _mm512_store_si512(lane, smallest_);
    uint16_t least = 0xffff;
    for (const uint16_t x : lane) least = x < least ? x : least;
    return least >= 0x7fff ? 255 : (least + 1) >> 7;
  }

 private:
  __m512i largest_, smallest_;  // of magnitudes, and of magnitudes less one
};

// The bfloat16 nearest to each value of low and high, side by side as 32-bit pairs.
TINYDL_INLINE __m512i round_pairs(Vec<float> low, Vec<float> high) {
  // Lane 2j takes word j, lane 2j + 1 word j + 16.
  const __m512i pairing =
      _mm512_set_epi32(0x001f000f, 0x001e000e, 0x001d000d, 0x001c000c, 0x001b000b, 0x001a000a, 0x00190009, 0x00180008,
                       0x00170007, 0x00160006, 0x00150005, 0x00140004, 0x00130003, 0x00120002, 0x00110001, 0x00100000);
  return _mm512_maskz_permutexvar_epi16(~0u, pairing, (__m512i)_mm512_cvtne2ps_pbh(high.v, low.v));
}
TINYDL_INLINE Vec<float> as_floats(__m512i bits) { return Vec<float>::Native(_mm512_castsi512_ps(bits)); }

// The planes of low (values j of a step) and high (values j + 16); plane p goes to to + p * stride.
template <int planes>
TINYDL_INLINE void split(Vec<float> low, Vec<float> high, Bfloat16* to, int64_t stride, ExponentRange& range) {
#pragma GCC unroll 3
  for (int plane = 0; plane < planes; ++plane) {
    const __m512i pairs = round_pairs(low, high);
    _mm512_storeu_si512(to + plane * stride, pairs);
    if (plane == 0) range.add(pairs);
    if (plane + 1 == planes) break;
    low = low - as_floats(_mm512_maskz_slli_epi32(0xffff, pairs, 16));
    high = high - as_floats(_mm512_maskz_and_epi32(0xffff, pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000))));
  }
}

}  // namespace tinydl::TINYDL_TIER
