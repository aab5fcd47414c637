// What one access to memory moves: up to 16 bytes of neighbouring elements.
#pragma once
#include <cstdint>

#include "core/half.h"
#include "cuda/runtime/device.h"

namespace tinydl::cuda {

constexpr int kAccessBytes = 16;
template <class T>
constexpr int kPack = kAccessBytes / static_cast<int>(sizeof(T));

template <class T, int n>
struct alignas(sizeof(T) * n) Pack {
  T v[n];
};

template <int n, class T>
__device__ __forceinline__ Pack<T, n> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<T, n>*>(from);
}
template <int n, class T>
__device__ __forceinline__ void store_pack(T* to, const Pack<T, n>& pack) {
  *reinterpret_cast<Pack<T, n>*>(to) = pack;
}

// Whether packs of n elements can be read from there.
template <class T>
bool is_aligned(const T* p, int n) {
  return reinterpret_cast<uintptr_t>(p) % (sizeof(T) * static_cast<size_t>(n)) == 0;
}

}  // namespace tinydl::cuda
