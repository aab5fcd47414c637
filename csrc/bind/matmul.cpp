#include "contract/matmul.h"

#include <utility>

#include "bind/activation.h"
#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

Layout without_last_two(const Layout& a) {
  Layout out = a;
  out.ndim -= 2;
  return out;
}

template <class T>
MatrixOperand<T> matrices(const Array& a, const Layout& layout) {
  return {data_of<T>(a), layout.stride[layout.ndim - 2], layout.stride[layout.ndim - 1]};
}

// The shapes of a (..., m, k) @ b (..., k, n), and an uninitialised C (..., m, n).
struct Product {
  Layout a, b;
  int64_t m = 0, n = 0, k = 0;
  LoopNest batch;  // over the axes but the last two, broadcast
  Array c = no_array();

  Product(const Array& left, const Array& right) : a(layout_of("matmul", left)), b(layout_of("matmul", right)) {
    check(a.ndim >= 2 && b.ndim >= 2, "matmul: got shapes ", a, " and ", b, ", wanted matrices or batches of matrices");
    m = a.shape[a.ndim - 2], k = a.shape[a.ndim - 1], n = b.shape[b.ndim - 1];
    check(b.shape[b.ndim - 2] == k, "matmul: shapes ", a, " and ", b, " do not fit: the first has ", k,
          " columns, the second ", b.shape[b.ndim - 2], " rows");
    const Layout batch_a = without_last_two(a), batch_b = without_last_two(b);
    Layout out;
    check(broadcast_shapes(batch_a, batch_b, out), "matmul: batch shapes of ", a, " and ", b, " do not broadcast");
    const Layout from_a = broadcast_to(batch_a, out), from_b = broadcast_to(batch_b, out), to = row_major(out);
    const Layout* operands[] = {&from_a, &from_b, &to};
    batch = plan_loops(operands, 3);
    out.shape[out.ndim++] = m;
    out.shape[out.ndim++] = n;
    c = empty(row_major(out), left.dtype());
  }
};

Array matmul(const Array& a, const Array& b, const py::object& bias, const std::string& activation) {
  require_same_dtype("matmul", a, b);
  return by_float_type("matmul", a, [&](auto type) {
    using T = decltype(type);
    Product p(a, b);
    const Array dense_bias = bias_row("matmul", bias, a.dtype(), p.n);
    const Epilogue<T> epilogue{dense_bias ? data_of<T>(dense_bias) : nullptr, parse_activation("matmul", activation)};
    Array c = std::move(p.c);
    T* to = mutable_data_of<T>(c);
    Unlocked unlocked;
    matmul_kernels<T>().matmul(p.batch, p.m, p.n, p.k, matrices<T>(a, p.a), matrices<T>(b, p.b), epilogue, to);
    return c;  // moved: to count a reference takes the lock
  });
}

// The same of bfloat16 values, which arrive and leave as their bits, NumPy having no such type; the bias is float32.
Array matmul_bfloat16(const Array& a, const Array& b, const py::object& bias, const std::string& activation) {
  for (const Array& given : {a, b})
    if (type_number(given) != py::detail::npy_api::NPY_USHORT_)
      fail_dtype("matmul_bfloat16", given, "uint16, the values' bits");
  Product p(a, b);
  const Array dense_bias = bias_row("matmul_bfloat16", bias, py::dtype::of<float>(), p.n);
  const Epilogue<float> epilogue{dense_bias ? data_of<float>(dense_bias) : nullptr,
                                 parse_activation("matmul_bfloat16", activation)};
  Array c = std::move(p.c);
  Bfloat16* to = mutable_data_of<Bfloat16>(c);
  Unlocked unlocked;
  matmul_kernels<float>().matmul_bfloat16(p.batch, p.m, p.n, p.k, matrices<Bfloat16>(a, p.a),
                                          matrices<Bfloat16>(b, p.b), epilogue, to);
  return c;  // moved: to count a reference takes the lock
}

}  // namespace

void bind_matmul(py::module_& m) {
  m.def("matmul", &matmul, py::arg("a"), py::arg("b"), py::arg("bias") = py::none(), py::arg("activation") = "none");
  m.def("matmul_bfloat16", &matmul_bfloat16, py::arg("a"), py::arg("b"), py::arg("bias") = py::none(),
        py::arg("activation") = "none");
}

}  // namespace tinydl
