// Packs at the ends of arrays: up to a pack of elements, of which `left` exist, as one access where they lie so.
#pragma once
#include "cuda/device/math.h"
#include "cuda/device/pack.h"

namespace tinydl::cuda {

template <class T>
__device__ __forceinline__ bool is_whole(const T* p, int64_t left) {
  return left >= kPack<T> && reinterpret_cast<uintptr_t>(p) % kAccessBytes == 0;
}

// Zeros where nothing is left.
template <class T>
__device__ __forceinline__ void load_wide(const T* from, int64_t left, Wide<T> (&to)[kPack<T>]) {
  Pack<T, kPack<T>> pack;
  const bool whole = is_whole(from, left);
  if (whole) pack = load_pack<kPack<T>>(from);
#pragma unroll
  for (int j = 0; j < kPack<T>; ++j) {
    if (!whole && j < left) pack.v[j] = from[j];
    to[j] = whole || j < left ? widen(pack.v[j]) : Wide<T>(0);
  }
}

template <class T>
__device__ __forceinline__ void store_wide(T* to, int64_t left, const Wide<T> (&from)[kPack<T>]) {
  Pack<T, kPack<T>> pack;
#pragma unroll
  for (int j = 0; j < kPack<T>; ++j) pack.v[j] = static_cast<T>(from[j]);
  if (is_whole(to, left)) return store_pack(to, pack);
#pragma unroll
  for (int j = 0; j < kPack<T>; ++j)
    if (j < left) to[j] = pack.v[j];
}

}  // namespace tinydl::cuda
