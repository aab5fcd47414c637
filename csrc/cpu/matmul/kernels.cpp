#include "cpu/matmul/matmul.h"

#include "cpu/matmul/gemm.h"

namespace tinydl::TINYDL_TIER {

namespace {

// B as the packing sees it: every row of B at the same distance from the next.
template <class T>
struct MatrixColumns {
  const T* data;
  int64_t k_stride, n_stride, depth;
  int64_t at(int64_t k, const T** from) const {
    *from = data + k * k_stride;
    return depth - k;
  }
};

// Rows of A read where they lie: k is contiguous, and too few panels follow for a copy to pay.
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
};

// Rows of A copied block by block to scratch memory as [k][row], for any strides.
template <class T>
struct StagedRows {
  PlainRows<T> plain;
  int64_t k_stride;

  void locate(int64_t first, int64_t count, const T** a_rows, T** c_rows) const {
    plain.locate(first, count, a_rows, c_rows);
  }
  void stage(int64_t first, int64_t count, const DepthBlock& block, T* scratch, const T** a_rows) const {
    const T* from = plain.a + first * plain.a_stride + block.first_k * k_stride;
    pack_columns(from, k_stride, plain.a_stride, block.length, count, kBlockRows, scratch);
    for (int64_t i = 0; i < count; ++i) a_rows[i] = scratch + i;
  }
  int64_t step() const { return kBlockRows; }
  int64_t scratch_elements() const { return kBlockRows * kBlockDepth<T>; }
};

// C (m, n) = A (m, k) B (k, n) for one matrix of the batch.
template <class T>
void multiply_one(int64_t m, int64_t n, int64_t k, const T* a, const MatrixBatch<T>& a_form, const T* b,
                  const MatrixBatch<T>& b_form, const Epilogue<T>& epilogue, T* packed, T* c) {
  const bool staged = a_form.column_stride != 1;
  Depth depth(div_up(k, kBlockDepth<T>) + 1, div_up(k, kBlockDepth<T>) + 1);
  for (int64_t at = 0; at < k; at += kBlockDepth<T>)
    depth.add(staged ? 0 : at, 1, smaller(kBlockDepth<T>, k - at), kBlockDepth<T>);
  depth.finish();
  pack_b(MatrixColumns<T>{b, b_form.row_stride, b_form.column_stride, k}, depth, n, packed);
  const PlainRows<T> rows{a, a_form.row_stride, c, n};
  if (staged)
    gemm(StagedRows<T>{rows, a_form.column_stride}, depth, packed, m, n, epilogue);
  else
    gemm(rows, depth, packed, m, n, epilogue);
}

template <class T>
void matmul(int64_t batch, int64_t m, int64_t n, int64_t k, const MatrixBatch<T>& a, const MatrixBatch<T>& b,
            const Epilogue<T>& epilogue, T* c) {
  if (batch == 0 || m == 0 || n == 0) return;
  Scratch packed(static_cast<size_t>(padded_columns<T>(n) * k) * sizeof(T));
  for (int64_t i = 0; i < batch; ++i) {
    const T* ai = a.data + (a.offsets ? a.offsets[i] : 0);
    const T* bi = b.data + (b.offsets ? b.offsets[i] : 0);
    multiply_one(m, n, k, ai, a, bi, b, epilogue, static_cast<T*>(packed.data()), c + i * m * n);
  }
}

template <class T>
constexpr MatmulKernels<T> kernels = {matmul<T>};

}  // namespace

extern const ByType<MatmulKernels> matmul_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
