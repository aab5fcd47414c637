// The AVX2 parts of Vec: tails use maskload and maskstore with a window of a constant table.
#pragma once

namespace tinydl::TINYDL_TIER {

alignas(64) constexpr int32_t kTail32[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
alignas(64) constexpr int64_t kTail64[8] = {-1, -1, -1, -1, 0, 0, 0, 0};

TINYDL_INLINE __m256i first8(int n) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kTail32 + 8 - n)); }
TINYDL_INLINE __m256i first4(int n) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kTail64 + 4 - n)); }
TINYDL_INLINE const long long* as_long_long(const int64_t* p) { return reinterpret_cast<const long long*>(p); }
TINYDL_INLINE long long* as_long_long(int64_t* p) { return reinterpret_cast<long long*>(p); }

// clang-format off
template <> TINYDL_INLINE Vec<float> Vec<float>::load(const float* p, int n) { return Native(_mm256_maskload_ps(p, first8(n))); }
template <> TINYDL_INLINE Vec<double> Vec<double>::load(const double* p, int n) { return Native(_mm256_maskload_pd(p, first4(n))); }
template <> TINYDL_INLINE Vec<int32_t> Vec<int32_t>::load(const int32_t* p, int n) { return Native(_mm256_maskload_epi32(p, first8(n))); }
template <> TINYDL_INLINE Vec<int64_t> Vec<int64_t>::load(const int64_t* p, int n) { return Native(_mm256_maskload_epi64(as_long_long(p), first4(n))); }
template <> TINYDL_INLINE void Vec<float>::store(float* p, int n) const { _mm256_maskstore_ps(p, first8(n), v); }
template <> TINYDL_INLINE void Vec<double>::store(double* p, int n) const { _mm256_maskstore_pd(p, first4(n), v); }
template <> TINYDL_INLINE void Vec<int32_t>::store(int32_t* p, int n) const { _mm256_maskstore_epi32(p, first8(n), __m256i(v)); }
template <> TINYDL_INLINE void Vec<int64_t>::store(int64_t* p, int n) const { _mm256_maskstore_epi64(as_long_long(p), first4(n), __m256i(v)); }

template <> TINYDL_INLINE void Vec<float>::stream(float* p) const { _mm256_stream_ps(p, v); }
template <> TINYDL_INLINE void Vec<double>::stream(double* p) const { _mm256_stream_pd(p, v); }
TINYDL_INLINE void stream_fence() { _mm_sfence(); }

template <> TINYDL_INLINE Vec<float> max(Vec<float> a, Vec<float> b) { return Vec<float>::Native(_mm256_max_ps(a.v, b.v)); }
template <> TINYDL_INLINE Vec<double> max(Vec<double> a, Vec<double> b) { return Vec<double>::Native(_mm256_max_pd(a.v, b.v)); }
template <> TINYDL_INLINE Vec<float> min(Vec<float> a, Vec<float> b) { return Vec<float>::Native(_mm256_min_ps(a.v, b.v)); }
template <> TINYDL_INLINE Vec<double> min(Vec<double> a, Vec<double> b) { return Vec<double>::Native(_mm256_min_pd(a.v, b.v)); }
TINYDL_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return Vec<float>::Native(_mm256_fmadd_ps(a.v, b.v, c.v)); }
TINYDL_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return Vec<double>::Native(_mm256_fmadd_pd(a.v, b.v, c.v)); }
TINYDL_INLINE Vec<float> sqrt(Vec<float> a) { return Vec<float>::Native(_mm256_sqrt_ps(a.v)); }
TINYDL_INLINE Vec<double> sqrt(Vec<double> a) { return Vec<double>::Native(_mm256_sqrt_pd(a.v)); }
TINYDL_INLINE Vec<float> round_even(Vec<float> a) { return Vec<float>::Native(_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)); }

TINYDL_INLINE Vec<uint64_t> multiply_low32(Vec<uint64_t> a, Vec<uint64_t> b) { return Vec<uint64_t>::Native(_mm256_mul_epu32(__m256i(a.v), __m256i(b.v))); }
TINYDL_INLINE Vec<uint64_t> interleave_even(Vec<uint64_t> a, Vec<uint64_t> b) { return Vec<uint64_t>::Native(_mm256_unpacklo_epi64(__m256i(a.v), __m256i(b.v))); }
TINYDL_INLINE Vec<uint64_t> interleave_odd(Vec<uint64_t> a, Vec<uint64_t> b) { return Vec<uint64_t>::Native(_mm256_unpackhi_epi64(__m256i(a.v), __m256i(b.v))); }
// clang-format on

}  // namespace tinydl::TINYDL_TIER
