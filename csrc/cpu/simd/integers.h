// Integer helpers for the kernels: standard-library functions would be shared between tiers.
#pragma once
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

TINYDL_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
TINYDL_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
TINYDL_INLINE int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace tinydl::TINYDL_TIER
