// What normalisation takes from statistics: factors in the type that is computed in.
#pragma once
#include "contract/norm.h"
#include "cuda/device/fold_columns.h"
#include "cuda/device/grid.h"

namespace tinydl::cuda {

// z = (x - high) r + offset. high is the mean, rounded, and offset what rounding it left: near the mean x - high is
// exact, so that nothing cancels where the mean is large beside the deviation.
template <class W>
struct Standardise {
  W high, r, offset;

  __device__ static Standardise of(double mean, double var, double eps) {
    const double scale = 1 / sqrt_of(var + eps);
    const W high = static_cast<W>(mean);
    return {high, static_cast<W>(scale), static_cast<W>((static_cast<double>(high) - mean) * scale)};
  }
  __device__ W operator()(W x) const { return fma_of(x - high, r, offset); }
};

// The sums of g and of g z.
template <class W>
struct GradientSums {
  W plain, moment;
};

template <class W>
struct GradientFold {
  using Item = GradientSums<W>;
  using Acc = Item;
  __device__ static Item fill() { return {0, 0}; }
  __device__ static Item start() { return {0, 0}; }
  __device__ static Item merge(const Item& a, const Item& b) { return {a.plain + b.plain, a.moment + b.moment}; }
  template <int n>
  __device__ static void take(Item& acc, Item (&v)[n], int) {
    acc = merge(acc, fold_tree(v, [](const Item& a, const Item& b) { return merge(a, b); }));
  }
};

// dw = sum of dy z, db = sum of dy
template <class T>
struct StoreParameterGradients {
  T *dw, *db;
  __device__ void operator()(int64_t at, const GradientSums<Wide<T>>& sums) const {
    dw[at] = static_cast<T>(sums.moment);
    db[at] = static_cast<T>(sums.plain);
  }
};

struct StoreStatistics {
  Moments to;
  __device__ void operator()(int64_t at, const MomentSums& m) const {
    to.mean[at] = m.mean;
    to.var[at] = m.squares / m.count;
  }
};

// A null parameter is all ones or zeros.
template <class T>
__device__ __forceinline__ Wide<T> parameter(const T* p, int64_t i, int otherwise) {
  return p ? widen(p[i]) : Wide<T>(otherwise);
}

template <class T>
__global__ void widen_moments_kernel(int64_t channels, const T* mean, const T* var, Moments to) {
  for (int64_t c = thread_in_grid(); c < channels; c += threads_in_grid()) {
    to.mean[c] = static_cast<double>(widen(mean[c]));
    to.var[c] = static_cast<double>(widen(var[c]));
  }
}

template <class T>
__device__ void update_statistic(T& to, const double* statistic, int64_t outer, int64_t channels, double factor,
                                 double correction) {
  double total = 0;
  for (int64_t o = 0; o < outer; ++o) total += statistic[o * channels];
  const double before = static_cast<double>(widen(to));
  to = static_cast<T>(
      static_cast<Wide<T>>(before + factor * (total * correction / static_cast<double>(outer) - before)));
}

template <class T>
__global__ void update_running_kernel(RunningMoments<T> to, int64_t outer, Moments m) {
  for (int64_t c = thread_in_grid(); c < to.channels; c += threads_in_grid()) {
    update_statistic(to.mean[c * to.mean_stride], m.mean + c, outer, to.channels, to.factor, 1);
    update_statistic(to.var[c * to.var_stride], m.var + c, outer, to.channels, to.factor, to.correction);
  }
}

}  // namespace tinydl::cuda
