// Additions at places that indices give, in order along the axis and without atomics: either a thread owns a line of y
// along the axis and adds to it in turn, or, where lines are few and long, or sums have to be wider than y, the places
// are sorted, and a thread owns a place. The first moves x, the indices and two times what it adds to; the second
// sorts besides.
#pragma once
#include "cuda/device/math.h"
#include "cuda/device/report.h"
#include "cuda/device/split.h"
#include "cuda/device/walk.h"
#include "cuda/index/sort.h"

namespace tinydl::cuda {

namespace {

constexpr int64_t kShortLine = 64, kManyLines = 4096;

// The axis of y, index and x that the nest leaves out.
struct ScatterAxis {
  int64_t count, y_stride, index_stride, x_stride;
};

// y[line but index[line, k]] += x[line, k] for all k, by one thread for each line
template <class T>
__global__ void add_along_lines(Walk<3> lines, ScatterAxis axis, Report* report, Checked checked, T* y,
                                const int64_t* index, const T* __restrict__ x) {
  for (int64_t l = thread_in_grid(); l < lines.count; l += threads_in_grid()) {
    int64_t at[3];
    lines.locate(l, at);
    for (int64_t k = 0; k < axis.count; ++k) {
      const int64_t place = at[1] + k * axis.index_stride;
      T* to = y + at[0] + checked_index(report, checked, index[place], place) * axis.y_stride;
      *to = static_cast<T>(widen(*to) + widen(x[at[2] + k * axis.x_stride]));
    }
  }
}

// keys[l, k] = the place of y, counted as (line, index), to which x[l, k] goes
__global__ void key_places(Walk<3> lines, Split by_count, ScatterAxis axis, Report* report, Checked checked,
                           const int64_t* index, int64_t* keys) {
  const int64_t n = lines.count * axis.count;
  for (int64_t i = thread_in_grid(); i < n; i += threads_in_grid()) {
    const int64_t l = by_count.quotient(i), k = i - l * axis.count;
    int64_t at[3];
    lines.locate(l, at);
    const int64_t place = at[1] + k * axis.index_stride;
    keys[i] = l * checked.size + checked_index(report, checked, index[place], place);
  }
}

// Adds all that goes to one place, by the thread of the first such p.
template <class T>
__global__ void add_sorted(Walk<3> lines, ScatterAxis axis, int64_t size, const int64_t* keys, const int64_t* order,
                           const T* x, T* y) {
  const int64_t n = lines.count * axis.count;
  for (int64_t p = thread_in_grid(); p < n; p += threads_in_grid()) {
    const int64_t key = keys[order[p]];
    if (p > 0 && keys[order[p - 1]] == key) continue;
    const int64_t l = key / size;
    int64_t at[3];
    lines.locate(l, at);
    T* to = y + at[0] + (key - l * size) * axis.y_stride;
    Wide<T> sum = widen(*to);
    for (int64_t q = p; q < n && keys[order[q]] == key; ++q)
      sum += widen(x[at[2] + (order[q] - l * axis.count) * axis.x_stride]);
    *to = static_cast<T>(sum);
  }
}

template <class T>
void scatter_add_at(const LoopNest& nest, const Checked& checked, const ScatterAxis& axis, T* y, const int64_t* index,
                    const T* x) {
  const Walk<3> lines(nest, 1);
  if (lines.count == 0 || axis.count == 0) return;
  const bool short_enough = axis.count <= kShortLine || lines.count >= kManyLines;
  if (axis.count == 1 || (sizeof(T) > 2 && short_enough))
    return launch(add_along_lines<T>, blocks_for(lines.count), kThreads, lines, axis, report(), checked, y, index, x);
  const int64_t n = lines.count * axis.count;
  const Scratch memory(static_cast<size_t>(n) * sizeof(int64_t));
  auto* keys = static_cast<int64_t*>(memory.data());
  const dim3 blocks = blocks_for(n);
  launch(key_places, blocks, kThreads, lines, Split(axis.count, n), axis, report(), checked, index, keys);
  const SortedPositions sorted(lines.count * checked.size, n, keys);
  launch(add_sorted<T>, blocks, kThreads, lines, axis, checked.size, keys, sorted.order(), x, y);
}

}  // namespace

}  // namespace tinydl::cuda
