#include "contract/recurrent.h"

#include <initializer_list>
#include <string>

#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

Cell cell_of(const char* op, const std::string& name) {
  if (name == "rnn_tanh") return Cell::rnn_tanh;
  if (name == "rnn_relu") return Cell::rnn_relu;
  if (name == "lstm") return Cell::lstm;
  if (name == "gru") return Cell::gru;
  fail(op, ": got cell '", name, "', wanted rnn_tanh, rnn_relu, lstm or gru");
}

Layout shape_of(std::initializer_list<int64_t> sizes) {
  Layout out;
  for (const int64_t size : sizes) out.shape[out.ndim++] = size;
  return row_major(out);
}

// The layer's sizes, and its optional operands as dense arrays.
struct RecurrentOperands {
  const char* op;
  Cell cell;
  SequenceShape shape;
  py::dtype dtype;

  RecurrentOperands(const char* op, const std::string& name, const Array& gates, const Array& weight, bool reverse)
      : op(op), cell(cell_of(op, name)), dtype(gates.dtype()) {
    const Layout g = layout_of(op, gates), w = layout_of(op, weight);
    const int count = gates_of(cell);
    check(w.ndim == 2 && w.shape[0] == count * w.shape[1], op, ": got a weight of shape ", w, ", wanted (", count,
          " hidden, hidden)");
    check(g.ndim == 3 && g.shape[2] == w.shape[0], op, ": got gates of shape ", g, ", wanted (steps, batch, ",
          w.shape[0], ")");
    shape = {g.shape[0], g.shape[1], w.shape[1], reverse};
  }

  // A dense array of the shape wanted, or a null one for None.
  Array optional(const char* what, const py::object& value, std::initializer_list<int64_t> sizes) const {
    if (value.is_none()) return no_array();
    return required(what, value, sizes);
  }
  Array required(const char* what, const py::object& value, std::initializer_list<int64_t> sizes) const {
    const Array array = array_of(what, value, dtype.num(), "that of the gates");
    const Layout got = layout_of(op, array), wanted = shape_of(sizes);
    check(same_shape(got, wanted), op, ": got ", what, " of shape ", got, ", wanted ", wanted);
    return as_row_major(op, array);
  }
  Array mask_of_steps(const py::object& value) const {
    if (value.is_none()) return no_array();
    const Array array = array_of("valid", value, py::detail::npy_api::NPY_BOOL_, "bool");
    const Layout got = layout_of(op, array), wanted = shape_of({shape.steps, shape.batch});
    check(same_shape(got, wanted), op, ": got valid of shape ", got, ", wanted ", wanted);
    return as_row_major(op, array);
  }
  Array states() const { return empty(shape_of({shape.steps, shape.batch, shape.hidden}), dtype); }
  Array state() const { return empty(shape_of({shape.batch, shape.hidden}), dtype); }

 private:
  Array array_of(const char* what, const py::object& value, int type, const char* wanted) const {
    if (!py::isinstance<Array>(value))
      throw TypeError(text(op, ": got ", what, " of type ",
                           py::str(py::type::of(value).attr("__name__")).cast<std::string>(), ", wanted an array"));
    const Array array = py::reinterpret_borrow<Array>(value);
    if (type_number(array) != type)
      throw TypeError(
          text(op, ": got ", what, " of ", py::str(array.dtype()).cast<std::string>(), ", wanted ", wanted));
    return array;
  }
};

template <class T>
const T* pointer(const Array& a) {
  return a ? data_of<T>(a) : nullptr;
}
template <class T>
T* mutable_pointer(Array& a) {
  return a ? mutable_data_of<T>(a) : nullptr;
}
// (h, c, candidate) of all time steps; `gates`, dense, comes with the input's part and leaves with the gates' values.
py::tuple recurrent(const std::string& name, Array& gates, const Array& weight, const py::object& bias,
                    const py::object& h0, const py::object& c0, const py::object& mask, const py::object& valid,
                    bool reverse) {
  constexpr const char* op = "recurrent";
  const RecurrentOperands o(op, name, gates, weight, reverse);
  const int64_t batch = o.shape.batch, hidden = o.shape.hidden;
  check(gates.writeable() && is_row_major(layout_of(op, gates)), op, ": the gates must be dense and writeable");
  const Array u = o.required("a weight", weight, {gates_of(o.cell) * hidden, hidden});
  const Array b = o.optional("a bias", bias, {gates_of(o.cell) * hidden});
  const Array first_h = o.optional("h0", h0, {batch, hidden}), first_c = o.optional("c0", c0, {batch, hidden});
  const Array factors = o.optional("a mask", mask, {batch, hidden}), steps = o.mask_of_steps(valid);
  Array h = o.states(), c = o.cell == Cell::lstm ? o.states() : no_array(),
        candidate = o.cell == Cell::gru ? o.states() : no_array();
  by_float_type(op, gates, [&](auto type) {
    using T = decltype(type);
    const Sequence<T> s{pointer<T>(u),
                        pointer<T>(b),
                        pointer<T>(first_h),
                        pointer<T>(first_c),
                        pointer<T>(factors),
                        pointer<bool>(steps),
                        mutable_data_of<T>(gates),
                        mutable_pointer<T>(h),
                        mutable_pointer<T>(c),
                        mutable_pointer<T>(candidate)};
    Unlocked unlocked;
    recurrent_kernels<T>().forward(o.cell, o.shape, s);
  });
  return py::make_tuple(h, or_none(c), or_none(candidate));
}

// (dgates, drecurrent, dh0, dc0); drecurrent is dgates itself unless the cell is gru.
py::tuple recurrent_backward(const std::string& name, const py::object& dh, const py::object& dh_last,
                             const py::object& dc_last, Array& gates, const Array& weight, const Array& h,
                             const py::object& c, const py::object& candidate, const py::object& h0,
                             const py::object& c0, const py::object& mask, const py::object& valid, bool reverse) {
  constexpr const char* op = "recurrent_backward";
  const RecurrentOperands o(op, name, gates, weight, reverse);
  const int64_t steps = o.shape.steps, batch = o.shape.batch, hidden = o.shape.hidden, wide = gates_of(o.cell) * hidden;
  const Array values = o.required("gates", gates, {steps, batch, wide});
  const Array u = o.required("a weight", weight, {wide, hidden});
  const Array states = o.required("h", h, {steps, batch, hidden});
  const Array cells = o.cell == Cell::lstm ? o.required("c", c, {steps, batch, hidden}) : no_array();
  const Array n = o.cell == Cell::gru ? o.required("candidate", candidate, {steps, batch, hidden}) : no_array();
  const Array first_h = o.optional("h0", h0, {batch, hidden}), first_c = o.optional("c0", c0, {batch, hidden});
  const Array factors = o.optional("a mask", mask, {batch, hidden}), kept = o.mask_of_steps(valid);
  const Array grad = o.optional("dh", dh, {steps, batch, hidden});
  const Array last_h = o.optional("dh_last", dh_last, {batch, hidden});
  const Array last_c = o.optional("dc_last", dc_last, {batch, hidden});
  Array dgates = empty(shape_of({steps, batch, wide}), o.dtype);
  Array drecurrent = o.cell == Cell::gru ? empty(shape_of({steps, batch, wide}), o.dtype) : dgates;
  Array dh0 = o.state(), dc0 = o.cell == Cell::lstm ? o.state() : no_array();
  by_float_type(op, gates, [&](auto type) {
    using T = decltype(type);
    const Sequence<T> s{pointer<T>(u),
                        nullptr,
                        pointer<T>(first_h),
                        pointer<T>(first_c),
                        pointer<T>(factors),
                        pointer<bool>(kept),
                        const_cast<T*>(pointer<T>(values)),
                        const_cast<T*>(pointer<T>(states)),
                        const_cast<T*>(pointer<T>(cells)),
                        const_cast<T*>(pointer<T>(n))};
    const SequenceGrad<T> d{pointer<T>(grad),
                            pointer<T>(last_h),
                            pointer<T>(last_c),
                            mutable_data_of<T>(dgates),
                            mutable_data_of<T>(drecurrent),
                            mutable_data_of<T>(dh0),
                            mutable_pointer<T>(dc0)};
    Unlocked unlocked;
    recurrent_kernels<T>().backward(o.cell, o.shape, s, d);
  });
  return py::make_tuple(dgates, drecurrent, dh0, or_none(dc0));
}

}  // namespace

void bind_recurrent(py::module_& m) {
  m.def("recurrent", &recurrent, py::arg("cell"), py::arg("gates"), py::arg("weight"), py::arg("bias") = py::none(),
        py::arg("h0") = py::none(), py::arg("c0") = py::none(), py::arg("mask") = py::none(),
        py::arg("valid") = py::none(), py::arg("reverse") = false);
  m.def("recurrent_backward", &recurrent_backward, py::arg("cell"), py::arg("dh"), py::arg("dh_last"),
        py::arg("dc_last"), py::arg("gates"), py::arg("weight"), py::arg("h"), py::arg("c"), py::arg("candidate"),
        py::arg("h0") = py::none(), py::arg("c0") = py::none(), py::arg("mask") = py::none(),
        py::arg("valid") = py::none(), py::arg("reverse") = false);
}

}  // namespace tinydl
