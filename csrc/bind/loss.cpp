// The bindings of the losses of rows of classes; those of pairs of values are in pair_loss.cpp.
#include "contract/loss.h"

#include <optional>
#include <type_traits>

#include "bind/arrays.h"
#include "bind/families.h"
#include "bind/memory.h"

#ifdef TINYDL_CUDA
#include "cuda/runtime/report.h"
#endif

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

bool is_integer(const Array& a) { return a.dtype().kind() == 'i' || a.dtype().kind() == 'u'; }

// A row-major int64 copy: no other thread can change a label after it was checked.
Array copy_of_labels(const Array& target) { return Array(target.attr("astype")(py::dtype::of<int64_t>(), "C")); }

#ifdef TINYDL_CUDA

// Makes ignored labels -1; reports where another is out of range.
void check_labels(const char* op, Array& labels, const Rows& rows, int64_t ignore_index) {
  cuda::raise_reported();
  cuda::Checked checked = {op, rows.classes, true, rows.outer.ndim, {}};
  for (int d = 0; d < rows.outer.ndim; ++d) checked.shape[d] = rows.outer.shape[d];
  const Unlocked unlocked;
  cuda::check_labels(checked, ignore_index, rows.rows, mutable_data_of<int64_t>(labels));
  cuda::raise_reported();
}

#else

// "row 3", or "(0, 2, 5)" where the rows have several axes.
std::string position_text(const Layout& outer, int64_t row) {
  if (outer.ndim <= 1) return text("row ", row);
  Layout index = outer;
  for (int d = outer.ndim - 1; d >= 0; row /= outer.shape[d--]) index.shape[d] = row % outer.shape[d];
  return text(index);
}

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

#endif

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
    T* to = mutable_data_of<T>(ones);
    const Unlocked unlocked;
    loss_kernels<T>().ones(classes, to);
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
  Array logits = no_array();
  Array target;               // probabilities laid out as the logits, or int64 labels
  Array weight = no_array();  // (classes,) where `weighted`
  Wide<T> hit, rest;

  Problem(const char* op, const Array& x, const Array& given, const TargetOptions& options)
      : rows(rows_of(op, layout_of(op, x))),
        weighted(!options.weight.is_none() || options.label_smoothing != 0),
        target(is_integer(given) ? copy_of_labels(given) : given),
        hit(static_cast<Wide<T>>(1 - options.label_smoothing)),
        rest(static_cast<Wide<T>>(options.label_smoothing / static_cast<double>(rows.classes))) {
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

  // The next three are called while kernels are launched.

  LabelTargets<T> labels() {
    Scalar mass = {0, nullptr};
    if (weighted && rest != 0) {
      mass.at = sums() + 0;
      loss_kernels<T>().rest_mass(rows.classes, weights(), rest, sums() + 0);
    }
    return {data_of<int64_t>(target), weights(), hit, rest, mass};
  }
  SoftTargets<T> probabilities() const { return {data_of<T>(target), weights(), hit, rest}; }

  // What a mean divides by: the number of rows, or the sum of the weights of the labels that are not ignored.
  Scalar divisor(Reduction reduction) {
    if (reduction != Reduction::mean) return {1, nullptr};
    if (soft) return {static_cast<double>(static_cast<Wide<T>>(rows.rows)), nullptr};
    loss_kernels<T>().label_mass(rows.rows, data_of<int64_t>(target), weights(), sums() + 1);
    return {0, sums() + 1};
  }

 private:
  double* sums() {
    if (!memory_) memory_.emplace(2 * sizeof(double));
    return static_cast<double*>(memory_->data());
  }

  std::optional<Scratch> memory_;
};

template <class T>
py::dtype wide_dtype() {
  return py::dtype::of<Wide<T>>();
}

// The losses of rows before they are rounded, and what becomes of them.
template <class T>
class Losses {
 public:
  explicit Losses(const Rows& rows) : rows_(rows), wide_(empty(rows.outer, wide_dtype<T>())) {}

  Wide<T>* data() { return mutable_data_of<Wide<T>>(wide_); }

  // The losses as they are, or their sum over the divisor, of dtype `dtype`.
  Array reduced(Problem<T>& p, Reduction reduction, const py::dtype& dtype) {
    const bool each = reduction == Reduction::none;
    if (each && std::is_same_v<T, Wide<T>>) return wide_;
    Array y = empty(each ? rows_.outer : Layout(), dtype);
    T* to = mutable_data_of<T>(y);
    Unlocked unlocked;
    if (each)
      loss_kernels<T>().each(rows_.rows, data(), to);
    else
      loss_kernels<T>().total(rows_.rows, data(), p.divisor(reduction), to);
    return y;
  }

 private:
  const Rows& rows_;
  Array wide_;
};

// The factor of each row: the gradient itself, or one value for all.
Array checked_gradient(const char* op, const Array& grad, const Rows& rows, Reduction reduction) {
  const bool each = reduction == Reduction::none;
  const Layout got = layout_of(op, grad), wanted = each ? rows.outer : Layout();
  check(same_shape(got, wanted), op, ": got a gradient of shape ", got, ", wanted ", wanted);
  return each ? as_row_major(op, grad) : grad;
}
template <class T>
Upstream<T> upstream(Problem<T>& p, const Array& grad, Reduction reduction) {
  return {data_of<T>(grad), reduction == Reduction::none, p.divisor(reduction)};
}

// (loss, statistics): the statistics are what backward reads.
py::tuple cross_entropy(const Array& x, const Array& target, const std::string& reduction, const py::object& weight,
                        int64_t ignore_index, double label_smoothing) {
  constexpr const char* op = "cross_entropy";
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Reduction reduce = parse_reduction(op, reduction);
    Problem<T> p(op, x, target, {weight, ignore_index, label_smoothing});
    const int64_t n = p.rows.rows, classes = p.rows.classes;
    Array stats = empty(p.statistics(), wide_dtype<T>());
    Losses<T> losses(p.rows);
    Wide<T>*m = mutable_data_of<Wide<T>>(stats), *loss = losses.data();
    const T* logits = data_of<T>(p.logits);
    {
      Unlocked unlocked;
      if (p.soft)
        loss_kernels<T>().soft_cross_entropy(n, classes, logits, p.probabilities(), loss, m, m + n, m + 2 * n);
      else
        loss_kernels<T>().cross_entropy(n, classes, logits, p.labels(), loss, m, m + n,
                                        p.weighted ? m + 2 * n : nullptr);
    }
    return py::make_tuple(losses.reduced(p, reduce, x.dtype()), stats);
  });
}

Array cross_entropy_backward(const Array& grad, const Array& x, const Array& target, const Array& stats,
                             const std::string& reduction, const py::object& weight, int64_t ignore_index,
                             double label_smoothing) {
  constexpr const char* op = "cross_entropy_backward";
  require_same_dtype(op, x, grad);
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    require_dtype(op, wide_dtype<T>(), stats);
    const Reduction reduce = parse_reduction(op, reduction);
    Problem<T> p(op, x, target, {weight, ignore_index, label_smoothing});
    const int64_t n = p.rows.rows, classes = p.rows.classes;
    const Layout kept = layout_of(op, stats);
    check(same_shape(kept, p.statistics()), op, ": got statistics of shape ", kept, ", wanted ", p.statistics());
    const Array dy = checked_gradient(op, grad, p.rows, reduce);
    const Array dense_stats = as_row_major(op, stats);
    Array dx = empty(p.rows.logits, x.dtype());
    T* to = mutable_data_of<T>(dx);
    const Wide<T>* m = data_of<Wide<T>>(dense_stats);
    const T* logits = data_of<T>(p.logits);
    Unlocked unlocked;
    const Upstream<T> scale = upstream(p, dy, reduce);
    if (p.soft)
      loss_kernels<T>().soft_cross_entropy_backward(n, classes, logits, p.probabilities(), m, m + n, m + 2 * n, scale,
                                                    to);
    else
      loss_kernels<T>().cross_entropy_backward(n, classes, logits, p.labels(), m, m + n,
                                               p.weighted ? m + 2 * n : nullptr, scale, to);
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
    Problem<T> p(op, x, target, {weight, ignore_index, 0});
    refuse_soft(op, p.soft);
    Losses<T> losses(p.rows);
    Wide<T>* loss = losses.data();
    {
      Unlocked unlocked;
      loss_kernels<T>().nll(p.rows.rows, p.rows.classes, data_of<T>(p.logits), p.labels(), loss);
    }
    return losses.reduced(p, reduce, x.dtype());
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
    Problem<T> p(op, x, target, {weight, ignore_index, 0});
    refuse_soft(op, p.soft);
    const Array dy = checked_gradient(op, grad, p.rows, reduce);
    Array dx = empty(p.rows.logits, x.dtype());
    T* to = mutable_data_of<T>(dx);
    Unlocked unlocked;
    loss_kernels<T>().nll_backward(p.rows.rows, p.rows.classes, p.labels(), upstream(p, dy, reduce), to);
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
