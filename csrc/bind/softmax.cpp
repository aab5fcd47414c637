#include "cpu/softmax/softmax.h"

#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

void check_axis(const char* op, const Layout& x, int axis) {
  check(axis >= 0 && axis < x.ndim, op, ": axis ", axis, " is out of range for shape ", x);
}

int64_t rows_of(const Layout& x, int axis) { return x.shape[axis] == 0 ? 0 : element_count(x) / x.shape[axis]; }

// y has x's shape, with `axis` innermost in memory; x is copied where it lies otherwise.
py::array softmax(const py::array& x, int axis) {
  return by_float_type("softmax", x, [&](auto type) {
    using T = decltype(type);
    const Layout in = layout_of("softmax", x);
    check_axis("softmax", in, axis);
    const Layout layout = axis_innermost(in, axis);
    const py::array dense = as_layout("softmax", x, layout);
    py::array y = empty(layout, x.dtype());
    T* to = mutable_data_of<T>(y);
    py::gil_scoped_release unlocked;
    softmax_kernels<T>().softmax(rows_of(layout, axis), layout.shape[axis], data_of<T>(dense), to);
    return y;
  });
}

py::array softmax_backward(const py::array& grad, const py::array& y, int axis) {
  constexpr const char* op = "softmax_backward";
  require_same_dtype(op, y, grad);
  return by_float_type(op, y, [&](auto type) {
    using T = decltype(type);
    const Layout out = layout_of(op, y), upstream = layout_of(op, grad);
    check_axis(op, out, axis);
    check(same_shape(out, upstream), op, ": got a gradient of shape ", upstream, " for an output of shape ", out);
    const Layout layout = axis_innermost(out, axis);
    const py::array dense_grad = as_layout(op, grad, layout), dense_y = as_layout(op, y, layout);
    py::array dx = empty(layout, y.dtype());
    T* to = mutable_data_of<T>(dx);
    py::gil_scoped_release unlocked;
    softmax_kernels<T>().softmax_backward(rows_of(layout, axis), layout.shape[axis], data_of<T>(dense_grad),
                                          data_of<T>(dense_y), to);
    return dx;
  });
}

}  // namespace

void bind_softmax(py::module_& m) {
  m.def("softmax", &softmax, py::arg("x"), py::arg("axis"));
  m.def("softmax_backward", &softmax_backward, py::arg("grad"), py::arg("y"), py::arg("axis"));
}

}  // namespace tinydl
