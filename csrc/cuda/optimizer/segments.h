// The walk over a table of segments, all of them in one launch: the table is a parameter of the kernel, so that nothing
// is copied beforehand and a CUDA graph keeps it. A thread takes 16 bytes of a segment.
#pragma once
#include "contract/optimizer.h"
#include "cuda/device/edge.h"
#include "cuda/device/grid.h"
#include "cuda/runtime/launch.h"

namespace tinydl::cuda {

namespace {

// What a launch's parameters hold: 4 KB, and 32 KB since CUDA 12.1; larger tables take several launches.
constexpr int kFewSegments = 64, kManySegments = 512;

template <class T, int size>
struct SegmentTable {
  int count = 0;
  Segment<T> at[size];

  int64_t begin() const { return at[0].begin; }
  int64_t end() const { return at[count - 1].begin + at[count - 1].count; }

  // Calls f(segment, i, left) for the pack at an element of the line, where a segment has it: its elements from i on,
  // of which `left` are left.
  template <class F>
  __device__ __forceinline__ void visit(int64_t element, const F& f) const {
    int low = 0, high = count;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      if (at[middle].begin <= element)
        low = middle;
      else
        high = middle;
    }
    const int64_t i = element - at[low].begin, left = at[low].count - i;
    if (left > 0) f(at[low], i, left);
  }
};

// Calls f(table) for tables that together hold all segments.
template <class T, class F>
void for_each_table(const Segment<T>* segments, int64_t count, const F& f) {
  const auto fill = [&](auto& table, int64_t first, int64_t n) {
    table.count = static_cast<int>(n);
    for (int k = 0; k < table.count; ++k) table.at[k] = segments[first + k];
    f(table);
  };
  for (int64_t first = 0; first < count; first += kManySegments) {
    const int64_t n = std::min<int64_t>(count - first, kManySegments);
    if (n <= kFewSegments) {
      SegmentTable<T, kFewSegments> table;
      fill(table, first, n);
    } else {
      SegmentTable<T, kManySegments> table;
      fill(table, first, n);
    }
  }
}

inline dim3 blocks_of(int64_t elements, int64_t each) { return grid_of((elements + each - 1) / each); }

}  // namespace

}  // namespace tinydl::cuda
