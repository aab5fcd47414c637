#include "core/reduction.h"

#include <algorithm>
#include <cstdlib>

namespace tinydl {

namespace {

// Runs of neighbouring axes (in memory order) that are all kept or all reduced.
struct Groups {
  int count = 0;
  int64_t size[kMaxDims + 1];
  bool reduced[kMaxDims + 1];

  void add(int64_t axis_size, bool axis_reduced) {
    if (count > 0 && reduced[count - 1] == axis_reduced) {
      size[count - 1] *= axis_size;
      return;
    }
    size[count] = axis_size;
    reduced[count++] = axis_reduced;
  }

  // Removes group g; its neighbours, both kept, become one.
  void remove(int g) {
    if (g > 0 && g + 1 < count) {
      size[g - 1] *= size[g + 1];
      ++g;
      --count;
      std::copy(size + g + 1, size + count + 1, size + g);
      std::copy(reduced + g + 1, reduced + count + 1, reduced + g);
      --g;
    }
    std::copy(size + g + 1, size + count, size + g);
    std::copy(reduced + g + 1, reduced + count, reduced + g);
    --count;
  }
};

Groups group_axes(const Layout& x, const bool (&reduced)[kMaxDims]) {
  int axes[kMaxDims];
  for (int d = 0; d < x.ndim; ++d) axes[d] = d;
  std::stable_sort(axes, axes + x.ndim, [&](int a, int b) { return x.stride[a] > x.stride[b]; });
  Groups groups;
  for (int i = 0; i < x.ndim; ++i)
    if (x.shape[axes[i]] != 1) groups.add(x.shape[axes[i]], reduced[axes[i]]);
  return groups;
}

}  // namespace

ReducePlan plan_reduction(const Layout& x, const bool (&reduced)[kMaxDims]) {
  ReducePlan plan;
  Groups groups = group_axes(x, reduced);
  for (int g = groups.count - 1; g >= 0; --g) {
    if (!groups.reduced[g]) continue;
    ReduceStep step{1, groups.size[g], 1};
    for (int i = 0; i < g; ++i) step.outer *= groups.size[i];
    for (int i = g + 1; i < groups.count; ++i) step.inner *= groups.size[i];
    plan.step[plan.steps++] = step;
    groups.remove(g);
  }
  Layout kept = x;
  for (int d = 0; d < x.ndim; ++d)
    if (reduced[d]) {
      plan.count *= x.shape[d];
      kept.shape[d] = 1;
    }
  plan.out = dense_like(kept);
  if (plan.steps == 0) plan.step[plan.steps++] = ReduceStep{1, 1, element_count(x)};
  return plan;
}

}  // namespace tinydl
