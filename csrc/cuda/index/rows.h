// Rows taken from a table and rows added into one, as the index and embedding kernels share them: a thread for each 16
// bytes of the result. Taking moves 2 sizeof(T) bytes an element; adding reads every row of dy and writes every row of
// the result once.
#pragma once
#include "cuda/device/grid.h"
#include "cuda/device/math.h"
#include "cuda/device/pack.h"
#include "cuda/device/split.h"
#include "cuda/index/sort.h"

namespace tinydl::cuda {

namespace {

constexpr int64_t kFewIndices = 64;  // which every thread reads, instead of sorting them

// Whether rows of n elements can be moved in packs.
template <class T>
bool in_packs(int64_t n, const T* x, const T* y) {
  return n % kPack<T> == 0 && is_aligned(x, kPack<T>) && is_aligned(y, kPack<T>);
}

// (outer, rows, columns), row-major, as the result has them, in packs.
struct RowGrid {
  int64_t packs;
  Split columns, rows;

  RowGrid(int64_t outer, int64_t rows, int64_t columns)
      : packs(outer * rows * columns), columns(columns, packs), rows(rows, packs) {}

  struct Place {
    int64_t outer, row, column;
  };
  __device__ __forceinline__ Place locate(int64_t i) const {
    const int64_t r = columns.quotient(i), o = rows.quotient(r);
    return {o, r - o * rows.size(), i - r * columns.size()};
  }
};

// y[o, k, i] = x[o, index[k], i]
template <int width, class T>
__global__ void take_kernel(RowGrid grid, int64_t size, const T* x, const int64_t* index, T* y) {
  for (int64_t i = thread_in_grid(); i < grid.packs; i += threads_in_grid()) {
    const RowGrid::Place at = grid.locate(i);
    const int64_t from = (at.outer * size + index[at.row]) * grid.columns.size() + at.column;
    store_pack(y + i * width, load_pack<width>(x + from * width));
  }
}

template <class T>
void take_rows(int64_t outer, int64_t size, int64_t count, int64_t inner, const T* x, const int64_t* index, T* y) {
  const auto run = [&](auto kernel, int width) {
    const RowGrid grid(outer, count, inner / width);
    launch(kernel, blocks_for(grid.packs), kThreads, grid, size, x, index, y);
  };
  if (in_packs(inner, x, y))
    run(take_kernel<kPack<T>, T>, kPack<T>);
  else
    run(take_kernel<1, T>, 1);
}

// What is added to which row: every index in order, or those that a sort has found.
struct Addends {
  int64_t count;
  const int64_t* index;
  const int64_t *start, *order;  // null: all indices are read
  int64_t padding;               // the row that gets nothing, or -1
  bool by_frequency;             // divide by the number of addends
};

template <int width, class W>
struct RowSum {
  W v[width] = {};

  template <class T>
  __device__ __forceinline__ void add(const Pack<T, width>& pack) {
#pragma unroll
    for (int j = 0; j < width; ++j) v[j] += widen(pack.v[j]);
  }
};

// Adds the rows of dy, at `dy` with the pitch of a row in elements, that go to row j, in order; how many they are.
template <int width, class T>
__device__ __forceinline__ int64_t add_to_row(const Addends& from, int64_t j, const T* dy, int64_t pitch,
                                              RowSum<width, Wide<T>>& sum) {
  if (!from.order) {
    int64_t uses = 0;
    for (int64_t k = 0; k < from.count; ++k) {
      if (from.index[k] != j) continue;
      sum.add(load_pack<width>(dy + k * pitch));
      ++uses;
    }
    return uses;
  }
  const int64_t first = from.start[j], last = from.start[j + 1];
#pragma unroll 4
  for (int64_t p = first; p < last; ++p) sum.add(load_pack<width>(dy + from.order[p] * pitch));
  return last - first;
}

// y[o, j, i] = the sum of dy[o, k, i] over the addends k of j, in order
template <int width, class T>
__global__ void add_kernel(RowGrid grid, Addends from, const T* dy, T* y) {
  using W = Wide<T>;
  for (int64_t i = thread_in_grid(); i < grid.packs; i += threads_in_grid()) {
    const RowGrid::Place at = grid.locate(i);
    const int64_t columns = grid.columns.size();
    RowSum<width, W> sum;
    W scale = 1;
    if (at.row != from.padding) {
      const T* first = dy + (at.outer * from.count * columns + at.column) * width;
      const int64_t uses = add_to_row<width>(from, at.row, first, columns * width, sum);
      if (from.by_frequency && uses > 0) scale = W(1) / static_cast<W>(uses);
    }
    Pack<T, width> out;
#pragma unroll
    for (int j = 0; j < width; ++j) out.v[j] = static_cast<T>(sum.v[j] * scale);
    store_pack(y + i * width, out);
  }
}

template <class T>
void add_rows(int64_t outer, int64_t size, int64_t inner, const Addends& from, const T* dy, T* y) {
  const auto run = [&](auto kernel, int width) {
    const RowGrid grid(outer, size, inner / width);
    launch(kernel, blocks_for(grid.packs), kThreads, grid, from, dy, y);
  };
  if (in_packs(inner, dy, y))
    run(add_kernel<kPack<T>, T>, kPack<T>);
  else
    run(add_kernel<1, T>, 1);
}

// The same with the addends that `index` gives, checked; padding and by_frequency as Addends has them.
template <class T>
void add_rows_at(int64_t outer, int64_t size, int64_t count, int64_t inner, const T* dy, const int64_t* index,
                 int64_t padding, bool by_frequency, T* y) {
  if (outer * size * inner == 0) return;
  Addends from = {count, index, nullptr, nullptr, padding, by_frequency};
  if (count <= kFewIndices) return add_rows(outer, size, inner, from, dy, y);
  const SortedPositions sorted(size, count, index);
  const Scratch start(static_cast<size_t>(size + 1) * sizeof(int64_t));
  sorted.find_starts(static_cast<int64_t*>(start.data()));
  from.start = static_cast<const int64_t*>(start.data());
  from.order = sorted.order();
  add_rows(outer, size, inner, from, dy, y);
}

}  // namespace

}  // namespace tinydl::cuda
