#include "contract/embedding.h"

#include "bind/families.h"
#include "bind/indices.h"

namespace tinydl {

namespace {

Layout with_width(const Layout& index, int64_t width) {
  Layout out = index;
  check(index.ndim < kMaxDims, "embedding: got indices of ", index.ndim, " axes, wanted fewer than ", kMaxDims);
  out.shape[out.ndim++] = width;
  return row_major(out);
}

// w[index], of shape (*index.shape, width).
Array embedding(const Array& weight, const Array& index) {
  constexpr const char* op = "embedding";
  return by_float_type(op, weight, [&](auto type) {
    using T = decltype(type);
    const Layout table = layout_of(op, weight);
    check(table.ndim == 2, op, ": got a weight of shape ", table, ", wanted (num_embeddings, embedding_dim)");
    const Indices at(op, index, table.shape[0], false);
    const Array dense = as_row_major(op, weight);
    Layout shape;
    shape.ndim = static_cast<int>(index.ndim());
    for (int d = 0; d < shape.ndim; ++d) shape.shape[d] = index.shape(d);
    Array y = empty(with_width(shape, table.shape[1]), weight.dtype());
    T* to = mutable_data_of<T>(y);
    Unlocked unlocked;
    embedding_kernels<T>().embedding(at.count(), table.shape[1], data_of<T>(dense), at.data(), to);
    return y;
  });
}

// The gradient of a table of `rows` rows; `padding` is the row that gets none, or -1.
Array embedding_backward(const Array& grad, const Array& index, int64_t rows, int64_t padding, bool by_frequency) {
  constexpr const char* op = "embedding_backward";
  return by_float_type(op, grad, [&](auto type) {
    using T = decltype(type);
    const Layout in = layout_of(op, grad);
    check(in.ndim == index.ndim() + 1 && rows >= 0 && padding >= -1 && padding < rows, op, ": got a gradient of shape ",
          in, " for indices of ", index.ndim(), " axes, ", rows, " rows and padding ", padding);
    for (int d = 0; d < in.ndim - 1; ++d)
      check(in.shape[d] == index.shape(d), op, ": got a gradient of shape ", in, " whose axis ", d, " is not ",
            index.shape(d), " as the indices'");
    const Indices at(op, index, rows, false);
    const Array dense = as_row_major(op, grad);
    const int64_t width = in.shape[in.ndim - 1];
    Layout table;
    table.ndim = 2;
    table.shape[0] = rows;
    table.shape[1] = width;
    Array dw = empty(row_major(table), grad.dtype());
    T* to = mutable_data_of<T>(dw);
    Unlocked unlocked;
    embedding_kernels<T>().embedding_backward(rows, at.count(), width, data_of<T>(dense), at.data(), padding,
                                              by_frequency, to);
    return dw;
  });
}

}  // namespace

void bind_embedding(py::module_& m) {
  m.def("embedding", &embedding, py::arg("weight"), py::arg("index"));
  m.def("embedding_backward", &embedding_backward, py::arg("grad"), py::arg("index"), py::arg("rows"),
        py::arg("padding"), py::arg("by_frequency"));
}

}  // namespace tinydl
