// Statistics as the vector loops take them.
#pragma once
#include "contract/norm.h"

namespace tinydl::TINYDL_TIER {

namespace {

inline double reciprocal_deviation(double var, double eps) { return 1 / __builtin_sqrt(var + eps); }

// A mean as a T and what rounding it left: x - mean = (x - high) - low. Near the mean x - high is exact, so that
// nothing cancels where the mean is large beside the deviation.
template <class T>
struct Split {
  T high;
  double low;
  explicit Split(double mean) : high(static_cast<T>(mean)), low(mean - static_cast<double>(high)) {}
};

}  // namespace

}  // namespace tinydl::TINYDL_TIER
