// The walk over a table of segments, in fixed blocks of the line on which they lie.
#pragma once
#include "contract/optimizer.h"
#include "cpu/runtime/parallel.h"
#include "cpu/simd/integers.h"
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

namespace {

constexpr int64_t kBlock = 8192;
static_assert(kBlock % kSegmentAlignment == 0);

// The last segment that begins at or before `element`.
template <class T>
int64_t segment_at(const Segment<T>* segments, int64_t count, int64_t element) {
  int64_t low = 0, high = count;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (segments[middle].begin <= element ? low : high) = middle;
  }
  return low;
}

template <class T>
int64_t elements_of(const Segment<T>* segments, int64_t count) {
  return count == 0 ? 0 : segments[count - 1].begin + segments[count - 1].count;
}

// Calls run(segment, i, end) for the part of every segment that lies in the elements [from, to) of the line.
template <class T, class Run>
void for_each_run(const Segment<T>* segments, int64_t count, int64_t from, int64_t to, const Run& run) {
  for (int64_t s = segment_at(segments, count, from); s < count && segments[s].begin < to; ++s) {
    const Segment<T> segment = segments[s];
    run(segment, larger(from - segment.begin, 0), smaller(to - segment.begin, segment.count));
  }
}

// How a vector moves between memory and registers: whole, or its first n elements.
template <class T>
struct Whole {
  TINYDL_INLINE Vec<T> load(const T* p) const { return Vec<T>::load(p); }
  TINYDL_INLINE void store(T* p, Vec<T> v) const { v.store(p); }
};
template <class T>
struct First {
  int n;
  TINYDL_INLINE Vec<T> load(const T* p) const { return Vec<T>::load(p, n); }
  TINYDL_INLINE void store(T* p, Vec<T> v) const { v.store(p, n); }
};

// Calls update(segment, i, access) for every vector of every segment.
template <class T, class Update>
void for_each_vector(const Segment<T>* segments, int64_t count, const Update& update) {
  constexpr int size = Vec<T>::size;
  const int64_t total = elements_of(segments, count);
  if (total == 0) return;
  parallel_for((total + kBlock - 1) / kBlock, total, [&](int64_t begin, int64_t end, int) {
    const FlushDenormals flush;
    for_each_run(segments, count, begin * kBlock, smaller(end * kBlock, total),
                 [&](const Segment<T>& segment, int64_t i, int64_t last) {
                   for (; i + size <= last; i += size) update(segment, i, Whole<T>{});
                   if (i < last) update(segment, i, First<T>{static_cast<int>(last - i)});
                 });
  });
}

}  // namespace

}  // namespace tinydl::TINYDL_TIER
