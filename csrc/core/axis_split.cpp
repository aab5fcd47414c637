#include "core/axis_split.h"

#include <algorithm>

namespace tinydl {

// With two elements along the axis its stride is larger than that of every axis within it, and smaller than that of
// every axis around it; with one or none, strides would not tell.
AxisSplit::AxisSplit(const Layout& x, int axis) : pair_(dense_like(x)), axis_(axis) {
  pair_.shape[axis] = 2;
  pair_ = dense_like(pair_);
  for (int d = 0; d < x.ndim; ++d)
    if (d != axis) (pair_.stride[d] > pair_.stride[axis] ? outer : inner) *= x.shape[d];
}

Layout AxisSplit::with(int64_t n) const {
  Layout out = pair_;
  out.shape[axis_] = n;
  for (int d = 0; d < out.ndim; ++d)
    if (d != axis_ && out.stride[d] > out.stride[axis_]) out.stride[d] = out.stride[d] / 2 * std::max<int64_t>(n, 1);
  return out;
}

}  // namespace tinydl
