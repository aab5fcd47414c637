// The AVX-512 parts of Vec: tails use mask registers. The zero-masked forms of some are used, because GCC 12
// warns about an uninitialised value inside its own header for the plain ones.
#pragma once

namespace tinydl::TINYDL_TIER {

TINYDL_INLINE __mmask16 first16(int n) { return static_cast<__mmask16>((1u << n) - 1u); }
TINYDL_INLINE __mmask8 first8(int n) { return static_cast<__mmask8>((1u << n) - 1u); }

// clang-format off
template <> TINYDL_INLINE Vec<float> Vec<float>::load(const float* p, int n) { return Native(_mm512_maskz_loadu_ps(first16(n), p)); }
template <> TINYDL_INLINE Vec<double> Vec<double>::load(const double* p, int n) { return Native(_mm512_maskz_loadu_pd(first8(n), p)); }
template <> TINYDL_INLINE Vec<int32_t> Vec<int32_t>::load(const int32_t* p, int n) { return Native(_mm512_maskz_loadu_epi32(first16(n), p)); }
template <> TINYDL_INLINE Vec<int64_t> Vec<int64_t>::load(const int64_t* p, int n) { return Native(_mm512_maskz_loadu_epi64(first8(n), p)); }
template <> TINYDL_INLINE void Vec<float>::store(float* p, int n) const { _mm512_mask_storeu_ps(p, first16(n), v); }
template <> TINYDL_INLINE void Vec<double>::store(double* p, int n) const { _mm512_mask_storeu_pd(p, first8(n), v); }
template <> TINYDL_INLINE void Vec<int32_t>::store(int32_t* p, int n) const { _mm512_mask_storeu_epi32(p, first16(n), __m512i(v)); }
template <> TINYDL_INLINE void Vec<int64_t>::store(int64_t* p, int n) const { _mm512_mask_storeu_epi64(p, first8(n), __m512i(v)); }

template <> TINYDL_INLINE void Vec<float>::stream(float* p) const { _mm512_stream_ps(p, v); }
template <> TINYDL_INLINE void Vec<double>::stream(double* p) const { _mm512_stream_pd(p, v); }
TINYDL_INLINE void stream_fence() { _mm_sfence(); }

template <> TINYDL_INLINE Vec<float> max(Vec<float> a, Vec<float> b) { return Vec<float>::Native(_mm512_maskz_max_ps(0xffff, a.v, b.v)); }
template <> TINYDL_INLINE Vec<double> max(Vec<double> a, Vec<double> b) { return Vec<double>::Native(_mm512_maskz_max_pd(0xff, a.v, b.v)); }
template <> TINYDL_INLINE Vec<float> min(Vec<float> a, Vec<float> b) { return Vec<float>::Native(_mm512_maskz_min_ps(0xffff, a.v, b.v)); }
template <> TINYDL_INLINE Vec<double> min(Vec<double> a, Vec<double> b) { return Vec<double>::Native(_mm512_maskz_min_pd(0xff, a.v, b.v)); }
TINYDL_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return Vec<float>::Native(_mm512_fmadd_ps(a.v, b.v, c.v)); }
TINYDL_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return Vec<double>::Native(_mm512_fmadd_pd(a.v, b.v, c.v)); }
TINYDL_INLINE Vec<float> sqrt(Vec<float> a) { return Vec<float>::Native(_mm512_maskz_sqrt_ps(0xffff, a.v)); }
TINYDL_INLINE Vec<double> sqrt(Vec<double> a) { return Vec<double>::Native(_mm512_maskz_sqrt_pd(0xff, a.v)); }
TINYDL_INLINE Vec<float> round_even(Vec<float> a) { return Vec<float>::Native(_mm512_maskz_roundscale_ps(0xffff, a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)); }

TINYDL_INLINE Vec<uint64_t> multiply_low32(Vec<uint64_t> a, Vec<uint64_t> b) { return Vec<uint64_t>::Native(_mm512_maskz_mul_epu32(0xff, __m512i(a.v), __m512i(b.v))); }
TINYDL_INLINE Vec<uint64_t> interleave_even(Vec<uint64_t> a, Vec<uint64_t> b) { return Vec<uint64_t>::Native(_mm512_maskz_unpacklo_epi64(0xff, __m512i(a.v), __m512i(b.v))); }
TINYDL_INLINE Vec<uint64_t> interleave_odd(Vec<uint64_t> a, Vec<uint64_t> b) { return Vec<uint64_t>::Native(_mm512_maskz_unpackhi_epi64(0xff, __m512i(a.v), __m512i(b.v))); }
// clang-format on

// a * 2^n for whole n, rounded once.
TINYDL_INLINE Vec<float> scale_by_power(Vec<float> a, Vec<float> n) {
  return Vec<float>::Native(_mm512_maskz_scalef_ps(0xffff, a.v, n.v));
}

// x = m * 2^k, 0.75 <= m < 1.5. Zero has k = -inf and infinity k = inf (both m = 1); x < 0 and NaN: m = NaN.
TINYDL_INLINE void split_power(Vec<float> x, Vec<float>& m, Vec<float>& k) {
  m = Vec<float>::Native(_mm512_maskz_getmant_ps(0xffff, x.v, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_nan));
  k = Vec<float>::Native(_mm512_maskz_getexp_ps(0xffff, x.v) - _mm512_maskz_getexp_ps(0xffff, m.v));
}

}  // namespace tinydl::TINYDL_TIER
