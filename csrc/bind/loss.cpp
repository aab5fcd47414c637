// The bindings of the losses of rows of classes; those of pairs of values are in pair_loss.cpp.
#include "contract/loss.h"

#include "bind/arrays.h"
#include "bind/families.h"
#include "contract/reduce.h"

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

bool is_integer(const Array& a) { return a.dtype().kind() == 'i' || a.dtype().kind() == 'u'; }

// A row-major int64 copy: no other thread can change a label after it was checked.
Array copy_of_labels(const Array& target) { return Array(target.attr("astype")(py::dtype::of<int64_t>(), "C")); }

// Makes ignored labels -1; IndexError where another is out of range.
void check_labels(const char* op, Array& labels, const Rows& rows, int64_t ignore_index) {
  int64_t* label = mutable_data_of<int64_t>(labels);
  bool wrong = false;
  for (int64_t r = 0; r < rows.rows; ++r)
    wrong |= static_cast<uint64_t>(label[r]) >= static_cast<uint64_t>(rows.classes) && label[r] != ignore_index;
  for (int64_t r = 0; wrong && r < rows.rows; ++r)
    if ((label[r] < 0 || label[r] >= rows.classes) && label[r] != ignore_index)
      throw std::out_of_range(text(op, ": label ", label[r], " at ", position_text(rows.outer, r),
                                   " is out of range for ", rows.classes, " classes"));
  for (int64_t r = 0; r < rows.rows; ++r)
    if (label[r] == ignore_index) label[r] = -1;
}

// Whether the target holds probabilities (the logits' shape) instead of class indices (a shape without the
// classes).
bool is_soft(const char* op, const Layout& x, const Layout& target, const Rows& rows) {
  const bool soft = same_shape(x, target);
  check(soft || same_shape(target, rows.outer), op, ": logits of shape ", x, " need class indices of shape ",
        rows.outer, " or probabilities of shape ", x, ", got a target of shape ", target);
  return soft;
}

// How targets become weights of the log-probabilities.
struct TargetOptions {
  py::object weight;  // None, or an array (classes,)
  int64_t ignore_index;
  double label_smoothing;
};

// The class weights, row-major; ones where smoothing needs some and none were given.
template <class T>
Array class_weights(const char* op, const Array& x, const TargetOptions& options, int64_t classes) {
  Layout wanted;
  wanted.ndim = 1;
  wanted.shape[0] = classes;
  wanted = row_major(wanted);
  if (options.weight.is_none()) {
    Array ones = empty(wanted, x.dtype());
    for (int64_t c = 0; c < classes; ++c) mutable_data_of<T>(ones)[c] = T(1);
    return ones;
  }
  const Array given = py::cast<Array>(options.weight);
  require_same_dtype(op, x, given);
  const Layout got = layout_of(op, given);
  check(same_shape(got, wanted), op, ": got weights of shape ", got, ", wanted one for each of ", classes, " classes");
  return as_row_major(op, given);
}

// The checked and laid out arguments that forward and backward share.
template <class T>
struct Problem {
  Rows rows;
  bool soft, weighted;
  Array logits;
  Array target;  // probabilities laid out as the logits, or int64 labels
  Array weight;  // (classes,) where `weighted`
  T hit, rest;

  Problem(const char* op, const Array& x, const Array& given, const TargetOptions& options)
      : rows(rows_of(op, layout_of(op, x))),
        weighted(!options.weight.is_none() || options.label_smoothing != 0),
        target(is_integer(given) ? copy_of_labels(given) : given),
        hit(static_cast<T>(1 - options.label_smoothing)),
        rest(static_cast<T>(options.label_smoothing / static_cast<double>(rows.classes))) {
    check(options.label_smoothing >= 0 && options.label_smoothing <= 1, op,
          ": got label_smoothing=", options.label_smoothing, ", wanted a number in [0, 1]");
    soft = is_soft(op, layout_of(op, x), layout_of(op, target), rows);
    if (soft) {
      require_same_dtype(op, x, given);
      target = as_layout(op, target, rows.logits);
    } else {
      if (!is_integer(given)) fail_dtype(op, given, "integer class indices");
      check_labels(op, target, rows, options.ignore_index);
    }
    logits = as_layout(op, x, rows.logits);
    if (weighted) weight = class_weights<T>(op, x, options, rows.classes);
  }

  // (2, rows): maxima and sums of exponentials; unless the targets are plain class indices (3, rows): their sums too.
  Layout statistics() const {
    Layout out;
    out.ndim = 2;
    out.shape[0] = soft || weighted ? 3 : 2;
    out.shape[1] = rows.rows;
    return row_major(out);
  }

  const T* weights() const { return weighted ? data_of<T>(weight) : nullptr; }

  LabelTargets<T> labels() const {
    double mass = 0;
    for (int64_t c = 0; weighted && rest != 0 && c < rows.classes; ++c) mass += static_cast<double>(weights()[c]);
    const T rest_mass = static_cast<T>(mass * static_cast<double>(rest));
    return {data_of<int64_t>(target), weights(), hit, rest, rest_mass};
  }
  SoftTargets<T> probabilities() const { return {data_of<T>(target), weights(), hit, rest}; }

  // What a mean divides by: the number of rows, or the sum of the weights of the labels that are not ignored.
  T divisor(Reduction reduction) const {
    if (reduction != Reduction::mean) return T(1);
    if (soft) return static_cast<T>(rows.rows);
    const int64_t* label = data_of<int64_t>(target);
    double sum = 0;
    for (int64_t r = 0; r < rows.rows; ++r)
      if (label[r] >= 0) sum += weighted ? static_cast<double>(weights()[label[r]]) : 1.0;
    return static_cast<T>(sum);
  }
};

// The losses as they are, or their sum over the divisor.
template <class T>
Array reduced(const Array& losses, int64_t rows, Reduction reduction, T divisor) {
  if (reduction == Reduction::none) return losses;
  Array total = empty(Layout(), losses.dtype());
  T* to = mutable_data_of<T>(total);
  Unlocked unlocked;
  reduce_kernels<T>().sum(1, rows, 1, data_of<T>(losses), divisor, to);
  return total;
}

// The factor of each row: the gradient itself, or one value for all.
template <class T>
struct RowScale {
  Array grad;
  T shared = 0;
  bool each;

  RowScale(const char* op, const Array& upstream, const Rows& rows, Reduction reduction, T divisor)
      : grad(upstream), each(reduction == Reduction::none) {
    const Layout got = layout_of(op, upstream);
    const Layout wanted = each ? rows.outer : Layout();
    check(same_shape(got, wanted), op, ": got a gradient of shape ", got, ", wanted ", wanted);
    if (each)
      grad = as_row_major(op, upstream);
    else
      shared = *data_of<T>(upstream) / divisor;
  }
  Series<T> series() const { return each ? Series<T>{data_of<T>(grad), 1} : Series<T>{&shared, 0}; }
};

// (loss, statistics): the statistics are what backward reads.
py::tuple cross_entropy(const Array& x, const Array& target, const std::string& reduction, const py::object& weight,
                        int64_t ignore_index, double label_smoothing) {
  constexpr const char* op = "cross_entropy";
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Reduction reduce = parse_reduction(op, reduction);
    const Problem<T> p(op, x, target, {weight, ignore_index, label_smoothing});
    const int64_t n = p.rows.rows, classes = p.rows.classes;
    Array stats = empty(p.statistics(), x.dtype()), losses = empty(p.rows.outer, x.dtype());
    T *m = mutable_data_of<T>(stats), *loss = mutable_data_of<T>(losses);
    const T* logits = data_of<T>(p.logits);
    {
      Unlocked unlocked;
      if (p.soft)
        loss_kernels<T>().soft_cross_entropy(n, classes, logits, p.probabilities(), loss, m, m + n, m + 2 * n);
      else
        loss_kernels<T>().cross_entropy(n, classes, logits, p.labels(), loss, m, m + n,
                                        p.weighted ? m + 2 * n : nullptr);
    }
    return py::make_tuple(reduced<T>(losses, n, reduce, p.divisor(reduce)), stats);
  });
}

Array cross_entropy_backward(const Array& grad, const Array& x, const Array& target, const Array& stats,
                             const std::string& reduction, const py::object& weight, int64_t ignore_index,
                             double label_smoothing) {
  constexpr const char* op = "cross_entropy_backward";
  require_same_dtype(op, x, grad);
  require_same_dtype(op, x, stats);
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Reduction reduce = parse_reduction(op, reduction);
    const Problem<T> p(op, x, target, {weight, ignore_index, label_smoothing});
    const int64_t n = p.rows.rows, classes = p.rows.classes;
    const Layout kept = layout_of(op, stats);
    check(same_shape(kept, p.statistics()), op, ": got statistics of shape ", kept, ", wanted ", p.statistics());
    const RowScale<T> scale(op, grad, p.rows, reduce, p.divisor(reduce));
    const Array dense_stats = as_row_major(op, stats);
    Array dx = empty(p.rows.logits, x.dtype());
    T* to = mutable_data_of<T>(dx);
    const T *m = data_of<T>(dense_stats), *logits = data_of<T>(p.logits);
    Unlocked unlocked;
    if (p.soft)
      loss_kernels<T>().soft_cross_entropy_backward(n, classes, logits, p.probabilities(), m, m + n, m + 2 * n,
                                                    scale.series(), to);
    else
      loss_kernels<T>().cross_entropy_backward(n, classes, logits, p.labels(), m, m + n,
                                               p.weighted ? m + 2 * n : nullptr, scale.series(), to);
    return dx;
  });
}

void refuse_soft(const char* op, bool soft) { check(!soft, op, ": wanted class indices, got the logits' shape"); }

Array nll_loss(const Array& x, const Array& target, const std::string& reduction, const py::object& weight,
               int64_t ignore_index) {
  constexpr const char* op = "nll_loss";
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Reduction reduce = parse_reduction(op, reduction);
    const Problem<T> p(op, x, target, {weight, ignore_index, 0});
    refuse_soft(op, p.soft);
    Array losses = empty(p.rows.outer, x.dtype());
    T* loss = mutable_data_of<T>(losses);
    {
      Unlocked unlocked;
      loss_kernels<T>().nll(p.rows.rows, p.rows.classes, data_of<T>(p.logits), p.labels(), loss);
    }
    return reduced<T>(losses, p.rows.rows, reduce, p.divisor(reduce));
  });
}

// x is read for its shape and the order of its axes alone.
Array nll_loss_backward(const Array& grad, const Array& x, const Array& target, const std::string& reduction,
                        const py::object& weight, int64_t ignore_index) {
  constexpr const char* op = "nll_loss_backward";
  require_same_dtype(op, x, grad);
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Reduction reduce = parse_reduction(op, reduction);
    const Problem<T> p(op, x, target, {weight, ignore_index, 0});
    refuse_soft(op, p.soft);
    const RowScale<T> scale(op, grad, p.rows, reduce, p.divisor(reduce));
    Array dx = empty(p.rows.logits, x.dtype());
    T* to = mutable_data_of<T>(dx);
    Unlocked unlocked;
    loss_kernels<T>().nll_backward(p.rows.rows, p.rows.classes, p.labels(), scale.series(), to);
    return dx;
  });
}

}  // namespace

void bind_loss(py::module_& m) {
  m.def("cross_entropy", &cross_entropy, py::arg("x"), py::arg("target"), py::arg("reduction"),
        py::arg("weight") = py::none(), py::arg("ignore_index") = -100, py::arg("label_smoothing") = 0.0);
  m.def("cross_entropy_backward", &cross_entropy_backward, py::arg("grad"), py::arg("x"), py::arg("target"),
        py::arg("stats"), py::arg("reduction"), py::arg("weight") = py::none(), py::arg("ignore_index") = -100,
        py::arg("label_smoothing") = 0.0);
  m.def("nll_loss", &nll_loss, py::arg("x"), py::arg("target"), py::arg("reduction"), py::arg("weight"),
        py::arg("ignore_index"));
  m.def("nll_loss_backward", &nll_loss_backward, py::arg("grad"), py::arg("x"), py::arg("target"), py::arg("reduction"),
        py::arg("weight"), py::arg("ignore_index"));
  bind_pair_losses(m);
}

}  // namespace tinydl
