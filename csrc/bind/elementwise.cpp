#include "contract/elementwise.h"

#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

// The common shape of several arrays, each seen in it, and a fresh dense layout of it that follows the first array
// which has the shape already.
template <int N>
struct Broadcast {
  Layout wide[N], out;

  Broadcast(const char* op, const Layout (&in)[N]) {
    Layout common = in[0];
    for (int k = 1; k < N; ++k) {
      const Layout before = common;
      check(broadcast_shapes(before, in[k], common), op, ": shapes ", before, " and ", in[k], " do not broadcast");
    }
    int model = 0;
    for (int k = N - 1; k >= 0; --k) {
      wide[k] = broadcast_to(in[k], common);
      if (same_shape(in[k], common)) model = k;
    }
    out = dense_like(wide[model]);
  }

  LoopNest nest() const {
    const Layout* operands[N + 1];
    for (int k = 0; k < N; ++k) operands[k] = &wide[k];
    operands[N] = &out;
    return plan_loops(operands, N + 1);
  }
};

template <class T, class Call>
Array run_unary(const char* name, const Array& x, const Call& call) {
  const Layout in = layout_of(name, x);
  const Layout out = dense_like(in);
  Array y = empty(out, x.dtype());
  const Layout* operands[] = {&in, &out};
  const LoopNest nest = plan_loops(operands, 2);
  T* to = mutable_data_of<T>(y);
  Unlocked unlocked;
  call(nest, data_of<T>(x), to);
  return y;
}

template <class T, class Call>
Array run_binary(const char* name, const Array& a, const Array& b, const Call& call) {
  const Broadcast<2> shape(name, {layout_of(name, a), layout_of(name, b)});
  Array y = empty(shape.out, a.dtype());
  const LoopNest nest = shape.nest();
  T* to = mutable_data_of<T>(y);
  Unlocked unlocked;
  call(nest, data_of<T>(a), data_of<T>(b), to);
  return y;
}

// `field` picks the kernel out of a table, for either element type: [](const auto& k) { return k.add; }.
template <class Field>
void def_unary(py::module_& m, const char* name, Field field) {
  m.def(
      name,
      [name, field](const Array& x) {
        return by_float_type(name, x, [&](auto type) {
          using T = decltype(type);
          return run_unary<T>(name, x, field(elementwise_kernels<T>()));
        });
      },
      py::arg("x"));
}

template <class Field>
void def_binary(py::module_& m, const char* name, const char* first, const char* second, Field field) {
  m.def(
      name,
      [name, field](const Array& a, const Array& b) {
        require_same_dtype(name, a, b);
        return by_float_type(name, a, [&](auto type) {
          using T = decltype(type);
          return run_binary<T>(name, a, b, field(elementwise_kernels<T>()));
        });
      },
      py::arg(first), py::arg(second));
}

// `double`, once for each name.
template <class>
using DoubleFor = double;

// `names` are those of the scalar parameters, in the contract's order.
template <class Field, class... Names>
void def_unary_with(py::module_& m, const char* name, Field field, Names... names) {
  m.def(
      name,
      [name, field](const Array& x, DoubleFor<Names>... values) {
        return by_float_type(name, x, [&](auto type) {
          using T = decltype(type);
          const Wide<T> parameters[] = {static_cast<Wide<T>>(values)...};
          const auto kernel = field(elementwise_kernels<T>());
          return run_unary<T>(name, x,
                              [&](const LoopNest& nest, const T* from, T* to) { kernel(nest, from, to, parameters); });
        });
      },
      py::arg("x"), py::arg(names)...);
}

template <class Field, class... Names>
void def_binary_with(py::module_& m, const char* name, Field field, Names... names) {
  m.def(
      name,
      [name, field](const Array& grad, const Array& x, DoubleFor<Names>... values) {
        require_same_dtype(name, grad, x);
        return by_float_type(name, x, [&](auto type) {
          using T = decltype(type);
          const Wide<T> parameters[] = {static_cast<Wide<T>>(values)...};
          const auto kernel = field(elementwise_kernels<T>());
          return run_binary<T>(name, grad, x, [&](const LoopNest& nest, const T* dy, const T* from, T* to) {
            kernel(nest, dy, from, to, parameters);
          });
        });
      },
      py::arg("grad"), py::arg("x"), py::arg(names)...);
}

template <class Field>
void def_ternary(py::module_& m, const char* name, Field field) {
  m.def(
      name,
      [name, field](const Array& grad, const Array& a, const Array& b) {
        require_same_dtype(name, grad, a);
        require_same_dtype(name, grad, b);
        return by_float_type(name, grad, [&](auto type) {
          using T = decltype(type);
          const Broadcast<3> shape(name, {layout_of(name, grad), layout_of(name, a), layout_of(name, b)});
          Array y = empty(shape.out, grad.dtype());
          const LoopNest nest = shape.nest();
          T* to = mutable_data_of<T>(y);
          Unlocked unlocked;
          field(elementwise_kernels<T>())(nest, data_of<T>(grad), data_of<T>(a), data_of<T>(b), to);
          return y;
        });
      },
      py::arg("grad"), py::arg("a"), py::arg("b"));
}

Array where(const Array& condition, const Array& a, const Array& b) {
  if (type_number(condition) != py::detail::npy_api::NPY_BOOL_) fail_dtype("where", condition, "bool");
  require_same_dtype("where", a, b);
  return by_float_type("where", a, [&](auto type) {
    using T = decltype(type);
    const Broadcast<3> shape("where", {layout_of("where", a), layout_of("where", b), layout_of("where", condition)});
    const Layout* operands[] = {&shape.wide[2], &shape.wide[0], &shape.wide[1], &shape.out};
    const LoopNest nest = plan_loops(operands, 4);
    Array y = empty(shape.out, a.dtype());
    T* to = mutable_data_of<T>(y);
    Unlocked unlocked;
    elementwise_kernels<T>().where(nest, data_of<bool>(condition), data_of<T>(a), data_of<T>(b), to);
    return y;
  });
}

void bind_forward(py::module_& m) {
  m.def("row_major", [](const Array& x) { return as_row_major("row_major", x); }, py::arg("x"));
  def_unary(m, "copy", [](const auto& k) { return k.copy; });
  def_unary(m, "neg", [](const auto& k) { return k.neg; });
  def_unary(m, "abs", [](const auto& k) { return k.abs; });
  def_unary(m, "exp", [](const auto& k) { return k.exp; });
  def_unary(m, "expm1", [](const auto& k) { return k.expm1; });
  def_unary(m, "log", [](const auto& k) { return k.log; });
  def_unary(m, "log1p", [](const auto& k) { return k.log1p; });
  def_unary(m, "sqrt", [](const auto& k) { return k.sqrt; });
  def_unary(m, "erf", [](const auto& k) { return k.erf; });
  def_unary(m, "sinc", [](const auto& k) { return k.sinc; });
  def_unary(m, "relu", [](const auto& k) { return k.relu; });
  def_unary(m, "sigmoid", [](const auto& k) { return k.sigmoid; });
  def_unary(m, "tanh", [](const auto& k) { return k.tanh; });
  def_unary(m, "gelu", [](const auto& k) { return k.gelu; });
  def_unary(m, "gelu_tanh", [](const auto& k) { return k.gelu_tanh; });
  def_unary(m, "silu", [](const auto& k) { return k.silu; });
  def_unary(m, "mish", [](const auto& k) { return k.mish; });
  def_unary_with(m, "leaky_relu", [](const auto& k) { return k.leaky_relu; }, "slope");
  def_unary_with(m, "elu", [](const auto& k) { return k.elu; }, "alpha", "scale", "input_scale");
  def_unary_with(m, "softplus", [](const auto& k) { return k.softplus; }, "beta", "threshold");
  def_unary_with(m, "clamp", [](const auto& k) { return k.clamp; }, "low", "high");
  def_binary(m, "add", "a", "b", [](const auto& k) { return k.add; });
  def_binary(m, "sub", "a", "b", [](const auto& k) { return k.sub; });
  def_binary(m, "mul", "a", "b", [](const auto& k) { return k.mul; });
  def_binary(m, "div", "a", "b", [](const auto& k) { return k.div; });
  def_binary(m, "maximum", "a", "b", [](const auto& k) { return k.maximum; });
  def_binary(m, "minimum", "a", "b", [](const auto& k) { return k.minimum; });
  m.def("where", &where, py::arg("condition"), py::arg("a"), py::arg("b"));
}

void bind_backward(py::module_& m) {
  def_binary(m, "relu_backward", "grad", "y", [](const auto& k) { return k.relu_backward; });
  def_binary(m, "sigmoid_backward", "grad", "y", [](const auto& k) { return k.sigmoid_backward; });
  def_binary(m, "tanh_backward", "grad", "y", [](const auto& k) { return k.tanh_backward; });
  def_binary(m, "abs_backward", "grad", "x", [](const auto& k) { return k.abs_backward; });
  def_binary(m, "sinc_backward", "grad", "x", [](const auto& k) { return k.sinc_backward; });
  def_binary(m, "gelu_backward", "grad", "x", [](const auto& k) { return k.gelu_backward; });
  def_binary(m, "gelu_tanh_backward", "grad", "x", [](const auto& k) { return k.gelu_tanh_backward; });
  def_binary(m, "silu_backward", "grad", "x", [](const auto& k) { return k.silu_backward; });
  def_binary(m, "mish_backward", "grad", "x", [](const auto& k) { return k.mish_backward; });
  def_binary_with(m, "leaky_relu_backward", [](const auto& k) { return k.leaky_relu_backward; }, "slope");
  def_binary_with(m, "elu_backward", [](const auto& k) { return k.elu_backward; }, "alpha", "scale", "input_scale");
  def_binary_with(m, "softplus_backward", [](const auto& k) { return k.softplus_backward; }, "beta", "threshold");
  def_binary_with(m, "clamp_backward", [](const auto& k) { return k.clamp_backward; }, "low", "high");
  def_binary_with(m, "hardtanh_backward", [](const auto& k) { return k.hardtanh_backward; }, "low", "high");
  def_ternary(m, "maximum_backward", [](const auto& k) { return k.maximum_backward; });
  def_ternary(m, "minimum_backward", [](const auto& k) { return k.minimum_backward; });
}

}  // namespace

void bind_elementwise(py::module_& m) {
  bind_forward(m);
  bind_backward(m);
}

}  // namespace tinydl
