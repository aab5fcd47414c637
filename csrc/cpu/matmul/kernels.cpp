#include "cpu/matmul/matmul.h"

#include "cpu/matmul/matrix.h"
#include "cpu/matmul/product.h"
#include "cpu/matmul/unpacked.h"

namespace tinydl::TINYDL_TIER {

namespace {

// C (m, n) = A (m, k) B (k, n) for one matrix of the batch.
template <class T>
void multiply_one(int64_t m, int64_t n, int64_t k, const T* a, const MatrixBatch<T>& a_form, const T* b,
                  const MatrixBatch<T>& b_form, const Epilogue<T>& epilogue, T* c) {
  const MatrixColumns<T> columns{b, b_form.row_stride, b_form.column_stride, k};
  const PlainRows<T> rows{a, a_form.row_stride, c, n};
  if (a_form.column_stride == 1 && n < 1024)
    multiply(rows, columns, MatrixRuns{k, false}, m, n, epilogue);
  else
    multiply(StagedRows<T>{rows, a_form.column_stride}, columns, MatrixRuns{k, true}, m, n, epilogue);
}

template <class T>
void matmul(int64_t batch, int64_t m, int64_t n, int64_t k, const MatrixBatch<T>& a, const MatrixBatch<T>& b,
            const Epilogue<T>& epilogue, T* c) {
  if (batch == 0 || m == 0 || n == 0) return;
  if (is_unpacked(m, n, k, a)) {
    trace_product(m, n, k, "fused multiply-adds", "too small to be packed or split");
    return unpacked_products(batch, m, n, k, a, b, epilogue, c);
  }
  for (int64_t i = 0; i < batch; ++i) {
    const T* ai = a.data + (a.offsets ? a.offsets[i] : 0);
    const T* bi = b.data + (b.offsets ? b.offsets[i] : 0);
    multiply_one(m, n, k, ai, a, bi, b, epilogue, c + i * m * n);
  }
}

template <class T>
constexpr MatmulKernels<T> kernels = {matmul<T>};

}  // namespace

extern const ByType<MatmulKernels> matmul_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
