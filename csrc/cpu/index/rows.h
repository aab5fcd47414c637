// Rows taken from a table and rows added into one, as the index and embedding kernels share them.
#pragma once
#include "cpu/runtime/allocator.h"
#include "cpu/runtime/parallel.h"
#include "cpu/simd/integers.h"
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kCopyElements = 8192;  // a block's share of a copy
constexpr int64_t kAddColumns = 128;     // a block's share of a row that is added to

// y[k] = x[index[k]] for k < count, rows of n elements.
template <class T>
void take_rows(int64_t count, int64_t n, const T* x, const int64_t* index, T* y) {
  if (n == 1)
    for (int64_t k = 0; k < count; ++k) y[k] = x[index[k]];
  else
    for (int64_t k = 0; k < count; ++k)
      __builtin_memcpy(y + k * n, x + index[k] * n, static_cast<size_t>(n) * sizeof(T));
}

// The positions of every index, in order: those of index j are order[start[j]] to order[start[j + 1]].
class Positions {
 public:
  Positions(int64_t size, int64_t count, const int64_t* index)
      : memory_(static_cast<size_t>(size + 2 + count) * sizeof(int64_t)),
        start_(static_cast<int64_t*>(memory_.data()) + 1),
        order_(start_ + size + 1) {
    // A counting sort. While the positions are filled in, start_[j] counts up from j's start to its end, which is
    // j + 1's start; the table is then read one place further left.
    int64_t* next = start_;
    for (int64_t j = 0; j <= size; ++j) next[j] = 0;
    for (int64_t k = 0; k < count; ++k) ++next[index[k]];
    int64_t before = 0;
    for (int64_t j = 0; j <= size; ++j) {
      const int64_t n = next[j];
      next[j] = before;
      before += n;
    }
    for (int64_t k = 0; k < count; ++k) order_[next[index[k]]++] = k;
    --start_;
    *start_ = 0;
  }

  const int64_t* start() const { return start_; }
  const int64_t* order() const { return order_; }

 private:
  Scratch memory_;
  int64_t* start_;
  int64_t* order_;
};

// y[0..n) = sum of x[order[k] * pitch + 0..n) for from <= k < to, times scale.
template <class T>
void sum_rows_at(const T* x, int64_t pitch, const int64_t* order, int64_t from, int64_t to, int64_t n, T scale, T* y) {
  using V = Vec<T>;
  for (int64_t i = 0; i < n; i += V::size) {
    const int lanes = static_cast<int>(smaller(V::size, n - i));
    V total(T(0));
    for (int64_t k = from; k < to; ++k) total = total + V::load(x + order[k] * pitch + i, lanes);
    (total * V(scale)).store(y + i, lanes);
  }
}

// y[o, j, i] = scale(j) * sum over the positions k of j of x[o, k, i]. Every block owns some columns of some rows;
// columns come first, so that one index that fills half of the batch does not leave one thread with half of the work.
template <class T, class Scale>
void add_rows(int64_t outer, int64_t size, int64_t count, int64_t n, const T* x, const int64_t* index,
              const Scale& scale, T* y) {
  if (size == 0 || n == 0) return;
  const Positions positions(size, count, index);
  const int64_t *start = positions.start(), *order = positions.order();
  const int64_t columns = smaller(n, kAddColumns), chunks = div_up(n, columns);
  const int64_t rows = larger(1, kCopyElements / columns), groups = div_up(outer * size, rows);
  parallel_for(chunks * groups, outer * (size + count) * n, [=](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t at = b / groups * columns, width = smaller(columns, n - at);
      const int64_t last = smaller((b % groups + 1) * rows, outer * size);
      for (int64_t r = b % groups * rows; r < last; ++r) {
        const int64_t o = r / size, j = r % size;
        sum_rows_at(x + o * count * n + at, n, order, start[j], start[j + 1], width, scale(j, start), y + r * n + at);
      }
    }
  });
}

}  // namespace tinydl::TINYDL_TIER
