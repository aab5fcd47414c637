#include "contract/matmul.h"

#include "cpu/matmul/batch.h"
#include "cpu/matmul/bfloat16.h"
#include "cpu/matmul/matrix.h"
#include "cpu/matmul/product.h"
#include "cpu/matmul/unpacked.h"

namespace tinydl::TINYDL_TIER {

namespace {

constexpr int64_t kStagedColumns = 1024;  // from so many on, copying rows of A pays

// The matrices of a batch as operands of products.
template <class T>
struct Matrices {
  int64_t m, n, k;
  const MatrixBatch<T>&a, &b;
  T* c;

  bool staged() const { return a.column_stride != 1 || n >= kStagedColumns; }
  MatrixRuns runs() const { return {k, staged()}; }
  PlainRows<T> plain_rows(int64_t i) const {
    return {a.data + (a.offsets ? a.offsets[i] : 0), a.row_stride, c + i * m * n, n};
  }
  StagedRows<T> staged_rows(int64_t i) const { return {plain_rows(i), a.column_stride}; }
  MatrixColumns<T> columns(int64_t i) const {
    return {b.data + (b.offsets ? b.offsets[i] : 0), b.row_stride, b.column_stride, k};
  }
};

// Each worker has whole products of the batch.
template <class T>
void share_batch(const Matrices<T>& matrices, int64_t batch, int workers, const Epilogue<T>& epilogue) {
  const int64_t m = matrices.m;
  const Depth depth = matrices.runs().cut(kBlockDepth<T>);
  const GemmPlan<T> plan(m, matrices.n, false, 1);
  const size_t share =
      GemmMemory<T>(plan, depth, matrices.staged() ? matrices.staged_rows(0).scratch_elements() : 0).bytes(plan);
  Scratch scratch(share * static_cast<size_t>(workers));
  char* memory = static_cast<char*>(scratch.data());
  parallel_for_workers(batch, workers, [&](int64_t begin, int64_t end, int worker) {
    char* mine = memory + share * static_cast<size_t>(worker);
    for (int64_t i = begin; i < end; ++i)
      if (matrices.staged())
        gemm(plan, matrices.staged_rows(i), matrices.columns(i), depth, m, epilogue, mine);
      else
        gemm(plan, matrices.plain_rows(i), matrices.columns(i), depth, m, epilogue, mine);
  });
}

// Whether the matrices of a batch are one tall A, whose rows all meet the same B.
template <class T>
bool is_one_product(int64_t batch, int64_t m, const MatrixBatch<T>& a, const MatrixBatch<T>& b) {
  for (int64_t i = 1; i < batch; ++i)
    if (a.offsets[i] - a.offsets[i - 1] != m * a.row_stride || b.offsets[i] != b.offsets[0]) return false;
  return batch > 1;
}
template <class T>
MatrixBatch<T> first_of(const MatrixBatch<T>& batch) {
  return {batch.data + (batch.offsets ? batch.offsets[0] : 0), batch.row_stride, batch.column_stride, nullptr};
}

template <class T>
void matmul(int64_t batch, int64_t m, int64_t n, int64_t k, const MatrixBatch<T>& a, const MatrixBatch<T>& b,
            const Epilogue<T>& epilogue, T* c) {
  if (batch == 0 || m == 0 || n == 0) return;
  if (is_one_product(batch, m, a, b)) return matmul(1, batch * m, n, k, first_of(a), first_of(b), epilogue, c);
  if (is_unpacked(m, n, k, a)) {
    trace_product(m, n, k, "fused multiply-adds", "too small to be packed or split");
    return unpacked_products(batch, m, n, k, a, b, epilogue, c);
  }
  const Matrices<T> matrices{m, n, k, a, b, c};
  const int workers = workers_for(batch * m * n, batch * product_work<T>(m, n, k));
  const char* refused = tiles_refused<T>(m, n, k, a.column_stride == 1);
  if (refused && batch > 1 && (batch % workers == 0 || batch >= 4 * workers)) {
    for (int64_t i = 0; i < batch; ++i) trace_product(m, n, k, "fused multiply-adds", refused);
    return share_batch(matrices, batch, workers, epilogue);
  }
  for (int64_t i = 0; i < batch; ++i)
    if (matrices.staged())
      multiply(matrices.staged_rows(i), matrices.columns(i), matrices.runs(), m, n, epilogue);
    else
      multiply(matrices.plain_rows(i), matrices.columns(i), matrices.runs(), m, n, epilogue);
}

void matmul_bfloat16(int64_t batch, int64_t m, int64_t n, int64_t k, const MatrixBatch<Bfloat16>& a,
                     const MatrixBatch<Bfloat16>& b, const Epilogue<float>& epilogue, Bfloat16* c) {
  if (batch == 0 || m == 0 || n == 0) return;
  if (is_one_product(batch, m, a, b)) return matmul_bfloat16(1, batch * m, n, k, first_of(a), first_of(b), epilogue, c);
  if (const char* refused = bfloat16_tiles_refused(m, n, k)) {
    trace_line(refused);
    return multiply_widened(batch, m, n, k, a, b, epilogue, c, matmul<float>);
  }
  multiply_bfloat16_on_tiles(batch, m, n, k, a, b, epilogue, c);
}

template <class T>
void matmul_batch(const LoopNest& batch, int64_t m, int64_t n, int64_t k, const MatrixOperand<T>& a,
                  const MatrixOperand<T>& b, const Epilogue<T>& epilogue, T* c) {
  const BatchOffsets offsets(batch);
  matmul(offsets.count(), m, n, k, offsets.matrices(a, 0), offsets.matrices(b, 1), epilogue, c);
}
void matmul_bfloat16_batch(const LoopNest& batch, int64_t m, int64_t n, int64_t k, const MatrixOperand<Bfloat16>& a,
                           const MatrixOperand<Bfloat16>& b, const Epilogue<float>& epilogue, Bfloat16* c) {
  const BatchOffsets offsets(batch);
  matmul_bfloat16(offsets.count(), m, n, k, offsets.matrices(a, 0), offsets.matrices(b, 1), epilogue, c);
}

}  // namespace

extern const ByType<MatmulKernels> matmul_table = {{matmul_batch<float>, matmul_bfloat16_batch},
                                                   {matmul_batch<double>, nullptr}};

}  // namespace tinydl::TINYDL_TIER
