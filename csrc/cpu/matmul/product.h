// The choice between the loops that compute a product: matrix tiles where they pay, else fused multiply-adds.
#pragma once
#include "cpu/matmul/gemm.h"
#include "cpu/runtime/precision.h"
#if defined(TINYDL_TIER_amx)
#include "cpu/matmul/tile_gemm.h"
#endif

namespace tinydl::TINYDL_TIER {

#if defined(TINYDL_TIER_amx)
// From here on splitting the operands costs less than the tiles save.
inline bool tiles_pay(int64_t m, int64_t n, int64_t k) {
  return m >= 32 && n >= 32 && k >= 32 && m * n * k >= 128 * 128 * 128;
}

template <class Rows, class Columns, class Runs>
bool multiply_on_tiles(const Rows& rows, const Columns& columns, const Runs& runs, int64_t m, int64_t n,
                       const Epilogue<float>& epilogue) {
  if (!tiles_pay(m, n, runs.total())) return false;
  const TilePlan plan(m, n, runs.total());
  const Depth depth = runs.cut(plan.depth);
  switch (float32_precision()) {
    case Float32Precision::medium:
      return tile_gemm<1>(rows, columns, depth, plan, n, epilogue);
    case Float32Precision::high:
      return tile_gemm<2>(rows, columns, depth, plan, n, epilogue);
    default:
      return tile_gemm<3>(rows, columns, depth, plan, n, epilogue);
  }
}
#endif
template <class Rows, class Columns, class Runs, class T>
bool multiply_on_tiles(const Rows&, const Columns&, const Runs&, int64_t, int64_t, const Epilogue<T>&) {
  return false;
}

// C (m, n) = activation(A B + bias). `runs` describes k: total() values, cut(limit) into blocks.
template <class T, class Rows, class Columns, class Runs>
void multiply(const Rows& rows, const Columns& columns, const Runs& runs, int64_t m, int64_t n,
              const Epilogue<T>& epilogue) {
  if (multiply_on_tiles(rows, columns, runs, m, n, epilogue)) return;
  const Depth depth = runs.cut(kBlockDepth<T>);
  Scratch packed(static_cast<size_t>(padded_columns<T>(n) * depth.total()) * sizeof(T));
  T* b = static_cast<T*>(packed.data());
  pack_b(columns, depth, n, b);
  gemm(rows, depth, b, m, n, epilogue);
}

}  // namespace tinydl::TINYDL_TIER
