#include "cpu/loss/loss.h"

#include "bind/arrays.h"
#include "bind/families.h"
#include "cpu/reduce/reduce.h"

namespace tinydl {

namespace {

enum class Reduction { none, sum, mean };

Reduction parse_reduction(const char* op, const std::string& name) {
  if (name == "mean") return Reduction::mean;
  if (name == "sum") return Reduction::sum;
  check(name == "none", op, ": got reduction '", name, "', wanted 'mean', 'sum' or 'none'");
  return Reduction::none;
}

// The classes of the logits: axis 1, or the only axis. Its rows are all other axes in row-major order.
struct Rows {
  Layout logits;  // dense, classes innermost
  Layout outer;   // the shape of the losses, row-major
  int64_t rows, classes;
};

Rows rows_of(const char* op, const Layout& x) {
  check(x.ndim >= 1, op, ": got logits of shape (), wanted (C,), (N, C) or (N, C, d1, ...)");
  const int axis = x.ndim == 1 ? 0 : 1;
  Rows out;
  out.logits = axis_innermost(row_major(x), axis);
  out.classes = x.shape[axis];
  check(out.classes > 0, op, ": logits of shape ", x, " have no classes");
  Layout outer;
  for (int d = 0; d < x.ndim; ++d)
    if (d != axis) outer.shape[outer.ndim++] = x.shape[d];
  out.outer = row_major(outer);
  out.rows = element_count(out.outer);
  return out;
}

// "row 3", or "(0, 2, 5)" where the rows have several axes.
std::string position_text(const Layout& outer, int64_t row) {
  if (outer.ndim <= 1) return text("row ", row);
  Layout index = outer;
  for (int d = outer.ndim - 1; d >= 0; row /= outer.shape[d--]) index.shape[d] = row % outer.shape[d];
  return text(index);
}

bool is_integer(const py::array& a) { return a.dtype().kind() == 'i' || a.dtype().kind() == 'u'; }

// A row-major int64 copy: no other thread can change a label after it was checked.
py::array copy_of_labels(const py::array& target) {
  return py::array(target.attr("astype")(py::dtype::of<int64_t>(), "C"));
}

void check_labels(const char* op, const py::array& labels, const Rows& rows) {
  const int64_t* label = data_of<int64_t>(labels);
  bool wrong = false;
  for (int64_t r = 0; r < rows.rows; ++r)
    wrong |= static_cast<uint64_t>(label[r]) >= static_cast<uint64_t>(rows.classes);
  for (int64_t r = 0; wrong && r < rows.rows; ++r)
    if (label[r] < 0 || label[r] >= rows.classes)
      throw std::out_of_range(text(op, ": label ", label[r], " at ", position_text(rows.outer, r),
                                   " is out of range for ", rows.classes, " classes"));
}

// Whether the target holds probabilities (the logits' shape) instead of class indices (a shape without the
// classes).
bool is_soft(const char* op, const Layout& x, const Layout& target, const Rows& rows) {
  const bool soft = same_shape(x, target);
  check(soft || same_shape(target, rows.outer), op, ": logits of shape ", x, " need class indices of shape ",
        rows.outer, " or probabilities of shape ", x, ", got a target of shape ", target);
  return soft;
}

// The checked and laid out arguments that forward and backward share.
struct Problem {
  Rows rows;
  bool soft;
  py::array logits;
  py::array target;  // probabilities laid out as the logits, or int64 labels

  Problem(const char* op, const py::array& x, const py::array& given)
      : rows(rows_of(op, layout_of(op, x))), target(is_integer(given) ? copy_of_labels(given) : given) {
    soft = is_soft(op, layout_of(op, x), layout_of(op, target), rows);
    if (soft) {
      require_same_dtype(op, x, given);
      target = as_layout(op, target, rows.logits);
    } else {
      if (!is_integer(given)) fail_dtype(op, given, "integer class indices");
      check_labels(op, target, rows);
    }
    logits = as_layout(op, x, rows.logits);
  }

  // (2, rows): maxima and sums of exponentials; with probabilities (3, rows): their sums as well.
  Layout statistics() const {
    Layout out;
    out.ndim = 2;
    out.shape[0] = soft ? 3 : 2;
    out.shape[1] = rows.rows;
    return row_major(out);
  }
};

// (loss, statistics): the statistics are what backward reads.
py::tuple cross_entropy(const py::array& x, const py::array& target, const std::string& reduction) {
  constexpr const char* op = "cross_entropy";
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Reduction reduce = parse_reduction(op, reduction);
    const Problem p(op, x, target);
    const int64_t n = p.rows.rows, classes = p.rows.classes;
    py::array stats = empty(p.statistics(), x.dtype()), losses = empty(p.rows.outer, x.dtype());
    py::array reduced = reduce == Reduction::none ? losses : empty(Layout(), x.dtype());
    T *m = mutable_data_of<T>(stats), *loss = mutable_data_of<T>(losses), *total = mutable_data_of<T>(reduced);
    {
      py::gil_scoped_release unlocked;
      const T* logits = data_of<T>(p.logits);
      if (p.soft)
        loss_kernels<T>().soft_cross_entropy(n, classes, logits, data_of<T>(p.target), loss, m, m + n, m + 2 * n);
      else
        loss_kernels<T>().cross_entropy(n, classes, logits, data_of<int64_t>(p.target), loss, m, m + n);
      if (reduce != Reduction::none)
        reduce_kernels<T>().sum(1, n, 1, loss, reduce == Reduction::mean ? static_cast<T>(n) : T(1), total);
    }
    return py::make_tuple(reduced, stats);
  });
}

// The factor of each row: the gradient itself, or one value for all.
template <class T>
struct RowScale {
  py::array grad;
  T shared = 0;
  bool each;

  RowScale(const char* op, const py::array& upstream, const Rows& rows, Reduction reduce)
      : grad(upstream), each(reduce == Reduction::none) {
    const Layout got = layout_of(op, upstream);
    const Layout wanted = each ? rows.outer : Layout();
    check(same_shape(got, wanted), op, ": got a gradient of shape ", got, ", wanted ", wanted);
    if (each)
      grad = as_row_major(op, upstream);
    else
      shared = *data_of<T>(upstream) / (reduce == Reduction::mean ? static_cast<T>(rows.rows) : T(1));
  }
  const T* data() const { return each ? data_of<T>(grad) : &shared; }
  int64_t step() const { return each ? 1 : 0; }
};

py::array cross_entropy_backward(const py::array& grad, const py::array& x, const py::array& target,
                                 const py::array& stats, const std::string& reduction) {
  constexpr const char* op = "cross_entropy_backward";
  require_same_dtype(op, x, grad);
  require_same_dtype(op, x, stats);
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Problem p(op, x, target);
    const int64_t n = p.rows.rows, classes = p.rows.classes;
    const Layout kept = layout_of(op, stats);
    check(same_shape(kept, p.statistics()), op, ": got statistics of shape ", kept, ", wanted ", p.statistics());
    const RowScale<T> scale(op, grad, p.rows, parse_reduction(op, reduction));
    const py::array dense_stats = as_row_major(op, stats);
    py::array dx = empty(p.rows.logits, x.dtype());
    T* to = mutable_data_of<T>(dx);
    const T *m = data_of<T>(dense_stats), *logits = data_of<T>(p.logits);
    py::gil_scoped_release unlocked;
    if (p.soft)
      loss_kernels<T>().soft_cross_entropy_backward(n, classes, logits, data_of<T>(p.target), m, m + n, m + 2 * n,
                                                    scale.data(), scale.step(), to);
    else
      loss_kernels<T>().cross_entropy_backward(n, classes, logits, data_of<int64_t>(p.target), m, m + n, scale.data(),
                                               scale.step(), to);
    return dx;
  });
}

void check_pair(const char* op, const py::array& x, const py::array& target) {
  require_same_dtype(op, x, target);
  const Layout in = layout_of(op, x), other = layout_of(op, target);
  check(same_shape(in, other), op, ": got an input of shape ", in, " and a target of shape ", other,
        ", wanted equal shapes");
}

// (sum of (x - target)^2) / divisor, of shape ().
py::array squared_error(const py::array& x, const py::array& target, double divisor) {
  constexpr const char* op = "mse_loss";
  check_pair(op, x, target);
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const py::array dense = as_dense(op, x);
    const Layout layout = layout_of(op, dense);
    const py::array wanted = as_layout(op, target, layout);
    py::array y = empty(Layout(), x.dtype());
    T* to = mutable_data_of<T>(y);
    py::gil_scoped_release unlocked;
    loss_kernels<T>().squared_error(element_count(layout), data_of<T>(dense), data_of<T>(wanted), divisor, to);
    return y;
  });
}

// factor (x - target)
py::array squared_error_backward(const py::array& x, const py::array& target, double factor) {
  constexpr const char* op = "mse_loss_backward";
  check_pair(op, x, target);
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const py::array dense = as_dense(op, x);
    const Layout layout = layout_of(op, dense);
    const py::array wanted = as_layout(op, target, layout);
    py::array dx = empty(dense_like(layout), x.dtype());
    T* to = mutable_data_of<T>(dx);
    py::gil_scoped_release unlocked;
    loss_kernels<T>().squared_error_backward(element_count(layout), data_of<T>(dense), data_of<T>(wanted),
                                             static_cast<T>(factor), to);
    return dx;
  });
}

}  // namespace

void bind_loss(py::module_& m) {
  m.def("cross_entropy", &cross_entropy, py::arg("x"), py::arg("target"), py::arg("reduction"));
  m.def("cross_entropy_backward", &cross_entropy_backward, py::arg("grad"), py::arg("x"), py::arg("target"),
        py::arg("stats"), py::arg("reduction"));
  m.def("squared_error", &squared_error, py::arg("x"), py::arg("target"), py::arg("divisor"));
  m.def("squared_error_backward", &squared_error_backward, py::arg("x"), py::arg("target"), py::arg("factor"));
}

}  // namespace tinydl
