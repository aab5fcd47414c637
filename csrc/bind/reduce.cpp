#include "cpu/reduce/reduce.h"

#include "bind/arrays.h"
#include "bind/families.h"
#include "core/reduction.h"
#include "cpu/runtime/allocator.h"

namespace tinydl {

namespace {

// Runs the plan's steps through two scratch buffers; the last step writes y and divides.
template <class T>
void run_plan(const ReducePlan& plan, const T* x, T divisor, T* y) {
  const ReduceStep& first = plan.step[0];
  const size_t bytes = plan.steps > 1 ? static_cast<size_t>(first.outer * first.inner) * sizeof(T) : 0;
  Scratch scratch[2] = {Scratch(bytes), Scratch(plan.steps > 2 ? bytes : 0)};
  for (int s = 0; s < plan.steps; ++s) {
    const bool last = s + 1 == plan.steps;
    T* to = last ? y : static_cast<T*>(scratch[s % 2].data());
    const ReduceStep& step = plan.step[s];
    reduce_kernels<T>().sum(step.outer, step.reduce, step.inner, x, last ? divisor : T(1), to);
    x = to;
  }
}

// The layout without its reduced axes.
Layout squeeze(const Layout& a, const bool (&reduced)[kMaxDims]) {
  Layout out;
  for (int d = 0; d < a.ndim; ++d) {
    if (reduced[d]) continue;
    out.shape[out.ndim] = a.shape[d];
    out.stride[out.ndim++] = a.stride[d];
  }
  return out;
}

// Sums (or averages) x over distinct `axes` in [0, ndim).
py::array sum(const char* op, const py::array& x, const py::tuple& axes, bool keepdims, bool mean) {
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const py::array dense = as_dense(op, x);
    const Layout in = layout_of(op, dense);
    bool reduced[kMaxDims] = {};
    for (const auto& axis : axes) {
      const int d = axis.cast<int>();
      check(d >= 0 && d < in.ndim && !reduced[d], op, ": axis ", d, " is out of range or repeated for shape ", in);
      reduced[d] = true;
    }
    const ReducePlan plan = plan_reduction(in, reduced);
    py::array y = empty(keepdims ? plan.out : squeeze(plan.out, reduced), x.dtype());
    T* to = mutable_data_of<T>(y);
    py::gil_scoped_release unlocked;
    run_plan<T>(plan, data_of<T>(dense), mean ? static_cast<T>(plan.count) : T(1), to);
    return y;
  });
}

}  // namespace

void bind_reduce(py::module_& m) {
  m.def(
      "sum",
      [](const py::array& x, const py::tuple& axes, bool keepdims) { return sum("sum", x, axes, keepdims, false); },
      py::arg("x"), py::arg("axes"), py::arg("keepdims"));
  m.def(
      "mean",
      [](const py::array& x, const py::tuple& axes, bool keepdims) { return sum("mean", x, axes, keepdims, true); },
      py::arg("x"), py::arg("axes"), py::arg("keepdims"));
}

}  // namespace tinydl
