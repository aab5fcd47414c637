// Plans a reduction over any axes of a dense array as steps over (outer, reduce, inner).
#pragma once
#include "core/layout.h"

namespace tinydl {

struct ReduceStep {
  int64_t outer, reduce, inner;
};

struct ReducePlan {
  int steps = 0;
  ReduceStep step[kMaxDims];
  Layout out;         // of the result: reduced axes have size 1
  int64_t count = 1;  // elements summed into each output
};

// `reduced[d]` says whether axis d of the dense layout x goes. There is at least one step; the result's axes lie in
// memory in x's order.
ReducePlan plan_reduction(const Layout& x, const bool (&reduced)[kMaxDims]);

}  // namespace tinydl
