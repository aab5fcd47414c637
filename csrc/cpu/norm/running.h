// Statistics between calls: those that evaluation uses, and their update in training.
#pragma once
#include "contract/norm.h"

namespace tinydl::TINYDL_TIER {

namespace {

template <class T>
void widen_moments(int64_t channels, const T* mean, const T* var, Moments to) {
  for (int64_t c = 0; c < channels; ++c) {
    to.mean[c] = static_cast<double>(mean[c]);
    to.var[c] = static_cast<double>(var[c]);
  }
}

template <class T>
void update_running(const RunningMoments<T>& running, int64_t outer, Moments m) {
  const auto update = [&](T& to, const double* statistic, double scale) {
    double total = 0;
    for (int64_t o = 0; o < outer; ++o) total += statistic[o * running.channels];
    const auto before = static_cast<double>(to);
    to = static_cast<T>(before + running.factor * (total * scale / static_cast<double>(outer) - before));
  };
  for (int64_t c = 0; c < running.channels; ++c) {
    update(running.mean[c * running.mean_stride], m.mean + c, 1);
    update(running.var[c * running.var_stride], m.var + c, running.correction);
  }
}

}  // namespace

}  // namespace tinydl::TINYDL_TIER
