#include "cpu/elementwise/elementwise.h"

#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

// `field` picks the kernel out of a table, for either element type: [](const auto& k) { return k.add; }.
template <class Field>
void def_unary(py::module_& m, const char* name, Field field) {
  m.def(
      name,
      [name, field](const py::array& x) {
        return by_float_type(name, x, [&](auto type) {
          using T = decltype(type);
          const Layout in = layout_of(name, x);
          const Layout out = dense_like(in);
          py::array y = empty(out, x.dtype());
          const Layout* operands[] = {&in, &out};
          const LoopNest nest = plan_loops(operands, 2);
          T* to = mutable_data_of<T>(y);
          py::gil_scoped_release unlocked;
          field(elementwise_kernels<T>())(nest, data_of<T>(x), to);
          return y;
        });
      },
      py::arg("x"));
}

template <class Field>
void def_binary(py::module_& m, const char* name, const char* first, const char* second, Field field) {
  m.def(
      name,
      [name, field](const py::array& a, const py::array& b) {
        require_same_dtype(name, a, b);
        return by_float_type(name, a, [&](auto type) {
          using T = decltype(type);
          const Layout la = layout_of(name, a), lb = layout_of(name, b);
          Layout common;
          check(broadcast_shapes(la, lb, common), name, ": shapes ", la, " and ", lb, " do not broadcast");
          const Layout wide_a = broadcast_to(la, common), wide_b = broadcast_to(lb, common);
          const Layout out = dense_like(same_shape(la, common) ? wide_a : wide_b);
          py::array y = empty(out, a.dtype());
          const Layout* operands[] = {&wide_a, &wide_b, &out};
          const LoopNest nest = plan_loops(operands, 3);
          T* to = mutable_data_of<T>(y);
          py::gil_scoped_release unlocked;
          field(elementwise_kernels<T>())(nest, data_of<T>(a), data_of<T>(b), to);
          return y;
        });
      },
      py::arg(first), py::arg(second));
}

}  // namespace

void bind_elementwise(py::module_& m) {
  def_unary(m, "copy", [](const auto& k) { return k.copy; });
  m.def("row_major", [](const py::array& x) { return as_row_major("row_major", x); }, py::arg("x"));
  def_unary(m, "neg", [](const auto& k) { return k.neg; });
  def_unary(m, "exp", [](const auto& k) { return k.exp; });
  def_unary(m, "log", [](const auto& k) { return k.log; });
  def_unary(m, "sqrt", [](const auto& k) { return k.sqrt; });
  def_unary(m, "relu", [](const auto& k) { return k.relu; });
  def_unary(m, "sigmoid", [](const auto& k) { return k.sigmoid; });
  def_unary(m, "tanh", [](const auto& k) { return k.tanh; });
  def_unary(m, "erf", [](const auto& k) { return k.erf; });
  def_binary(m, "add", "a", "b", [](const auto& k) { return k.add; });
  def_binary(m, "sub", "a", "b", [](const auto& k) { return k.sub; });
  def_binary(m, "mul", "a", "b", [](const auto& k) { return k.mul; });
  def_binary(m, "div", "a", "b", [](const auto& k) { return k.div; });
  def_binary(m, "relu_backward", "grad", "y", [](const auto& k) { return k.relu_backward; });
  def_binary(m, "sigmoid_backward", "grad", "y", [](const auto& k) { return k.sigmoid_backward; });
  def_binary(m, "tanh_backward", "grad", "y", [](const auto& k) { return k.tanh_backward; });
}

}  // namespace tinydl
