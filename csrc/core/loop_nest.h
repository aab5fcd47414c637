// The loops that visit several arrays of one (broadcast) shape together.
#pragma once
#include "core/layout.h"

namespace tinydl {

constexpr int kMaxOperands = 4;

// Loops over `shape`, the innermost last; stride[k] moves operand k. Always has at least one axis.
struct LoopNest {
  int operands = 0;
  int ndim = 0;
  int64_t shape[kMaxDims] = {};
  int64_t stride[kMaxOperands][kMaxDims] = {};

  int64_t inner() const { return shape[ndim - 1]; }
  int64_t inner_stride(int operand) const { return stride[operand][ndim - 1]; }
};

// Plans the loops over operands of equal shape: the axes are sorted by the strides of the last operand (the
// output), axes of size 1 are dropped, and neighbours that every operand can walk as one axis are merged.
LoopNest plan_loops(const Layout* const* operands, int count);

}  // namespace tinydl
