#include "cpu/runtime/precision.h"

#include <atomic>
#include <cstring>

#include "core/check.h"

namespace tinydl {

namespace {

constexpr const char* kNames[] = {"highest", "high", "medium"};
std::atomic<Float32Precision> precision{Float32Precision::highest};

}  // namespace

Float32Precision float32_precision() { return precision.load(std::memory_order_relaxed); }

const char* float32_precision_name() { return kNames[static_cast<int>(float32_precision())]; }

void set_float32_precision(const char* name) {
  for (int i = 0; i < 3; ++i)
    if (std::strcmp(name, kNames[i]) == 0) return precision.store(static_cast<Float32Precision>(i));
  fail("set_float32_matmul_precision: got '", name, "', wanted 'highest', 'high' or 'medium'");
}

}  // namespace tinydl
