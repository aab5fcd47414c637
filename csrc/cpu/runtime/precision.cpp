#include "cpu/runtime/precision.h"

#include <atomic>
#include <cstring>

#include "core/check.h"

namespace tinydl {

namespace {

constexpr const char* kNames[] = {"highest", "high", "medium"};
std::atomic<Float32Precision> precision{Float32Precision::highest};
std::atomic<int64_t> tile_side{256};
std::atomic<int64_t> tile_work{50000000};

}  // namespace

Float32Precision float32_precision() { return precision.load(std::memory_order_relaxed); }

const char* float32_precision_name() { return kNames[static_cast<int>(float32_precision())]; }

void set_float32_precision(const char* name) {
  for (int i = 0; i < 3; ++i)
    if (std::strcmp(name, kNames[i]) == 0) return precision.store(static_cast<Float32Precision>(i));
  fail("set_float32_matmul_precision: got '", name, "', wanted 'highest', 'high' or 'medium'");
}

TileThreshold tile_threshold() {
  const int64_t share = float32_precision() == Float32Precision::highest ? 1 : 4;
  return {tile_side.load(std::memory_order_relaxed) / share, tile_work.load(std::memory_order_relaxed) / share};
}

void set_tile_threshold(int64_t side, int64_t work) {
  check(side >= 0 && work >= 0, "set_tile_threshold: got ", side, " and ", work, ", wanted numbers from 0");
  tile_side.store(side);
  tile_work.store(work);
}

}  // namespace tinydl
