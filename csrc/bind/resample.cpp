#include "contract/resample.h"

#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

// A row-major vector of `length` int64.
const int64_t* indices(const char* op, const char* name, const Array& a, int64_t length) {
  if (type_number(a) != py::dtype::of<int64_t>().num()) fail_dtype(op, a, "int64 for start and count");
  const Layout layout = layout_of(op, a);
  check(layout.ndim == 1 && layout.shape[0] == length && (length < 2 || layout.stride[0] == 1), op, ": got ", name,
        " of shape ", layout, ", wanted a gapless vector of ", length);
  return data_of<int64_t>(a);
}

// The matrix that the arrays describe, each of its rows inside [0, in) as far as its kernels look.
template <class T>
BandMatrix<T> band_matrix(const char* op, const Array& start, const Array& count, const Array& weight, int64_t in) {
  const Layout w = layout_of(op, weight);
  check(w.ndim == 2 && (same_strides(w, row_major(w)) || element_count(w) == 0), op, ": got weights of shape ", w,
        ", wanted row-major (outputs, taps)");
  BandMatrix<T> m{in, w.shape[0], w.shape[1], nullptr, nullptr, data_of<T>(weight)};
  m.start = indices(op, "start", start, m.out);
  m.count = indices(op, "count", count, m.out);
  const WrongBand wrong = resample_kernels<T>().find_wrong(m);
  check(wrong.row < 0, op, ": row ", wrong.row, " starts at ", wrong.start, " with ", wrong.count,
        " weights, of at most ", m.taps, ", and the axis has ", in, " elements");
  return m;
}

Array resample_axis(const Array& x, int axis, const Array& start, const Array& count, const Array& weight) {
  constexpr const char* op = "resample_axis";
  require_same_dtype(op, x, weight);
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Layout in = layout_of(op, x);
    check(in.ndim >= 3, op, ": got an input of shape ", in, ", wanted (N, C, D1, ...)");
    check(axis >= 2 && axis < in.ndim, op, ": axis ", axis, " is no spatial axis of shape ", in);
    const BandMatrix<T> matrix = band_matrix<T>(op, start, count, weight, in.shape[axis]);
    const Array dense = as_layout(op, x, channels_innermost(in));
    Layout out = in;
    out.shape[axis] = matrix.out;
    Array y = empty(channels_innermost(out), x.dtype());
    int64_t outer = in.shape[0], inner = in.shape[1];
    for (int d = 2; d < in.ndim; ++d)
      if (d != axis) (d < axis ? outer : inner) *= in.shape[d];
    T* to = mutable_data_of<T>(y);
    Unlocked unlocked;
    resample_kernels<T>().axis(matrix, outer, inner, data_of<T>(dense), to);
    return y;
  });
}

// Both of the last two axes.
Array resample_plane(const Array& x, const Array& h_start, const Array& h_count, const Array& h_weight,
                     const Array& w_start, const Array& w_count, const Array& w_weight) {
  constexpr const char* op = "resample_plane";
  require_same_dtype(op, x, h_weight);
  require_same_dtype(op, x, w_weight);
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Layout in = layout_of(op, x);
    check(in.ndim >= 4, op, ": got an input of shape ", in, ", wanted (N, C, ..., H, W)");
    const int h = in.ndim - 2, w = in.ndim - 1;
    const BandMatrix<T> rows = band_matrix<T>(op, h_start, h_count, h_weight, in.shape[h]);
    const BandMatrix<T> columns = band_matrix<T>(op, w_start, w_count, w_weight, in.shape[w]);
    const Array dense = as_layout(op, x, channels_innermost(in));
    Layout out = in;
    out.shape[h] = rows.out;
    out.shape[w] = columns.out;
    Array y = empty(channels_innermost(out), x.dtype());
    int64_t outer = in.shape[0];
    for (int d = 2; d < h; ++d) outer *= in.shape[d];
    T* to = mutable_data_of<T>(y);
    Unlocked unlocked;
    resample_kernels<T>().plane(rows, columns, outer, in.shape[1], data_of<T>(dense), to);
    return y;
  });
}

}  // namespace

void bind_resample(py::module_& m) {
  m.def("resample_axis", &resample_axis, py::arg("x"), py::arg("axis"), py::arg("start"), py::arg("count"),
        py::arg("weight"));
  m.def("resample_plane", &resample_plane, py::arg("x"), py::arg("h_start"), py::arg("h_count"), py::arg("h_weight"),
        py::arg("w_start"), py::arg("w_count"), py::arg("w_weight"));
}

}  // namespace tinydl
