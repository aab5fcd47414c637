#include "contract/reduce.h"

#include <type_traits>

#include "bind/arrays.h"
#include "bind/families.h"
#include "bind/memory.h"
#include "core/reduction.h"

namespace tinydl {

namespace {

// Which axes of a layout go.
struct Axes {
  bool reduced[kMaxDims] = {};

  // `axes` are distinct and in [0, ndim).
  Axes(const char* op, const py::tuple& axes, const Layout& in) {
    for (const auto& axis : axes) {
      const int d = axis.cast<int>();
      check(d >= 0 && d < in.ndim && !reduced[d], op, ": axis ", d, " is out of range or repeated for shape ", in);
      reduced[d] = true;
    }
  }
};

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

// Runs the plan's steps through two scratch buffers of elements `Between`: run(step, from, to, last) does one of them.
template <class Between, class T, class Run>
void run_plan(const ReducePlan& plan, const T* x, T* y, const Run& run) {
  const ReduceStep& first = plan.step[0];
  if (plan.steps == 1) return run(first, x, y, true);
  const size_t bytes = static_cast<size_t>(first.outer * first.inner) * sizeof(Between);
  const Scratch scratch[2] = {Scratch(bytes), Scratch(plan.steps > 2 ? bytes : 0)};
  const auto between = [&](int step) { return static_cast<Between*>(scratch[step % 2].data()); };
  const int last = plan.steps - 1;
  run(first, x, between(0), false);
  for (int s = 1; s < last; ++s) run(plan.step[s], static_cast<const Between*>(between(s - 1)), between(s), false);
  run(plan.step[last], static_cast<const Between*>(between(last - 1)), y, true);
}

// The kernel that sums elements From to elements To, which are T or its wide type.
template <class T, class From, class To>
auto sum_kernel() {
  if constexpr (std::is_same_v<From, To>)
    return reduce_kernels<From>().sum;
  else if constexpr (std::is_same_v<From, T>)
    return reduce_kernels<T>().sum_to_wide;
  else
    return reduce_kernels<T>().sum_from_wide;
}

// Sums (or averages) x over `axes`.
Array sum(const char* op, const Array& x, const py::tuple& axes, bool keepdims, bool mean) {
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Array dense = as_dense(op, x);
    const Layout in = layout_of(op, dense);
    const Axes which(op, axes, in);
    const ReducePlan plan = plan_reduction(in, which.reduced);
    Array y = empty(keepdims ? plan.out : squeeze(plan.out, which.reduced), x.dtype());
    T* to = mutable_data_of<T>(y);
    const double divisor = mean ? static_cast<double>(plan.count) : 1;
    Unlocked unlocked;
    run_plan<Wide<T>>(plan, data_of<T>(dense), to, [=](const ReduceStep& step, auto* from, auto* into, bool last) {
      using From = std::remove_const_t<std::remove_pointer_t<decltype(from)>>;
      const auto kernel = sum_kernel<T, From, std::remove_pointer_t<decltype(into)>>();
      kernel(step.outer, step.reduce, step.inner, from, last ? divisor : 1, into);
    });
    return y;
  });
}

// `field` picks the kernel out of a table, for either element type.
template <class Field>
void def_extreme(py::module_& m, const char* op, Field field) {
  m.def(
      op,
      [op, field](const Array& x, const py::tuple& axes, bool keepdims) {
        return by_float_type(op, x, [&](auto type) {
          using T = decltype(type);
          const Array dense = as_dense(op, x);
          const Layout in = layout_of(op, dense);
          const Axes which(op, axes, in);
          const ReducePlan plan = plan_reduction(in, which.reduced);
          check(plan.count > 0 || element_count(plan.out) == 0, op, ": nothing to choose from in shape ", in);
          Array y = empty(keepdims ? plan.out : squeeze(plan.out, which.reduced), x.dtype());
          T* to = mutable_data_of<T>(y);
          Unlocked unlocked;
          run_plan<T>(plan, data_of<T>(dense), to, [&](const ReduceStep& step, const T* from, T* into, bool) {
            field(reduce_kernels<T>())(step.outer, step.reduce, step.inner, from, into);
          });
          return y;
        });
      },
      py::arg("x"), py::arg("axes"), py::arg("keepdims"));
}

// A dense layout of a's shape with the reduced axes innermost: one step reduces them all.
Layout reduced_innermost(const Layout& a, const bool (&reduced)[kMaxDims]) {
  Layout out = a;
  int64_t stride = 1;
  for (const bool inner : {true, false})
    for (int d = a.ndim - 1; d >= 0; --d) {
      if (reduced[d] != inner) continue;
      out.stride[d] = stride;
      stride *= a.shape[d] == 0 ? 1 : a.shape[d];
    }
  return out;
}

// (var, mean) of x over `axes`; the squares are divided by max(count - correction, 0).
py::tuple var(const Array& x, const py::tuple& axes, double correction, bool keepdims) {
  return by_float_type("var", x, [&](auto type) {
    using T = decltype(type);
    Array dense = as_dense("var", x);
    Layout in = layout_of("var", dense);
    const Axes which("var", axes, in);
    ReducePlan plan = plan_reduction(in, which.reduced);
    if (plan.steps > 1) {
      in = reduced_innermost(in, which.reduced);
      dense = copy_as("var", x, in);
      plan = plan_reduction(in, which.reduced);
      plan.step[0] = {element_count(plan.out), plan.count, 1};
    }
    const Layout out = keepdims ? plan.out : squeeze(plan.out, which.reduced);
    Array y = empty(out, x.dtype()), mean = empty(out, x.dtype());
    T *to_var = mutable_data_of<T>(y), *to_mean = mutable_data_of<T>(mean);
    const double left = static_cast<double>(plan.count) - correction, divisor = left < 0 ? 0 : left;
    const ReduceStep step = plan.step[0];
    {
      Unlocked unlocked;
      reduce_kernels<T>().var(step.outer, step.reduce, step.inner, data_of<T>(dense), divisor, to_var, to_mean);
    }
    return py::make_tuple(y, mean);
  });
}

// dx = field(x, y, g), where y and g are broadcast to x's shape.
template <class Field>
void def_gradient(py::module_& m, const char* op, Field field) {
  m.def(
      op,
      [op, field](const Array& x, const Array& y, const Array& grad) {
        require_same_dtype(op, x, y);
        require_same_dtype(op, x, grad);
        return by_float_type(op, x, [&](auto type) {
          using T = decltype(type);
          const Layout in = layout_of(op, x), ly = layout_of(op, y), lg = layout_of(op, grad);
          Layout wide[2];
          check(broadcast_shapes(in, ly, wide[0]) && same_shape(in, wide[0]), op, ": shape ", ly,
                " does not broadcast to ", in);
          check(broadcast_shapes(in, lg, wide[1]) && same_shape(in, wide[1]), op, ": shape ", lg,
                " does not broadcast to ", in);
          wide[0] = broadcast_to(ly, in);
          wide[1] = broadcast_to(lg, in);
          const Layout out = dense_like(in);
          Array dx = empty(out, x.dtype());
          const Layout* operands[] = {&in, &wide[0], &wide[1], &out};
          const LoopNest nest = plan_loops(operands, 4);
          T* to = mutable_data_of<T>(dx);
          Unlocked unlocked;
          field(reduce_kernels<T>())(nest, data_of<T>(x), data_of<T>(y), data_of<T>(grad), to);
          return dx;
        });
      },
      py::arg("x"), py::arg("y"), py::arg("grad"));
}

}  // namespace

void bind_reduce(py::module_& m) {
  m.def(
      "sum", [](const Array& x, const py::tuple& axes, bool keepdims) { return sum("sum", x, axes, keepdims, false); },
      py::arg("x"), py::arg("axes"), py::arg("keepdims"));
  m.def(
      "mean", [](const Array& x, const py::tuple& axes, bool keepdims) { return sum("mean", x, axes, keepdims, true); },
      py::arg("x"), py::arg("axes"), py::arg("keepdims"));
  def_extreme(m, "amax", [](const auto& k) { return k.amax; });
  def_extreme(m, "amin", [](const auto& k) { return k.amin; });
  m.def("var", &var, py::arg("x"), py::arg("axes"), py::arg("correction"), py::arg("keepdims"));
  def_gradient(m, "var_backward", [](const auto& k) { return k.var_backward; });
  def_gradient(m, "extreme_backward", [](const auto& k) { return k.extreme_backward; });
}

}  // namespace tinydl
