// Products of bfloat16 matrices, summed in float32 and rounded once: on the matrix tiles, else widened to float32.
#pragma once
#include "cpu/matmul/batch.h"
#include "cpu/runtime/allocator.h"
#include "cpu/runtime/parallel.h"
#include "cpu/runtime/trace.h"
#include "cpu/simd/integers.h"
#if defined(TINYDL_TIER_amx)
#include "cpu/matmul/bfloat16_operands.h"
#endif

namespace tinydl::TINYDL_TIER {

// Matrices as dense float32, by columns where they lay so.
struct Widened {
  int64_t rows, columns;
  bool by_columns;

  Widened(const MatrixBatch<Bfloat16>& from, int64_t rows, int64_t columns)
      : rows(rows), columns(columns), by_columns(from.column_stride != 1 && from.row_stride == 1) {}

  MatrixBatch<float> at(const float* data, const int64_t* offsets) const {
    return {data, by_columns ? 1 : columns, by_columns ? rows : 1, offsets};
  }
  void copy(const MatrixBatch<Bfloat16>& from, int64_t i, float* to) const {
    const Bfloat16* data = from.data + (from.offsets ? from.offsets[i] : 0);
    const int64_t outer = by_columns ? columns : rows, inner = by_columns ? rows : columns;
    const int64_t stride = by_columns ? from.column_stride : from.row_stride;
    const int64_t step = by_columns ? from.row_stride : from.column_stride;
    for (int64_t r = 0; r < outer; ++r, data += stride, to += inner) {
      if (step == 1)
        for (int64_t j = 0; j < inner; ++j) to[j] = static_cast<float>(data[j]);
      else
        for (int64_t j = 0; j < inner; ++j) to[j] = static_cast<float>(data[j * step]);
    }
  }
};

// Whether all matrices of a batch are the same.
inline bool is_one(const MatrixBatch<Bfloat16>& matrices, int64_t batch) {
  for (int64_t i = 1; i < batch; ++i)
    if (matrices.offsets[i] != matrices.offsets[0]) return false;
  return true;
}

// The product by way of float32, `multiply` being that of float32 batches.
template <class Multiply>
void multiply_widened(int64_t batch, int64_t m, int64_t n, int64_t k, const MatrixBatch<Bfloat16>& a,
                      const MatrixBatch<Bfloat16>& b, const Epilogue<float>& epilogue, Bfloat16* c,
                      const Multiply& multiply) {
  const Widened wide_a(a, m, k), wide_b(b, k, n);
  const int64_t copies_of_a = is_one(a, batch) ? 1 : batch, copies_of_b = is_one(b, batch) ? 1 : batch;
  Scratch values(static_cast<size_t>(copies_of_a * m * k + copies_of_b * k * n + batch * m * n) * sizeof(float));
  Scratch offsets(static_cast<size_t>(2 * batch) * sizeof(int64_t));
  float *to_a = static_cast<float*>(values.data()), *to_b = to_a + copies_of_a * m * k,
        *to_c = to_b + copies_of_b * k * n;
  int64_t *a_offsets = static_cast<int64_t*>(offsets.data()), *b_offsets = a_offsets + batch;
  parallel_for(batch, batch * (m * k + k * n), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      a_offsets[i] = i % copies_of_a * m * k;
      b_offsets[i] = i % copies_of_b * k * n;
      if (i < copies_of_a) wide_a.copy(a, i, to_a + a_offsets[i]);
      if (i < copies_of_b) wide_b.copy(b, i, to_b + b_offsets[i]);
    }
  });
  multiply(batch, m, n, k, wide_a.at(to_a, a_offsets), wide_b.at(to_b, b_offsets), epilogue, to_c);
  parallel_for(batch * m, batch * m * n, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * n; i < end * n; ++i) c[i] = static_cast<Bfloat16>(to_c[i]);
  });
}

#if defined(TINYDL_TIER_amx)
// Why bfloat16 operands are widened, or null.
inline const char* bfloat16_tiles_refused(int64_t m, int64_t n, int64_t k) {
  constexpr int64_t kEdge = 16, kWork = 32 * 32 * 32;
  if (smaller(n, k) < kEdge || m * n * k < kWork) return "bfloat16 widened to float32: too small to fill matrix tiles";
  return nullptr;
}

inline void multiply_bfloat16_on_tiles(int64_t batch, int64_t m, int64_t n, int64_t k, const MatrixBatch<Bfloat16>& a,
                                       const MatrixBatch<Bfloat16>& b, const Epilogue<float>& epilogue, Bfloat16* c) {
  const TilePlan<1> plan(m, n, k);
  const Depth depth = MatrixRuns{k, true}.cut(plan.depth);
  for (int64_t i = 0; i < batch; ++i) {
    const Bfloat16Lines rows{a.data + (a.offsets ? a.offsets[i] : 0), a.row_stride, a.column_stride};
    const Bfloat16Lines columns{b.data + (b.offsets ? b.offsets[i] : 0), b.column_stride, b.row_stride};
    tile_gemm(Bfloat16Operands{rows, columns, n, c + i * m * n}, depth, plan, n, epilogue);
    trace_product(m, n, k, "matrix tiles, one product of bfloat16", nullptr);
  }
}
#else
inline const char* bfloat16_tiles_refused(int64_t, int64_t, int64_t) {
  return "bfloat16 widened to float32: the instruction set in use has no matrix tiles";
}
inline void multiply_bfloat16_on_tiles(int64_t, int64_t, int64_t, int64_t, const MatrixBatch<Bfloat16>&,
                                       const MatrixBatch<Bfloat16>&, const Epilogue<float>&, Bfloat16*) {}
#endif

}  // namespace tinydl::TINYDL_TIER
