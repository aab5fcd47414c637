// Numbers of 16 bits: stored as such, computed with as float32. Conversions round to the nearest, ties to even.
#pragma once
#include <cstdint>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define TINYDL_ANYWHERE __host__ __device__ __forceinline__  // callable on both sides of a launch
#else
#define TINYDL_ANYWHERE inline __attribute__((always_inline))
#endif

namespace tinydl {

TINYDL_ANYWHERE float float_of_bits(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}
TINYDL_ANYWHERE uint32_t bits_of_float(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}

// The upper half of a float32: 8 bits of exponent, 7 of fraction.
struct Bfloat16 {
  uint16_t bits;

  Bfloat16() = default;
  TINYDL_ANYWHERE explicit Bfloat16(float x) : bits(narrow(x)) {}
  TINYDL_ANYWHERE explicit operator float() const { return float_of_bits(uint32_t(bits) << 16); }

 private:
  TINYDL_ANYWHERE static uint16_t narrow(float x) {
#ifdef __CUDA_ARCH__
    return __bfloat16_as_ushort(__float2bfloat16_rn(x));
#else
    const uint32_t wide = bits_of_float(x);
    if (x != x) return static_cast<uint16_t>(wide >> 16 | 0x40);  // rounding could carry a NaN into infinity
    return static_cast<uint16_t>((wide + 0x7fff + (wide >> 16 & 1)) >> 16);
#endif
  }
};

// IEEE 754 binary16: 5 bits of exponent, 10 of fraction.
struct Float16 {
  uint16_t bits;

  Float16() = default;
  TINYDL_ANYWHERE explicit Float16(float x) : bits(narrow(x)) {}
  TINYDL_ANYWHERE explicit operator float() const { return widen(bits); }

 private:
#ifdef __CUDA_ARCH__
  TINYDL_ANYWHERE static uint16_t narrow(float x) { return __half_as_ushort(__float2half_rn(x)); }
  TINYDL_ANYWHERE static float widen(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
#else
  TINYDL_ANYWHERE static uint16_t narrow(float x) {
    const uint32_t wide = bits_of_float(x), magnitude = wide & 0x7fffffff;
    const uint32_t sign = wide >> 16 & 0x8000;
    if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00);   // NaN
    if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);  // rounds to infinity
    // Below 2^-14 the fraction counts steps of 2^-24: adding 1/2 shifts it to the float's lowest bits, rounded.
    if (magnitude < 0x38800000)
      return static_cast<uint16_t>(sign | (bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000));
    const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return static_cast<uint16_t>(sign | ((rounded - 0x38000000) >> 13));
  }
  TINYDL_ANYWHERE static float widen(uint16_t bits) {
    const uint32_t sign = uint32_t(bits & 0x8000) << 16, magnitude = bits & 0x7fff;
    if (magnitude >= 0x7c00) return float_of_bits(sign | 0x7f800000 | magnitude << 13);
    if (magnitude >= 0x400) return float_of_bits(sign | ((magnitude << 13) + 0x38000000));
    return float_of_bits(sign | bits_of_float(static_cast<float>(magnitude) * 0x1p-24f));
  }
#endif
};

template <class T>
struct WideOf {
  using type = T;
};
template <>
struct WideOf<Bfloat16> {
  using type = float;
};
template <>
struct WideOf<Float16> {
  using type = float;
};
// The type in which elements of type T are computed.
template <class T>
using Wide = typename WideOf<T>::type;

}  // namespace tinydl
