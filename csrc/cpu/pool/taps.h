// Vectors of tap numbers: as wide as the lanes of T in registers, 8 or 32 bits each in memory. The compiler's
// vector conversions between widths this far apart go through scalars, so the hot ones are written out.
#pragma once
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

// V is Vec<int32_t> or Vec<int64_t>.
template <class V, class Tap>
TINYDL_INLINE V load_taps(const Tap* p, int lanes) {
  V out(0);
  for (int i = 0; i < lanes; ++i) out.v[i] = p[i];
  return out;
}

template <class V, class Tap>
TINYDL_INLINE void store_taps(V taps, Tap* p, int lanes) {
  for (int i = 0; i < lanes; ++i) p[i] = static_cast<Tap>(taps.v[i]);
}

#if defined(TINYDL_TIER_avx512)

template <>
TINYDL_INLINE Vec<int32_t> load_taps(const uint8_t* p, int lanes) {
  return Vec<int32_t>::Native(_mm512_maskz_cvtepu8_epi32(0xffff, _mm_maskz_loadu_epi8(first16(lanes), p)));
}
template <>
TINYDL_INLINE Vec<int64_t> load_taps(const uint8_t* p, int lanes) {
  return Vec<int64_t>::Native(_mm512_maskz_cvtepu8_epi64(0xff, _mm_maskz_loadu_epi8(first8(lanes), p)));
}
template <>
TINYDL_INLINE void store_taps(Vec<int32_t> taps, uint8_t* p, int lanes) {
  _mm512_mask_cvtepi32_storeu_epi8(p, first16(lanes), __m512i(taps.v));
}
template <>
TINYDL_INLINE void store_taps(Vec<int64_t> taps, uint8_t* p, int lanes) {
  _mm512_mask_cvtepi64_storeu_epi8(p, first8(lanes), __m512i(taps.v));
}

#elif defined(TINYDL_TIER_avx2)

template <>
TINYDL_INLINE Vec<int32_t> load_taps(const uint8_t* p, int lanes) {
  if (lanes == Vec<int32_t>::size)
    return Vec<int32_t>::Native(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  Vec<int32_t> out(0);
  for (int i = 0; i < lanes; ++i) out.v[i] = p[i];
  return out;
}
template <>
TINYDL_INLINE void store_taps(Vec<int32_t> taps, uint8_t* p, int lanes) {
  const __m256i v = __m256i(taps.v);
  const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  const __m128i bytes = _mm_packus_epi16(words, words);
  if (lanes == Vec<int32_t>::size) return _mm_storel_epi64(reinterpret_cast<__m128i*>(p), bytes);
  for (int i = 0; i < lanes; ++i) p[i] = static_cast<uint8_t>(taps.v[i]);
}

#endif

}  // namespace tinydl::TINYDL_TIER
