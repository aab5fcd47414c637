// The machine's limits, for the benchmark to read every other figure against: loops that do nothing but what they are
// named after, on every thread of the team.
#pragma once
#include <cstdint>

#include "contract/tables.h"

namespace tinydl {

template <class T>
struct LimitsKernels {
  // Fused multiply-adds on registers; the same, each reading one operand from the first-level cache. Each returns how
  // many floating-point operations were done.
  int64_t (*fma)(int64_t repeats);
  int64_t (*fma_load)(int64_t repeats);
  // Products of bfloat16 matrix tiles in registers (returns operations), and tile loads from the first-level cache
  // (returns bytes); 0 without matrix tiles.
  int64_t (*tile_product)(int64_t repeats);
  int64_t (*tile_load)(int64_t repeats);
  // to[i] = from[i], with stores past the caches; `to` is aligned to 64 bytes.
  void (*copy)(int64_t count, const T* from, T* to);
};

TINYDL_PRODUCT_KERNELS(LimitsKernels, limits)

}  // namespace tinydl
