// Vector exp, log, tanh and sigmoid.
#pragma once
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

// PLACEHOLDER
TINYDL_INLINE Vec<float> exp(Vec<float> x) { for (int i = 0; i < Vec<float>::size; ++i) x.v[i] = __builtin_expf(x.v[i]); return x; }
TINYDL_INLINE Vec<float> log(Vec<float> x) { for (int i = 0; i < Vec<float>::size; ++i) x.v[i] = __builtin_logf(x.v[i]); return x; }
TINYDL_INLINE Vec<float> tanh(Vec<float> x) { for (int i = 0; i < Vec<float>::size; ++i) x.v[i] = __builtin_tanhf(x.v[i]); return x; }
TINYDL_INLINE Vec<float> sigmoid(Vec<float> x) { for (int i = 0; i < Vec<float>::size; ++i) x.v[i] = 1 / (1 + __builtin_expf(-x.v[i])); return x; }
TINYDL_INLINE Vec<double> exp(Vec<double> x) { for (int i = 0; i < Vec<double>::size; ++i) x.v[i] = __builtin_exp(x.v[i]); return x; }
TINYDL_INLINE Vec<double> log(Vec<double> x) { for (int i = 0; i < Vec<double>::size; ++i) x.v[i] = __builtin_log(x.v[i]); return x; }
TINYDL_INLINE Vec<double> tanh(Vec<double> x) { for (int i = 0; i < Vec<double>::size; ++i) x.v[i] = __builtin_tanh(x.v[i]); return x; }
TINYDL_INLINE Vec<double> sigmoid(Vec<double> x) { for (int i = 0; i < Vec<double>::size; ++i) x.v[i] = 1 / (1 + __builtin_exp(-x.v[i])); return x; }

}  // namespace tinydl::TINYDL_TIER
