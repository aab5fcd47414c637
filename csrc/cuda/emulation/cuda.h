// CUDA's language for an ordinary C++ compiler: just what the project's kernels use. See execution.h for how they run.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda/emulation/execution.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

#define threadIdx (::tinydl::emulation::this_thread().index)
#define blockIdx (::tinydl::emulation::this_block().index)
#define blockDim (::tinydl::emulation::this_block().threads)
#define gridDim (::tinydl::emulation::this_block().grid)
constexpr int warpSize = 32;

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  tinydl::emulation::meet_block({file, line});
}
inline void __syncwarp(unsigned mask = 0xffffffffu) { tinydl::emulation::exchange(mask, nullptr, 0); }
inline void __threadfence() {}
inline void __threadfence_system() {}

// -- Warp shuffles and votes: every lane lays out its value, and reads that of another.

template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = warpSize) {
  const int lane = tinydl::emulation::this_thread().lane;
  const auto* values = tinydl::emulation::exchange(mask, &value, sizeof value);
  return values->template read<T>((lane & ~(width - 1)) | (from & (width - 1)));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = warpSize) {
  const int lane = tinydl::emulation::this_thread().lane, from = lane ^ bits;
  const auto* values = tinydl::emulation::exchange(mask, &value, sizeof value);
  return values->template read<T>((from & ~(width - 1)) > lane ? lane : from);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize) {
  const int lane = tinydl::emulation::this_thread().lane, from = lane + static_cast<int>(delta);
  const auto* values = tinydl::emulation::exchange(mask, &value, sizeof value);
  return values->template read<T>(from > (lane | (width - 1)) ? lane : from);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize) {
  const int lane = tinydl::emulation::this_thread().lane, from = lane - static_cast<int>(delta);
  const auto* values = tinydl::emulation::exchange(mask, &value, sizeof value);
  return values->template read<T>(from < (lane & ~(width - 1)) ? lane : from);
}

// The lanes whose value has the bits of this lane's.
template <class T>
unsigned __match_any_sync(unsigned mask, T value) {
  const auto* values = tinydl::emulation::exchange(mask, &value, sizeof value);
  unsigned same = 0;
  for (int lane = 0; lane < warpSize; ++lane)
    if (mask >> lane & 1 && values->template read<T>(lane) == value) same |= 1u << lane;
  return same;
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const auto* values = tinydl::emulation::exchange(mask, &predicate, sizeof predicate);
  unsigned votes = 0;
  for (int lane = 0; lane < warpSize; ++lane)
    if (mask >> lane & 1 && values->read<int>(lane)) votes |= 1u << lane;
  return votes;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == mask; }

// -- Atomics: one thread runs at a time. Each returns the value before.

template <class T>
T atomicAdd(T* to, std::common_type_t<T> value) {
  const T before = *to;
  *to = before + value;
  return before;
}
template <class T>
T atomicMax(T* to, std::common_type_t<T> value) {
  const T before = *to;
  if (value > before) *to = value;
  return before;
}
template <class T>
T atomicExch(T* to, std::common_type_t<T> value) {
  const T before = *to;
  *to = value;
  return before;
}
template <class T>
T atomicCAS(T* to, std::common_type_t<T> expected, std::common_type_t<T> value) {
  const T before = *to;
  if (before == expected) *to = value;
  return before;
}
template <class T>
T atomicExch_system(T* to, std::common_type_t<T> value) {
  return atomicExch(to, value);
}
template <class T>
T atomicCAS_system(T* to, std::common_type_t<T> expected, std::common_type_t<T> value) {
  return atomicCAS(to, expected, value);
}

// -- Intrinsics

inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32); }
// Products and sums that are never fused.
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
