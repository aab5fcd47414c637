#include "contract/norm.h"

#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

// (2, ...): the means, then the variances.
Array empty_moments(int64_t outer, int64_t groups) {
  Layout layout;
  layout.ndim = 3;
  layout.shape[0] = 2, layout.shape[1] = outer, layout.shape[2] = groups;
  return empty(row_major(layout), py::dtype::of<double>());
}

Moments moments_of(Array& stats) {
  double* mean = mutable_data_of<double>(stats);
  return {mean, mean + stats.size() / 2};
}

// Throws unless `stats` is what the forward pass returned for as many statistics.
Array check_moments(const char* op, const Array& stats, int64_t outer, int64_t groups) {
  if (type_number(stats) != py::detail::npy_api::NPY_DOUBLE_) fail_dtype(op, stats, "float64 for the statistics");
  const Layout got = layout_of(op, stats);
  check(got.ndim == 3 && got.shape[0] == 2 && got.shape[1] == outer && got.shape[2] == groups, op,
        ": got statistics of shape ", got, ", wanted (2, ", outer, ", ", groups, ")");
  return as_row_major(op, stats);
}

// A parameter of the wanted shape as dense memory; a null array for None.
Array parameter(const char* op, const char* name, const py::object& value, const Array& x, const Layout& wanted) {
  if (value.is_none()) return no_array();
  if (!py::isinstance<Array>(value)) throw TypeError(text(op, ": ", name, " must be an array or None"));
  const auto array = py::reinterpret_borrow<Array>(value);
  require_same_dtype(op, x, array);
  const Layout got = layout_of(op, array);
  check(same_shape(got, wanted), op, ": got ", name, " of shape ", got, ", wanted ", wanted);
  return as_row_major(op, array);
}

template <class T>
const T* data_or_null(const Array& a) {
  return a ? data_of<T>(a) : nullptr;
}
template <class T>
T* data_or_null(Array& a) {
  return a ? mutable_data_of<T>(a) : nullptr;
}

void check_gradient(const char* op, const Layout& grad, const Layout& x) {
  check(same_shape(grad, x), op, ": got a gradient of shape ", grad, " for an input of shape ", x);
}

// -- Columns ----------------------------------------------------------------------------------------------------

// The statistics of x (N, C, ...) are over N and the trailing axes, or, with groups > 0, of each image's groups.
NormColumns columns_of(const char* op, const Layout& x, int64_t groups) {
  check(x.ndim >= 2, op, ": got an input of shape ", x, ", wanted (N, C, ...)");
  const int64_t channels = x.shape[1];
  check(groups >= 0 && (groups == 0 || channels % groups == 0), op, ": ", channels, " channels cannot be split into ",
        groups, " equal groups");
  int64_t pixels = 1;
  for (int d = 2; d < x.ndim; ++d) pixels *= x.shape[d];
  if (groups == 0) return {1, x.shape[0] * pixels, channels, channels};
  return {x.shape[0], pixels, channels, groups};
}

Layout channel_vector(const Layout& x) {
  Layout out;
  out.ndim = 1;
  out.shape[0] = x.shape[1];
  out.stride[0] = 1;
  return out;
}

// (y, statistics (2, outer, groups)); with `mean` and `var`, those are the statistics.
py::tuple channel_norm(const Array& x, const py::object& weight, const py::object& bias, const py::object& mean,
                       const py::object& var, int64_t groups, double eps) {
  constexpr const char* op = "channel_norm";
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Layout in = layout_of(op, x);
    const NormColumns g = columns_of(op, in, groups);
    check(mean.is_none() == var.is_none() && (mean.is_none() || groups == 0), op,
          ": mean and var come together, and without groups");
    const Layout vector = channel_vector(in), layout = channels_innermost(in);
    const Array w = parameter(op, "weight", weight, x, vector), b = parameter(op, "bias", bias, x, vector);
    const Array fixed_mean = parameter(op, "mean", mean, x, vector), fixed_var = parameter(op, "var", var, x, vector);
    const Array dense = as_layout(op, x, layout);
    Array y = empty(layout, x.dtype()), stats = empty_moments(g.outer, g.groups);
    const Moments m = moments_of(stats);
    T* to = mutable_data_of<T>(y);
    {
      Unlocked unlocked;
      const NormKernels<T>& kernels = norm_kernels<T>();
      if (fixed_mean)
        kernels.widen_moments(g.channels, data_of<T>(fixed_mean), data_of<T>(fixed_var), m);
      else if (g.channels > 0)
        kernels.column_moments(g, data_of<T>(dense), m);
      if (g.channels > 0) kernels.column_norm(g, data_of<T>(dense), m, eps, data_or_null<T>(w), data_or_null<T>(b), to);
    }
    return py::make_tuple(y, stats);
  });
}

// (dx, dw, db), None where it was not asked for.
py::tuple channel_norm_backward(const Array& grad, const Array& x, const py::object& weight, const Array& stats,
                                int64_t groups, double eps, bool fixed, bool want_dx, bool want_parameters) {
  constexpr const char* op = "channel_norm_backward";
  require_same_dtype(op, x, grad);
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Layout in = layout_of(op, x);
    const NormColumns g = columns_of(op, in, groups);
    check_gradient(op, layout_of(op, grad), in);
    const Layout vector = channel_vector(in), layout = channels_innermost(in);
    const Array w = parameter(op, "weight", weight, x, vector);
    Array dense_stats = check_moments(op, stats, g.outer, g.groups);
    const Array dense = as_layout(op, x, layout), dy = as_layout(op, grad, layout);
    Array dx = want_dx ? empty(layout, x.dtype()) : no_array();
    Array dw = want_parameters ? empty(vector, x.dtype()) : no_array();
    Array db = want_parameters ? empty(vector, x.dtype()) : no_array();
    const Moments m = moments_of(dense_stats);
    T *to_x = data_or_null<T>(dx), *to_w = data_or_null<T>(dw), *to_b = data_or_null<T>(db);
    {
      Unlocked unlocked;
      if (g.channels > 0)
        norm_kernels<T>().column_norm_backward(g, fixed, data_of<T>(dy), data_of<T>(dense), m, eps, data_or_null<T>(w),
                                               to_x, to_w, to_b);
    }
    return py::make_tuple(or_none(dx), or_none(dw), or_none(db));
  });
}

// Updates the running statistics in place.
void update_running(Array& running_mean, Array& running_var, const Array& stats, double factor, double correction) {
  constexpr const char* op = "update_running";
  require_same_dtype(op, running_mean, running_var);
  const Layout mean = layout_of(op, running_mean), var = layout_of(op, running_var);
  check(mean.ndim == 1 && same_shape(mean, var), op, ": got running statistics of shapes ", mean, " and ", var);
  check(running_mean.writeable() && running_var.writeable(), op, ": the running statistics are read-only");
  const Layout got = layout_of(op, stats);
  check(got.ndim == 3, op, ": got statistics of shape ", got, ", wanted (2, outer, groups)");
  Array dense = check_moments(op, stats, got.shape[1], mean.shape[0]);
  const Moments m = moments_of(dense);
  by_float_type(op, running_mean, [&](auto type) {
    using T = decltype(type);
    const RunningMoments<T> running{mutable_data_of<T>(running_mean),
                                    mutable_data_of<T>(running_var),
                                    mean.shape[0],
                                    mean.stride[0],
                                    var.stride[0],
                                    factor,
                                    correction};
    Unlocked unlocked;
    norm_kernels<T>().update_running(running, got.shape[1], m);
  });
}

// -- Rows -------------------------------------------------------------------------------------------------------

// The last `axes` axes of x are a row.
NormRows rows_of(const char* op, const Layout& x, int axes, bool centered) {
  check(axes >= 1 && axes <= x.ndim, op, ": got ", axes, " axes for an input of shape ", x);
  NormRows g{1, 1, centered};
  for (int d = 0; d < x.ndim; ++d) (d < x.ndim - axes ? g.rows : g.n) *= x.shape[d];
  return g;
}

Layout trailing(const Layout& x, int axes) {
  Layout out;
  out.ndim = axes;
  for (int d = 0; d < axes; ++d) out.shape[d] = x.shape[x.ndim - axes + d];
  return row_major(out);
}

// (y, statistics (2, 1, rows))
py::tuple row_norm(const Array& x, const py::object& weight, const py::object& bias, int axes, double eps,
                   bool centered) {
  constexpr const char* op = "row_norm";
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Layout in = layout_of(op, x);
    const NormRows g = rows_of(op, in, axes, centered);
    const Layout row = trailing(in, axes);
    const Array w = parameter(op, "weight", weight, x, row), b = parameter(op, "bias", bias, x, row);
    const Array dense = as_row_major(op, x);
    Array y = empty(row_major(in), x.dtype()), stats = empty_moments(1, g.rows);
    const Moments m = moments_of(stats);
    T* to = mutable_data_of<T>(y);
    {
      Unlocked unlocked;
      norm_kernels<T>().row_norm(g, data_of<T>(dense), eps, data_or_null<T>(w), data_or_null<T>(b), m, to);
    }
    return py::make_tuple(y, stats);
  });
}

// (dx, dw, db), None where it was not asked for.
py::tuple row_norm_backward(const Array& grad, const Array& x, const py::object& weight, const Array& stats, int axes,
                            double eps, bool centered, bool want_dx, bool want_parameters) {
  constexpr const char* op = "row_norm_backward";
  require_same_dtype(op, x, grad);
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Layout in = layout_of(op, x);
    const NormRows g = rows_of(op, in, axes, centered);
    check_gradient(op, layout_of(op, grad), in);
    const Layout row = trailing(in, axes);
    const Array w = parameter(op, "weight", weight, x, row);
    Array dense_stats = check_moments(op, stats, 1, g.rows);
    const Array dense = as_row_major(op, x), dy = as_row_major(op, grad);
    Array dx = want_dx ? empty(row_major(in), x.dtype()) : no_array();
    Array dw = want_parameters ? empty(row, x.dtype()) : no_array();
    Array db = want_parameters ? empty(row, x.dtype()) : no_array();
    const Moments m = moments_of(dense_stats);
    T *to_x = data_or_null<T>(dx), *to_w = data_or_null<T>(dw), *to_b = data_or_null<T>(db);
    {
      Unlocked unlocked;
      norm_kernels<T>().row_norm_backward(g, data_of<T>(dy), data_of<T>(dense), m, eps, data_or_null<T>(w), to_x, to_w,
                                          to_b);
    }
    return py::make_tuple(or_none(dx), or_none(dw), or_none(db));
  });
}

}  // namespace

void bind_norm(py::module_& m) {
  m.def("channel_norm", &channel_norm, py::arg("x"), py::arg("weight"), py::arg("bias"), py::arg("mean"),
        py::arg("var"), py::arg("groups"), py::arg("eps"));
  m.def("channel_norm_backward", &channel_norm_backward, py::arg("grad"), py::arg("x"), py::arg("weight"),
        py::arg("stats"), py::arg("groups"), py::arg("eps"), py::arg("fixed"), py::arg("want_dx"),
        py::arg("want_parameters"));
  m.def("update_running", &update_running, py::arg("running_mean"), py::arg("running_var"), py::arg("stats"),
        py::arg("factor"), py::arg("correction"));
  m.def("row_norm", &row_norm, py::arg("x"), py::arg("weight"), py::arg("bias"), py::arg("axes"), py::arg("eps"),
        py::arg("centered"));
  m.def("row_norm_backward", &row_norm_backward, py::arg("grad"), py::arg("x"), py::arg("weight"), py::arg("stats"),
        py::arg("axes"), py::arg("eps"), py::arg("centered"), py::arg("want_dx"), py::arg("want_parameters"));
}

}  // namespace tinydl
