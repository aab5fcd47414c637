#include "bind/activation.h"

namespace tinydl {

Activation parse_activation(const char* op, const std::string& name) {
  if (name == "none") return Activation::none;
  if (name == "relu") return Activation::relu;
  if (name == "sigmoid") return Activation::sigmoid;
  if (name == "tanh") return Activation::tanh;
  fail(op, ": got activation '", name, "', wanted none, relu, sigmoid or tanh");
}

Array bias_row(const char* op, const py::object& bias, const py::dtype& dtype, int64_t n) {
  if (bias.is_none()) return no_array();
  if (!py::isinstance<Array>(bias)) throw TypeError(text(op, ": the bias must be an array or None"));
  const auto row = py::reinterpret_borrow<Array>(bias);
  require_dtype(op, dtype, row);
  const Layout layout = layout_of(op, row);
  check(layout.ndim == 1 && layout.shape[0] == n, op, ": got a bias of shape ", layout, ", wanted (", n, ",)");
  return as_row_major(op, row);
}

}  // namespace tinydl
