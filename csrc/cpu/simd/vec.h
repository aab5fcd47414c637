// One vector type for every instruction set: Vec<T> is a register of T on the tier that the file is compiled for.
//
// Arithmetic, comparisons and conversions come from the compiler's vector extensions; what those lack (fused
// multiply-add, masked tails, rounding) is written per tier in vec_<tier>.h. Everything lives in the tier's
// namespace, so that the linker never shares a function between tiers, and uses no standard-library templates
// for the same reason.
#pragma once
#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define TINYDL_INLINE inline __attribute__((always_inline))

namespace tinydl::TINYDL_TIER {

#if defined(TINYDL_TIER_avx512)
constexpr int kVectorBytes = 64;
#elif defined(TINYDL_TIER_avx2)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

// The compiler's vector type for each element type, the same with no alignment, and the integer of the same size.
// (Spelled out because GCC ignores the attribute on a typedef that depends on a template parameter.)
template <class T>
struct VecTypes;
#define TINYDL_VEC_TYPES(T, I)                                                                     \
  template <>                                                                                      \
  struct VecTypes<T> {                                                                             \
    typedef T Native __attribute__((vector_size(kVectorBytes)));                                   \
    typedef T Unaligned __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias)); \
    using Int = I;                                                                                 \
  }
TINYDL_VEC_TYPES(float, int32_t);
TINYDL_VEC_TYPES(double, int64_t);
TINYDL_VEC_TYPES(int32_t, int32_t);
TINYDL_VEC_TYPES(int64_t, int64_t);
TINYDL_VEC_TYPES(uint32_t, int32_t);
TINYDL_VEC_TYPES(uint64_t, int64_t);
#undef TINYDL_VEC_TYPES

template <class T>
struct Vec {
  using Native = typename VecTypes<T>::Native;
  using Unaligned = typename VecTypes<T>::Unaligned;
  using Mask = Vec<typename VecTypes<T>::Int>;  // all bits of a lane set, or none

  static constexpr int size = kVectorBytes / static_cast<int>(sizeof(T));

  Native v;

  Vec() = default;
  TINYDL_INLINE Vec(Native native) : v(native) {}
  TINYDL_INLINE Vec(T scalar) : v(scalar - Native{}) {}

  static TINYDL_INLINE Vec load(const T* p) { return Vec(Native(*reinterpret_cast<const Unaligned*>(p))); }
  TINYDL_INLINE void store(T* p) const { *reinterpret_cast<Unaligned*>(p) = v; }

  // Stores to memory without fetching it into the caches; p is aligned to the vector. stream_fence() orders such stores
  // before the thread's later ones.
  TINYDL_INLINE void stream(T* p) const;

  // The first n elements (0 <= n <= size); the other lanes are zero, and memory behind them is not touched.
  static TINYDL_INLINE Vec load(const T* p, int n);
  TINYDL_INLINE void store(T* p, int n) const;

  // n elements that lie `stride` apart.
  static TINYDL_INLINE Vec gather(const T* p, int64_t stride, int n) {
    Vec out(T(0));
    for (int i = 0; i < n; ++i) out.v[i] = p[i * stride];
    return out;
  }
  TINYDL_INLINE void scatter(T* p, int64_t stride, int n) const {
    for (int i = 0; i < n; ++i) p[i * stride] = v[i];
  }

  TINYDL_INLINE T operator[](int lane) const { return v[lane]; }
};

// clang-format off
template <class T> TINYDL_INLINE Vec<T> operator+(Vec<T> a, Vec<T> b) { return a.v + b.v; }
template <class T> TINYDL_INLINE Vec<T> operator-(Vec<T> a, Vec<T> b) { return a.v - b.v; }
template <class T> TINYDL_INLINE Vec<T> operator*(Vec<T> a, Vec<T> b) { return a.v * b.v; }
template <class T> TINYDL_INLINE Vec<T> operator/(Vec<T> a, Vec<T> b) { return a.v / b.v; }
template <class T> TINYDL_INLINE Vec<T> operator-(Vec<T> a) { return -a.v; }
template <class T> TINYDL_INLINE Vec<T> operator&(Vec<T> a, Vec<T> b) { return a.v & b.v; }
template <class T> TINYDL_INLINE Vec<T> operator|(Vec<T> a, Vec<T> b) { return a.v | b.v; }
template <class T> TINYDL_INLINE Vec<T> operator^(Vec<T> a, Vec<T> b) { return a.v ^ b.v; }
template <class T> TINYDL_INLINE Vec<T> operator~(Vec<T> a) { return ~a.v; }
template <class T> TINYDL_INLINE Vec<T> operator<<(Vec<T> a, int bits) { return a.v << bits; }
template <class T> TINYDL_INLINE Vec<T> operator>>(Vec<T> a, int bits) { return a.v >> bits; }
template <class T> TINYDL_INLINE typename Vec<T>::Mask operator<(Vec<T> a, Vec<T> b) { return a.v < b.v; }
template <class T> TINYDL_INLINE typename Vec<T>::Mask operator<=(Vec<T> a, Vec<T> b) { return a.v <= b.v; }
template <class T> TINYDL_INLINE typename Vec<T>::Mask operator>(Vec<T> a, Vec<T> b) { return a.v > b.v; }
template <class T> TINYDL_INLINE typename Vec<T>::Mask operator>=(Vec<T> a, Vec<T> b) { return a.v >= b.v; }
template <class T> TINYDL_INLINE typename Vec<T>::Mask operator==(Vec<T> a, Vec<T> b) { return a.v == b.v; }
template <class T> TINYDL_INLINE typename Vec<T>::Mask operator!=(Vec<T> a, Vec<T> b) { return a.v != b.v; }
// clang-format on

// mask ? a : b, lane by lane.
template <class T>
TINYDL_INLINE Vec<T> select(typename Vec<T>::Mask mask, Vec<T> a, Vec<T> b) {
  return Vec<T>(mask.v ? a.v : b.v);
}

// a > b ? a : b: a NaN in b is returned, a NaN in a is not.
template <class T>
TINYDL_INLINE Vec<T> max(Vec<T> a, Vec<T> b) {
  return select(a > b, a, b);
}
template <class T>
TINYDL_INLINE Vec<T> min(Vec<T> a, Vec<T> b) {
  return select(a < b, a, b);
}

// The same bits read as another element type of the same size.
template <class To, class From>
TINYDL_INLINE Vec<To> bits_as(Vec<From> a) {
  static_assert(sizeof(To) == sizeof(From));
  return Vec<To>((typename Vec<To>::Native)a.v);
}

// Each lane converted to another element type of the same size; towards zero for integers.
template <class To, class From>
TINYDL_INLINE Vec<To> convert(Vec<From> a) {
  static_assert(sizeof(To) == sizeof(From));
  return Vec<To>(__builtin_convertvector(a.v, typename Vec<To>::Native));
}

// Lane i of the result is lane index[i] of a, taken modulo the size.
template <class T>
TINYDL_INLINE Vec<T> permute(Vec<T> a, typename Vec<T>::Mask index) {
#if defined(__clang__)
  Vec<T> out;
  for (int i = 0; i < Vec<T>::size; ++i) out.v[i] = a.v[index.v[i] & (Vec<T>::size - 1)];
  return out;
#else
  return Vec<T>(__builtin_shuffle(a.v, index.v));
#endif
}

// All lanes combined pairwise: lane i with lane i + size/2, then i + size/4, and so on.
template <int half, class T, class Combine>
TINYDL_INLINE Vec<T> fold_halves(Vec<T> a, Combine combine) {
  if constexpr (half == 0) {
    return a;
  } else {
    typename Vec<T>::Mask index;
    for (int i = 0; i < Vec<T>::size; ++i) index.v[i] = i ^ half;
    return fold_halves<half / 2>(combine(a, permute(a, index)), combine);
  }
}
template <class T, class Combine>
TINYDL_INLINE T fold_lanes(Vec<T> a, Combine combine) {
  return fold_halves<Vec<T>::size / 2>(a, combine)[0];
}
template <class T>
TINYDL_INLINE T sum_lanes(Vec<T> a) {
  return fold_lanes(a, [](Vec<T> x, Vec<T> y) { return x + y; });
}

}  // namespace tinydl::TINYDL_TIER

// What the vector extensions lack: stream; load and store of a tail, fma(a, b, c) = a*b + c (rounded once where the
// tier has the instruction), sqrt, round_even; and on 64-bit lanes multiply_low32(a, b), the 64-bit products of the
// lower halves, and interleave_even(a, b) = a0 b0 a2 b2 ..., interleave_odd(a, b) = a1 b1 a3 b3 ...
#if defined(TINYDL_TIER_avx512)
#include "cpu/simd/vec_avx512.h"
#elif defined(TINYDL_TIER_avx2)
#include "cpu/simd/vec_avx2.h"
#else
#include "cpu/simd/vec_portable.h"
#endif
