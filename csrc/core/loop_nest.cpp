#include "core/loop_nest.h"

#include <algorithm>
#include <cstdlib>

namespace tinydl {

namespace {

// Whether axis `outer` continues axis `inner` without a gap in every operand.
bool mergeable(const LoopNest& nest, int outer, int inner) {
  for (int k = 0; k < nest.operands; ++k)
    if (nest.stride[k][outer] != nest.stride[k][inner] * nest.shape[inner]) return false;
  return true;
}

void copy_axis(LoopNest& nest, int to, int from) {
  nest.shape[to] = nest.shape[from];
  for (int k = 0; k < nest.operands; ++k) nest.stride[k][to] = nest.stride[k][from];
}

}  // namespace

LoopNest plan_loops(const Layout* const* operands, int count) {
  const Layout& out = *operands[count - 1];
  int axes[kMaxDims];
  int used = 0;
  for (int d = 0; d < out.ndim; ++d)
    if (out.shape[d] != 1) axes[used++] = d;
  std::stable_sort(axes, axes + used,
                   [&](int a, int b) { return std::llabs(out.stride[a]) > std::llabs(out.stride[b]); });

  LoopNest nest;
  nest.operands = count;
  for (int i = 0; i < used; ++i) {
    const int at = nest.ndim++;
    nest.shape[at] = out.shape[axes[i]];
    for (int k = 0; k < count; ++k) nest.stride[k][at] = operands[k]->stride[axes[i]];
    if (at > 0 && mergeable(nest, at - 1, at)) {
      nest.shape[at] *= nest.shape[at - 1];
      copy_axis(nest, at - 1, at);
      --nest.ndim;
    }
  }
  if (nest.ndim == 0) {
    nest.ndim = 1;
    nest.shape[0] = 1;
  }
  return nest;
}

}  // namespace tinydl
