// Tails: vectors over channels, other values than zero behind the last lane; and the largest lane.
#pragma once
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

alignas(64) constexpr int32_t kAllOnes32[16] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
alignas(64) constexpr int64_t kAllOnes64[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
TINYDL_INLINE const int32_t* all_ones(int32_t) { return kAllOnes32; }
TINYDL_INLINE const int64_t* all_ones(int64_t) { return kAllOnes64; }

// A mask of the first n lanes.
template <class T>
TINYDL_INLINE typename Vec<T>::Mask first_lanes(int n) {
  return Vec<T>::Mask::load(all_ones(typename VecTypes<T>::Int()), n);
}

// The first n elements, 0 < n <= size; a plain load where the compiler knows that n is the size.
template <class T>
TINYDL_INLINE Vec<T> load_first(const T* p, int n) {
  return n == Vec<T>::size ? Vec<T>::load(p) : Vec<T>::load(p, n);
}
template <class T>
TINYDL_INLINE void store_first(Vec<T> v, T* p, int n) {
  n == Vec<T>::size ? v.store(p) : v.store(p, n);
}

// The first n elements; the other lanes are `rest`.
template <class T>
TINYDL_INLINE Vec<T> load_or(const T* p, int n, T rest) {
  if (n == Vec<T>::size) return Vec<T>::load(p);
  return select(first_lanes<T>(n), Vec<T>::load(p, n), Vec<T>(rest));
}

template <class T>
TINYDL_INLINE T max_lanes(Vec<T> a) {
  return fold_lanes(a, [](Vec<T> x, Vec<T> y) { return max(x, y); });
}

// Calls body(c, lanes) for the vectors of channels.
template <class T, class Body>
TINYDL_INLINE void for_channels(int64_t channels, const Body& body) {
  constexpr int size = Vec<T>::size;
  int64_t c = 0;
  for (; c + size <= channels; c += size) body(c, size);
  if (c < channels) body(c, static_cast<int>(channels - c));
}

}  // namespace tinydl::TINYDL_TIER
