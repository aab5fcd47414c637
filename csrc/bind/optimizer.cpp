#include "contract/optimizer.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

using Arrays = std::vector<Array>;

Arrays arrays_of(const char* op, const char* name, const py::sequence& items) {
  Arrays out;
  out.reserve(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const py::object item = items[i];
    if (!py::isinstance<Array>(item))
      throw TypeError(text(op, ": ", name, "[", i, "] is a ", Py_TYPE(item.ptr())->tp_name, ", wanted an array"));
    out.push_back(py::reinterpret_borrow<Array>(item));
  }
  return out;
}

// The arrays of a step, all as long as `params`; `state` holds one list for each of the optimiser's states.
struct OptimizerOperands {
  const char* op;
  Arrays params, grads;
  std::vector<std::pair<const char*, Arrays>> state;
};

// `wanted` is the layout of params[i]. (No check() here: it would put its message together on every call.)
void check_operand(const OptimizerOperands& a, const char* name, size_t i, const Array& array, const Layout& wanted) {
  if (type_number(array) != type_number(a.params[0]))
    throw TypeError(text(a.op, ": ", name, "[", i, "] has dtype ", py::str(array.dtype()).cast<std::string>(),
                         ", params[0] ", py::str(a.params[0].dtype()).cast<std::string>()));
  const Layout got = layout_of(a.op, array);
  if (!same_shape(wanted, got)) fail(a.op, ": ", name, "[", i, "] has shape ", got, ", params[", i, "] ", wanted);
}

// What is updated in place must be writeable and lie in memory as its parameter does.
void check_updated(const OptimizerOperands& a, const char* name, size_t i, const Array& array, const Layout& wanted) {
  check_operand(a, name, i, array, wanted);
  const Layout got = layout_of(a.op, array);
  check(array.writeable(), a.op, ": ", name, "[", i, "] is read-only");
  check(is_dense(got), a.op, ": ", name, "[", i, "] is not dense (it has gaps or repeats elements)");
  check(element_count(got) == 0 || same_strides(wanted, got), a.op, ": ", name, "[", i,
        "] has other strides than params[", i, "]");
}

void check_operands(const OptimizerOperands& a) {
  const auto check_length = [&](const char* name, const Arrays& arrays) {
    check(arrays.size() == a.params.size(), a.op, ": got ", a.params.size(), " params and ", arrays.size(), " ", name);
  };
  check_length("grads", a.grads);
  for (const auto& [name, arrays] : a.state) check_length(name, arrays);
  for (size_t i = 0; i < a.params.size(); ++i) {
    const Layout wanted = layout_of(a.op, a.params[i]);
    check_updated(a, "params", i, a.params[i], wanted);
    check_operand(a, "grads", i, a.grads[i], wanted);
    for (const auto& [name, arrays] : a.state) check_updated(a, name, i, arrays[i], wanted);
  }
}

// Stretches of memory, sorted by their beginnings: an updated one may share no byte with any other.
void check_overlaps(const OptimizerOperands& a) {
  struct Stretch {
    uintptr_t begin, end;
    bool updated;
    bool operator<(const Stretch& other) const { return begin < other.begin; }
  };
  std::vector<Stretch> stretches;
  const auto add = [&](const Array& array, bool updated) {
    const auto begin = reinterpret_cast<uintptr_t>(array.data());
    if (array.size() > 0) stretches.push_back({begin, begin + static_cast<size_t>(array.nbytes()), updated});
  };
  for (const Array& array : a.params) add(array, true);
  for (const Array& array : a.grads) add(array, false);
  for (const auto& named : a.state)
    for (const Array& array : named.second) add(array, true);
  std::sort(stretches.begin(), stretches.end());
  uintptr_t updated_until = 0, used_until = 0;
  for (const Stretch& s : stretches) {
    check(s.begin >= (s.updated ? used_until : updated_until), a.op, ": two arrays share memory, and one is updated");
    used_until = std::max(used_until, s.end);
    if (s.updated) updated_until = std::max(updated_until, s.end);
  }
}

// The kernel's table. Gradients of another layout than their parameter's are replaced by copies in it.
template <class T>
std::vector<Segment<T>> segments_of(OptimizerOperands& a) {
  std::vector<Segment<T>> out;
  int64_t begin = 0;
  for (size_t i = 0; i < a.params.size(); ++i) {
    const Layout layout = layout_of(a.op, a.params[i]);
    const int64_t count = element_count(layout);
    if (count == 0) continue;
    if (!same_strides(layout, layout_of(a.op, a.grads[i]))) a.grads[i] = copy_as(a.op, a.grads[i], layout);
    Segment<T> segment = {begin, count, mutable_data_of<T>(a.params[i]), data_of<T>(a.grads[i]), {}};
    for (size_t k = 0; k < a.state.size(); ++k) segment.state[k] = mutable_data_of<T>(a.state[k].second[i]);
    out.push_back(segment);
    begin += (count + kSegmentAlignment - 1) / kSegmentAlignment * kSegmentAlignment;
  }
  return out;
}

template <class T>
const OptimizerKernels<T>& kernels_for(const Segment<T>*) {
  return optimizer_kernels<T>();
}

// Checks everything before anything is changed, then calls run(segments).
template <class Run>
void step(OptimizerOperands& a, const Run& run) {
  if (a.params.empty()) return check_operands(a);
  by_float_type(a.op, a.params[0], [&](auto type) {
    using T = decltype(type);
    check_operands(a);
    for (Array& grad : a.grads) grad = as_dense(a.op, grad);
    check_overlaps(a);
    const std::vector<Segment<T>> segments = segments_of<T>(a);
    Unlocked unlocked;
    run(segments.data(), static_cast<int64_t>(segments.size()));
  });
}

// The arrays of one of the optimiser's states.
using State = std::pair<const char*, const py::sequence&>;

// Checks and runs a step: run(kernels, segments, count).
template <class Run>
void run_step(const char* op, const py::sequence& params, const py::sequence& grads, const std::vector<State>& state,
              const Run& run) {
  OptimizerOperands a = {op, arrays_of(op, "params", params), arrays_of(op, "grads", grads), {}};
  for (const auto& [name, arrays] : state) a.state.emplace_back(name, arrays_of(op, name, arrays));
  step(a, [&](const auto* segments, int64_t count) { run(kernels_for(segments), segments, count); });
}

void sgd_step(const py::sequence& params, const py::sequence& grads, const py::sequence& momentum_buffers, double lr,
              double scale, double momentum, double dampening, bool nesterov, bool first_step, double weight_decay,
              double keep, bool maximize) {
  std::vector<State> state;
  if (momentum != 0) state.emplace_back("momentum_buffers", momentum_buffers);
  const SgdOptions options = {{weight_decay, keep, maximize}, lr, scale, momentum, dampening, nesterov, first_step};
  run_step("sgd_step", params, grads, state,
           [&](const auto& k, const auto* segments, int64_t count) { k.sgd(segments, count, options); });
}

void adam_step(const py::sequence& params, const py::sequence& grads, const py::sequence& exp_avgs,
               const py::sequence& exp_avg_sqs, const py::sequence& max_exp_avg_sqs, double beta1, double beta2,
               double avg_rate, double grad_rate, double root_scale, double eps, bool amsgrad, double weight_decay,
               double keep, bool maximize) {
  std::vector<State> state = {{"exp_avgs", exp_avgs}, {"exp_avg_sqs", exp_avg_sqs}};
  if (amsgrad) state.emplace_back("max_exp_avg_sqs", max_exp_avg_sqs);
  const AdamOptions options = {
      {weight_decay, keep, maximize}, beta1, beta2, avg_rate, grad_rate, root_scale, eps, amsgrad};
  run_step("adam_step", params, grads, state,
           [&](const auto& k, const auto* segments, int64_t count) { k.adam(segments, count, options); });
}

void adamax_step(const py::sequence& params, const py::sequence& grads, const py::sequence& exp_avgs,
                 const py::sequence& exp_infs, double lr, double beta1, double beta2, double inner_eps, double eps,
                 double weight_decay, double keep, bool maximize) {
  const AdamaxOptions options = {{weight_decay, keep, maximize}, lr, beta1, beta2, inner_eps, eps};
  run_step("adamax_step", params, grads, {{"exp_avgs", exp_avgs}, {"exp_infs", exp_infs}},
           [&](const auto& k, const auto* segments, int64_t count) { k.adamax(segments, count, options); });
}

void adagrad_step(const py::sequence& params, const py::sequence& grads, const py::sequence& sums, double lr,
                  double inner_eps, double eps, double weight_decay, double keep, bool maximize) {
  const AdagradOptions options = {{weight_decay, keep, maximize}, lr, inner_eps, eps};
  run_step("adagrad_step", params, grads, {{"sums", sums}},
           [&](const auto& k, const auto* segments, int64_t count) { k.adagrad(segments, count, options); });
}

void rmsprop_step(const py::sequence& params, const py::sequence& grads, const py::sequence& square_avgs,
                  const py::sequence& grad_avgs, const py::sequence& momentum_buffers, double lr, double scale,
                  double alpha, double inner_eps, double eps, double momentum, bool centered, double weight_decay,
                  double keep, bool maximize) {
  std::vector<State> state = {{"square_avgs", square_avgs}};
  if (centered) state.emplace_back("grad_avgs", grad_avgs);
  if (momentum != 0) state.emplace_back("momentum_buffers", momentum_buffers);
  const RmspropOptions options = {{weight_decay, keep, maximize}, lr, scale, alpha, inner_eps, eps, momentum, centered};
  run_step("rmsprop_step", params, grads, state,
           [&](const auto& k, const auto* segments, int64_t count) { k.rmsprop(segments, count, options); });
}

void adadelta_step(const py::sequence& params, const py::sequence& grads, const py::sequence& square_avgs,
                   const py::sequence& acc_deltas, double lr, double rho, double eps, double weight_decay, double keep,
                   bool maximize) {
  const AdadeltaOptions options = {{weight_decay, keep, maximize}, lr, rho, eps};
  run_step("adadelta_step", params, grads, {{"square_avgs", square_avgs}, {"acc_deltas", acc_deltas}},
           [&](const auto& k, const auto* segments, int64_t count) { k.adadelta(segments, count, options); });
}

void asgd_step(const py::sequence& params, const py::sequence& grads, const py::sequence& axs, double lr, double share,
               double weight_decay, double keep, bool maximize) {
  const AsgdOptions options = {{weight_decay, keep, maximize}, lr, share};
  run_step("asgd_step", params, grads, {{"axs", axs}},
           [&](const auto& k, const auto* segments, int64_t count) { k.asgd(segments, count, options); });
}

void rprop_step(const py::sequence& params, const py::sequence& grads, const py::sequence& prevs,
                const py::sequence& step_sizes, double shrink, double grow, double smallest, double largest,
                double weight_decay, double keep, bool maximize) {
  const RpropOptions options = {{weight_decay, keep, maximize}, shrink, grow, smallest, largest};
  run_step("rprop_step", params, grads, {{"prevs", prevs}, {"step_sizes", step_sizes}},
           [&](const auto& k, const auto* segments, int64_t count) { k.rprop(segments, count, options); });
}

// -- Norms and limits of gradients ----------------------------------------------------------------------------

Norm norm_of_name(const char* op, const std::string& name) {
  if (name == "sum") return Norm::kSum;
  if (name == "euclidean") return Norm::kEuclidean;
  if (name == "maximum") return Norm::kMaximum;
  fail(op, ": got norm \"", name, "\", wanted \"sum\", \"euclidean\" or \"maximum\"");
}

double total_norm(const py::sequence& arrays, const std::string& norm) {
  const char* op = "total_norm";
  const Norm kind = norm_of_name(op, norm);
  OptimizerOperands a = {op, arrays_of(op, "arrays", arrays), {}, {}};
  if (a.params.empty()) return 0;
  return by_float_type(op, a.params[0], [&](auto type) {
    using T = decltype(type);
    std::vector<Segment<T>> segments;
    int64_t begin = 0;
    for (Array& array : a.params) {
      require_same_dtype(op, a.params[0], array);
      array = as_dense(op, array);
      const int64_t count = element_count(layout_of(op, array));
      if (count == 0) continue;
      segments.push_back({begin, count, nullptr, data_of<T>(array), {}});
      begin += (count + kSegmentAlignment - 1) / kSegmentAlignment * kSegmentAlignment;
    }
    Unlocked unlocked;
    return optimizer_kernels<T>().norm(segments.data(), static_cast<int64_t>(segments.size()), kind);
  });
}

// Checks arrays that change in place, then calls run(kernels, segments, count).
template <class Run>
void change(const char* op, const py::sequence& arrays, const Run& run) {
  OptimizerOperands a = {op, arrays_of(op, "arrays", arrays), {}, {}};
  if (a.params.empty()) return;
  by_float_type(op, a.params[0], [&](auto type) {
    using T = decltype(type);
    for (size_t i = 0; i < a.params.size(); ++i) check_updated(a, "arrays", i, a.params[i], layout_of(op, a.params[i]));
    check_overlaps(a);
    a.grads = a.params;
    const std::vector<Segment<T>> segments = segments_of<T>(a);
    Unlocked unlocked;
    run(optimizer_kernels<T>(), segments.data(), static_cast<int64_t>(segments.size()));
  });
}

void scale_all(const py::sequence& arrays, double factor) {
  change("scale_all", arrays,
         [&](const auto& k, const auto* segments, int64_t count) { k.scale(segments, count, factor); });
}

void clamp_all(const py::sequence& arrays, double limit) {
  change("clamp_all", arrays,
         [&](const auto& k, const auto* segments, int64_t count) { k.clamp(segments, count, limit); });
}

}  // namespace

void bind_optimizer(py::module_& m) {
  const auto params = py::arg("params"), grads = py::arg("grads"), lr = py::arg("lr"), eps = py::arg("eps");
  const auto weight_decay = py::arg("weight_decay"), keep = py::arg("keep"), maximize = py::arg("maximize");
  const auto beta1 = py::arg("beta1"), beta2 = py::arg("beta2"), inner_eps = py::arg("inner_eps");
  const auto scale = py::arg("scale"), momentum = py::arg("momentum"), buffers = py::arg("momentum_buffers");
  m.def("sgd_step", &sgd_step, params, grads, buffers, lr, scale, momentum, py::arg("dampening"), py::arg("nesterov"),
        py::arg("first_step"), weight_decay, keep, maximize);
  m.def("adam_step", &adam_step, params, grads, py::arg("exp_avgs"), py::arg("exp_avg_sqs"), py::arg("max_exp_avg_sqs"),
        beta1, beta2, py::arg("avg_rate"), py::arg("grad_rate"), py::arg("root_scale"), eps, py::arg("amsgrad"),
        weight_decay, keep, maximize);
  m.def("adamax_step", &adamax_step, params, grads, py::arg("exp_avgs"), py::arg("exp_infs"), lr, beta1, beta2,
        inner_eps, eps, weight_decay, keep, maximize);
  m.def("adagrad_step", &adagrad_step, params, grads, py::arg("sums"), lr, inner_eps, eps, weight_decay, keep,
        maximize);
  m.def("rmsprop_step", &rmsprop_step, params, grads, py::arg("square_avgs"), py::arg("grad_avgs"), buffers, lr, scale,
        py::arg("alpha"), inner_eps, eps, momentum, py::arg("centered"), weight_decay, keep, maximize);
  m.def("adadelta_step", &adadelta_step, params, grads, py::arg("square_avgs"), py::arg("acc_deltas"), lr,
        py::arg("rho"), eps, weight_decay, keep, maximize);
  m.def("asgd_step", &asgd_step, params, grads, py::arg("axs"), lr, py::arg("share"), weight_decay, keep, maximize);
  m.def("rprop_step", &rprop_step, params, grads, py::arg("prevs"), py::arg("step_sizes"), py::arg("shrink"),
        py::arg("grow"), py::arg("smallest"), py::arg("largest"), weight_decay, keep, maximize);
  m.def("total_norm", &total_norm, py::arg("arrays"), py::arg("norm"));
  m.def("scale_all", &scale_all, py::arg("arrays"), py::arg("factor"));
  m.def("clamp_all", &clamp_all, py::arg("arrays"), py::arg("limit"));
}

}  // namespace tinydl
