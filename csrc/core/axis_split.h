// A dense array seen as (outer, axis, inner), for any order of its axes in memory.
#pragma once
#include "core/layout.h"

namespace tinydl {

class AxisSplit {
 public:
  // Keeps the order in which x's axes lie in memory.
  AxisSplit(const Layout& x, int axis);

  // The dense layout of x's shape, but with n elements along the axis.
  Layout with(int64_t n) const;

  int64_t outer = 1, inner = 1;

 private:
  Layout pair_;  // dense, with two elements along the axis
  int axis_;
};

}  // namespace tinydl
