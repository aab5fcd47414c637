// The choice between the loops that compute a product: matrix tiles where they pay, else fused multiply-adds.
#pragma once
#include "cpu/matmul/gemm.h"
#include "cpu/runtime/precision.h"
#include "cpu/runtime/trace.h"
#if defined(TINYDL_TIER_amx)
#include "cpu/matmul/split_operands.h"
#endif

namespace tinydl::TINYDL_TIER {

// Why a product runs on no matrix tiles, or null: splitting the operands must cost less than the tiles save. A whose k
// is contiguous is split so quickly that half as many columns pay for it: 4096 x 512 x 128 1.36 times as fast as
// multiply-adds, 4096 x 128 x 128 1.2, 2048 x 512 x 128 1.3; with A transposed 0.7 to 1.0, with 128 rows 0.76.
template <class T>
const char* tiles_refused(int64_t m, int64_t n, int64_t k, bool k_is_contiguous = false) {
#if defined(TINYDL_TIER_amx)
  if (sizeof(T) != sizeof(float)) return "no matrix tiles: they have no float64";
  const TileThreshold threshold = tile_threshold();
  const int64_t columns = k_is_contiguous ? threshold.side / 2 : threshold.side;
  if (k < 32 || m < threshold.side || n < columns) return "no matrix tiles: a side is too short to pay for the split";
  if (m * n * k < threshold.work) return "no matrix tiles: too few multiply-adds to pay for the split";
  return nullptr;
#else
  (void)m, (void)n, (void)k, (void)k_is_contiguous;
  return "no matrix tiles: the instruction set in use has none";
#endif
}

#if defined(TINYDL_TIER_amx)
constexpr const char* kRangeRefused =
    "no matrix tiles: the operands' range is too wide for bfloat16 parts, or not finite";

template <int count>
struct Planes {
  static constexpr int value = count;
};
// What explain says, for each precision.
struct TileNames {
  const char *highest, *high, *medium;
};
constexpr TileNames kTileNames = {"matrix tiles, six products of bfloat16 parts",
                                  "matrix tiles, three products of bfloat16 parts (precision high)",
                                  "matrix tiles, one product of bfloat16 parts (precision medium)"};

// Computes a product (m, k) by (k, n) from as many planes as the precision asks for: `compute` takes Planes and returns
// false where accuracy would be lost. Returns null, or why the product is still to be computed.
template <class Compute>
const char* with_planes(int64_t m, int64_t n, int64_t k, const TileNames& names, const Compute& compute) {
  bool done;
  const char* how;
  switch (float32_precision()) {
    case Float32Precision::medium:
      done = compute(Planes<1>());
      how = names.medium;
      break;
    case Float32Precision::high:
      done = compute(Planes<2>());
      how = names.high;
      break;
    default:
      done = compute(Planes<3>());
      how = names.highest;
  }
  if (!done) return kRangeRefused;
  trace_product(m, n, k, how, nullptr);
  return nullptr;
}

// Returns null, or why C is still to be computed.
template <class Rows, class Columns, class Runs>
const char* multiply_on_tiles(const Rows& rows, const Columns& columns, const Runs& runs, int64_t m, int64_t n,
                              const Epilogue<float>& epilogue) {
  const int64_t k = runs.total();
  if (const char* refused = tiles_refused<float>(m, n, k, rows.k_is_contiguous())) return refused;
  return with_planes(m, n, k, kTileNames, [&](auto planes) {
    return split_gemm<decltype(planes)::value>(rows, columns, runs, m, n, epilogue);
  });
}
template <class Rows, class Columns, class Runs>
const char* multiply_on_tiles(const Rows&, const Columns&, const Runs&, int64_t, int64_t, const Epilogue<double>&) {
  return tiles_refused<double>(0, 0, 0);
}
#else
template <class Rows, class Columns, class Runs, class T>
const char* multiply_on_tiles(const Rows&, const Columns&, const Runs&, int64_t, int64_t, const Epilogue<T>&) {
  return tiles_refused<T>(0, 0, 0);
}
#endif

// C (m, n) = activation(A B + bias). `runs` describes k: total() values, cut(limit) into blocks. `refused` says why
// tiles are out of the question, if that is known.
template <class T, class Rows, class Columns, class Runs>
void multiply(const Rows& rows, const Columns& columns, const Runs& runs, int64_t m, int64_t n,
              const Epilogue<T>& epilogue, const char* refused = nullptr) {
  if (!refused) refused = multiply_on_tiles(rows, columns, runs, m, n, epilogue);
  if (!refused) return;
  trace_product(m, n, runs.total(), "fused multiply-adds", refused);
  const Depth depth = runs.cut(kBlockDepth<T>);
  const GemmPlan<T> plan(m, n, columns.is_packed(n), workers_for(m * n, product_work<T>(m, n, depth.total())));
  const GemmMemory<T> sizes(plan, depth, rows.scratch_elements());
  Scratch memory(sizes.bytes(plan));
  gemm(plan, rows, columns, depth, m, epilogue, static_cast<char*>(memory.data()));
}

}  // namespace tinydl::TINYDL_TIER
