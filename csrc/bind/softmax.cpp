#include "contract/softmax.h"

#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

void check_axis(const char* op, const Layout& x, int axis) {
  check(axis >= 0 && axis < x.ndim, op, ": axis ", axis, " is out of range for shape ", x);
}

int64_t rows_of(const Layout& x, int axis) { return x.shape[axis] == 0 ? 0 : element_count(x) / x.shape[axis]; }

// Defines name(x, axis) and name_backward(grad, y, axis) with the kernels that `pick` and `pick_backward` choose.
// The result has x's shape, with `axis` innermost in memory; x is copied where it lies otherwise.
template <class Pick, class PickBackward>
void def_softmax(py::module_& m, const char* name, const char* backward_name, Pick pick, PickBackward pick_backward) {
  const auto forward = [=](const Array& x, int axis) {
    return by_float_type(name, x, [&](auto type) {
      using T = decltype(type);
      const Layout in = layout_of(name, x);
      check_axis(name, in, axis);
      const Layout layout = axis_innermost(in, axis);
      const Array dense = as_layout(name, x, layout);
      Array y = empty(layout, x.dtype());
      T* to = mutable_data_of<T>(y);
      Unlocked unlocked;
      pick(softmax_kernels<T>())(rows_of(layout, axis), layout.shape[axis], data_of<T>(dense), to);
      return y;
    });
  };
  const auto backward = [=](const Array& grad, const Array& y, int axis) {
    require_same_dtype(backward_name, y, grad);
    return by_float_type(backward_name, y, [&](auto type) {
      using T = decltype(type);
      const Layout out = layout_of(backward_name, y), upstream = layout_of(backward_name, grad);
      check_axis(backward_name, out, axis);
      check(same_shape(out, upstream), backward_name, ": got a gradient of shape ", upstream,
            " for an output of shape ", out);
      const Layout layout = axis_innermost(out, axis);
      const Array dense_grad = as_layout(backward_name, grad, layout);
      const Array dense_y = as_layout(backward_name, y, layout);
      Array dx = empty(layout, y.dtype());
      T* to = mutable_data_of<T>(dx);
      Unlocked unlocked;
      pick_backward(softmax_kernels<T>())(rows_of(layout, axis), layout.shape[axis], data_of<T>(dense_grad),
                                          data_of<T>(dense_y), to);
      return dx;
    });
  };
  m.def(name, forward, py::arg("x"), py::arg("axis"));
  m.def(backward_name, backward, py::arg("grad"), py::arg("y"), py::arg("axis"));
}

}  // namespace

void bind_softmax(py::module_& m) {
  def_softmax(
      m, "softmax", "softmax_backward", [](const auto& k) { return k.softmax; },
      [](const auto& k) { return k.softmax_backward; });
  def_softmax(
      m, "log_softmax", "log_softmax_backward", [](const auto& k) { return k.log_softmax; },
      [](const auto& k) { return k.log_softmax_backward; });
}

}  // namespace tinydl
