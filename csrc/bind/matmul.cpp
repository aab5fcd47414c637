#include "cpu/matmul/matmul.h"

#include <vector>

#include "bind/activation.h"
#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

// The batch axes (all but the last two) of both operands, broadcast; the offset of each matrix.
struct Batch {
  Layout shape;
  std::vector<int64_t> a_offsets, b_offsets;
};

Layout without_last_two(const Layout& a) {
  Layout out = a;
  out.ndim -= 2;
  return out;
}

std::vector<int64_t> matrix_offsets(const Layout& batch) {
  std::vector<int64_t> offsets{0};
  for (int d = 0; d < batch.ndim; ++d) {
    std::vector<int64_t> next;
    next.reserve(offsets.size() * static_cast<size_t>(batch.shape[d]));
    for (const int64_t base : offsets)
      for (int64_t i = 0; i < batch.shape[d]; ++i) next.push_back(base + i * batch.stride[d]);
    offsets = std::move(next);
  }
  return offsets;
}

Batch plan_batch(const Layout& a, const Layout& b) {
  Batch out;
  const Layout batch_a = without_last_two(a), batch_b = without_last_two(b);
  check(broadcast_shapes(batch_a, batch_b, out.shape), "matmul: batch shapes of ", a, " and ", b, " do not broadcast");
  out.a_offsets = matrix_offsets(broadcast_to(batch_a, out.shape));
  out.b_offsets = matrix_offsets(broadcast_to(batch_b, out.shape));
  return out;
}

template <class T>
MatrixBatch<T> matrices(const py::array& a, const Layout& layout, const std::vector<int64_t>& offsets) {
  return {data_of<T>(a), layout.stride[layout.ndim - 2], layout.stride[layout.ndim - 1], offsets.data()};
}

// a (..., m, k) @ b (..., k, n) -> (..., m, n)
py::array matmul(const py::array& a, const py::array& b, const py::object& bias, const std::string& activation) {
  require_same_dtype("matmul", a, b);
  return by_float_type("matmul", a, [&](auto type) {
    using T = decltype(type);
    const Layout la = layout_of("matmul", a), lb = layout_of("matmul", b);
    check(la.ndim >= 2 && lb.ndim >= 2, "matmul: got shapes ", la, " and ", lb,
          ", wanted matrices or batches of matrices");
    const int64_t m = la.shape[la.ndim - 2], k = la.shape[la.ndim - 1], n = lb.shape[lb.ndim - 1];
    check(lb.shape[lb.ndim - 2] == k, "matmul: shapes ", la, " and ", lb, " do not fit: the first has ", k,
          " columns, the second ", lb.shape[lb.ndim - 2], " rows");
    const Batch batch = plan_batch(la, lb);
    const py::array dense_bias = bias_row("matmul", bias, a, n);
    const Epilogue<T> epilogue{dense_bias ? data_of<T>(dense_bias) : nullptr, parse_activation("matmul", activation)};
    Layout out = batch.shape;
    out.shape[out.ndim++] = m;
    out.shape[out.ndim++] = n;
    py::array c = empty(row_major(out), a.dtype());
    T* to = mutable_data_of<T>(c);
    py::gil_scoped_release unlocked;
    matmul_kernels<T>().matmul(static_cast<int64_t>(batch.a_offsets.size()), m, n, k,
                               matrices<T>(a, la, batch.a_offsets), matrices<T>(b, lb, batch.b_offsets), epilogue, to);
    return c;
  });
}

}  // namespace

void bind_matmul(py::module_& m) {
  m.def("matmul", &matmul, py::arg("a"), py::arg("b"), py::arg("bias") = py::none(), py::arg("activation") = "none");
}

}  // namespace tinydl
