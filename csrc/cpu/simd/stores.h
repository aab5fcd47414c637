// Stores past the caches, for results that no cache would keep until they are read: their lines need not be fetched
// first. stream_fence() follows the last one, within the body that parallel_for runs.
#pragma once
#include "cpu/simd/lanes.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kPastCaches = int64_t{48} << 20;  // bytes

// Whether to store the elements of y that way, in vectors from its start.
template <class T>
bool is_written_past(int64_t elements, const T* y) {
  return elements * static_cast<int64_t>(sizeof(T)) >= kPastCaches &&
         reinterpret_cast<uintptr_t>(y) % sizeof(Vec<T>) == 0;
}

// The same for rows of n elements, in vectors from the start of each.
template <class T>
bool are_written_past(int64_t rows, int64_t n, const T* y) {
  return n % Vec<T>::size == 0 && is_written_past(rows * n, y);
}

// The first `lanes` elements, which are all of them where `past` says that p is aligned and written past the caches.
template <class T>
TINYDL_INLINE void store_first(Vec<T> v, T* p, int lanes, bool past) {
  past ? v.stream(p) : store_first(v, p, lanes);
}

}  // namespace tinydl::TINYDL_TIER
