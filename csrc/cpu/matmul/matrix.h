// Matrices as the operands of a product: where the loops find the rows of A and the columns of B.
#pragma once
#include "cpu/matmul/gemm.h"

namespace tinydl::TINYDL_TIER {

// B as the packing sees it: every row of B at the same distance from the next.
template <class T>
struct MatrixColumns {
  const T* data;
  int64_t k_stride, n_stride, depth;
  int64_t at(int64_t k, const T** from) const {
    *from = data + k * k_stride;
    return depth - k;
  }
  // One panel whose rows follow each other, on the vectors' boundary.
  bool is_packed(int64_t n) const {
    return n_stride == 1 && k_stride == n && n <= kPanel<T> && n % Vec<T>::size == 0 &&
           reinterpret_cast<uintptr_t>(data) % sizeof(Vec<T>) == 0;
  }
  const T* packed_data() const { return data; }
};

// Rows of A read where they lie: k is contiguous.
template <class T>
struct PlainRows {
  const T* a;
  int64_t a_stride;
  T* c;
  int64_t c_stride;

  void locate(int64_t first, int64_t count, const T** a_rows, T** c_rows) const {
    for (int64_t i = 0; i < count; ++i) {
      a_rows[i] = a + (first + i) * a_stride;
      c_rows[i] = c + (first + i) * c_stride;
    }
  }
  void stage(int64_t, int64_t, const DepthBlock&, T*, const T**) const {}
  int64_t step() const { return 1; }
  int64_t scratch_elements() const { return 0; }
  bool k_is_contiguous() const { return true; }
};

// Rows of A copied block by block to scratch memory as [row][k], for any strides: a tile's rows then lie side by side,
// where rows of a wide matrix would compete for the same lines of the first-level cache.
template <class T>
struct StagedRows {
  PlainRows<T> plain;
  int64_t k_stride;

  void locate(int64_t first, int64_t count, const T** a_rows, T** c_rows) const {
    plain.locate(first, count, a_rows, c_rows);
  }
  void stage(int64_t first, int64_t count, const DepthBlock& block, T* scratch, const T** a_rows) const {
    const T* from = plain.a + first * plain.a_stride + block.first_k * k_stride;
    pack_rows(from, plain.a_stride, k_stride, count, block.length, kBlockDepth<T>, scratch);
    for (int64_t i = 0; i < count; ++i) a_rows[i] = scratch + i * kBlockDepth<T>;
  }
  int64_t step() const { return 1; }
  int64_t scratch_elements() const { return kBlockRows * kBlockDepth<T>; }
  bool k_is_contiguous() const { return k_stride == 1; }
};

// k in one piece. Staged rows are copied block by block, so that each block's k start at the same place.
struct MatrixRuns {
  int64_t k;
  bool staged;

  int64_t total() const { return k; }
  Depth cut(int64_t limit) const {
    Depth depth(div_up(k, limit) + 1, div_up(k, limit) + 1);
    for (int64_t at = 0; at < k; at += limit) depth.add(staged ? 0 : at, 1, smaller(limit, k - at), limit);
    depth.finish();
    return depth;
  }
};

}  // namespace tinydl::TINYDL_TIER
