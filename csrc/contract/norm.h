// Normalisation by mean and variance, in two schemes that differ in where the elements of one statistic lie.
//
// Columns: x is channels-last, (outer, rows, channels), and each group of neighbouring channels has its statistics over
// the rows of each outer index. Batch norm has outer 1, all images' pixels as rows and groups of one channel; instance
// norm has the images outside; group norm has wider groups.
//
// Rows: x is (rows, n), and each row has its statistics: layer norm, and RMS norm, whose mean is not subtracted.
//
// Statistics are doubles. mean is the mean and var the mean squared deviation from it, or for RMS norm 0 and the mean
// square. With r = 1 / sqrt(var + eps) and z = (x - mean) r, in both schemes y = z w + b, where a null w is 1 and a
// null b is 0. Over the M elements of a statistic, with g = dy w,
//
//   dx = r (g - sum(g) / M - z sum(g z) / M),   dw = sum of dy z,   db = sum of dy;
//
// RMS norm lacks sum(g), and fixed statistics (batch norm in evaluation) lack both sums. A null dx, or null dw and db,
// are not computed.
#pragma once
#include <cstdint>

#include "contract/tables.h"

namespace tinydl {

struct NormColumns {
  int64_t outer, rows, channels, groups;
};

struct NormRows {
  int64_t rows, n;
  bool centered;  // false for RMS norm
};

// For columns (outer, groups), for rows (rows,).
struct Moments {
  double *mean, *var;
};

// running += factor (statistic - running), with the mean of the statistics (outer, channels) over outer; variances are
// first multiplied by `correction`.
template <class T>
struct RunningMoments {
  T *mean, *var;  // (channels,), whose elements lie `mean_stride` and `var_stride` apart
  int64_t channels, mean_stride, var_stride;
  double factor, correction;
};

template <class T>
struct NormKernels {
  // The moments (channels,) that are given as elements.
  void (*widen_moments)(int64_t channels, const T* mean, const T* var, Moments);
  void (*update_running)(const RunningMoments<T>&, int64_t outer, Moments);

  // The statistics of x.
  void (*column_moments)(const NormColumns&, const T* x, Moments);
  // y (outer, rows, channels) with w and b (channels,).
  void (*column_norm)(const NormColumns&, const T* x, Moments, double eps, const T* w, const T* b, T* y);
  void (*column_norm_backward)(const NormColumns&, bool fixed, const T* dy, const T* x, Moments, double eps, const T* w,
                               T* dx, T* dw, T* db);

  // The statistics of x, and y (rows, n) with w and b (n,).
  void (*row_norm)(const NormRows&, const T* x, double eps, const T* w, const T* b, Moments, T* y);
  void (*row_norm_backward)(const NormRows&, const T* dy, const T* x, Moments, double eps, const T* w, T* dx, T* dw,
                            T* db);
};

TINYDL_KERNELS(NormKernels, norm)

}  // namespace tinydl
