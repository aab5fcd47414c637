// The portable parts of Vec: plain loops over lanes, which compilers turn into SSE2 or NEON.
#pragma once

namespace tinydl::TINYDL_TIER {

template <class T>
TINYDL_INLINE Vec<T> Vec<T>::load(const T* p, int n) {
  return gather(p, 1, n);
}
template <class T>
TINYDL_INLINE void Vec<T>::store(T* p, int n) const {
  scatter(p, 1, n);
}

#if defined(__SSE2__)
template <>
TINYDL_INLINE void Vec<float>::stream(float* p) const {
  _mm_stream_ps(p, v);
}
template <>
TINYDL_INLINE void Vec<double>::stream(double* p) const {
  _mm_stream_pd(p, v);
}
TINYDL_INLINE void stream_fence() { _mm_sfence(); }
#else
template <class T>
TINYDL_INLINE void Vec<T>::stream(T* p) const {
  store(p);
}
TINYDL_INLINE void stream_fence() {}
#endif

// Rounded twice: without the instruction a fused product is a slow library call.
template <class T>
TINYDL_INLINE Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
  return a * b + c;
}

TINYDL_INLINE float scalar_sqrt(float x) { return __builtin_sqrtf(x); }
TINYDL_INLINE double scalar_sqrt(double x) { return __builtin_sqrt(x); }
template <class T>
TINYDL_INLINE Vec<T> sqrt(Vec<T> a) {
  for (int i = 0; i < Vec<T>::size; ++i) a.v[i] = scalar_sqrt(a.v[i]);
  return a;
}

// Adding and subtracting 1.5 * 2^23 rounds |a| < 2^22 to the nearest integer, ties to even.
TINYDL_INLINE Vec<float> round_even(Vec<float> a) {
  const Vec<float> shift(12582912.0f);
  return (a + shift) - shift;
}

#if defined(__SSE2__)
TINYDL_INLINE Vec<uint64_t> multiply_low32(Vec<uint64_t> a, Vec<uint64_t> b) {
  return Vec<uint64_t>::Native(_mm_mul_epu32(__m128i(a.v), __m128i(b.v)));
}
#else
TINYDL_INLINE Vec<uint64_t> multiply_low32(Vec<uint64_t> a, Vec<uint64_t> b) {
  const Vec<uint64_t> low(0xffffffffu);
  return (a & low) * (b & low);
}
#endif
TINYDL_INLINE Vec<uint64_t> interleave_even(Vec<uint64_t> a, Vec<uint64_t> b) {
  return Vec<uint64_t>::Native{a[0], b[0]};
}
TINYDL_INLINE Vec<uint64_t> interleave_odd(Vec<uint64_t> a, Vec<uint64_t> b) {
  return Vec<uint64_t>::Native{a[1], b[1]};
}

}  // namespace tinydl::TINYDL_TIER
