#include "cpu/optimizer/optimizer.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

using Arrays = std::vector<py::array>;

Arrays arrays_of(const char* op, const char* name, const py::sequence& items) {
  Arrays out;
  out.reserve(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const py::object item = items[i];
    if (!py::isinstance<py::array>(item))
      throw TypeError(text(op, ": ", name, "[", i, "] is a ", Py_TYPE(item.ptr())->tp_name, ", wanted an array"));
    out.push_back(py::reinterpret_borrow<py::array>(item));
  }
  return out;
}

// The arrays of a step, all as long as `params`; `state` holds one list for each of the optimiser's states.
struct Operands {
  const char* op;
  Arrays params, grads;
  std::vector<std::pair<const char*, Arrays>> state;
};

// `wanted` is the layout of params[i]. (No check() here: it would put its message together on every call.)
void check_operand(const Operands& a, const char* name, size_t i, const py::array& array, const Layout& wanted) {
  if (type_number(array) != type_number(a.params[0]))
    throw TypeError(text(a.op, ": ", name, "[", i, "] has dtype ", py::str(array.dtype()).cast<std::string>(),
                         ", params[0] ", py::str(a.params[0].dtype()).cast<std::string>()));
  const Layout got = layout_of(a.op, array);
  if (!same_shape(wanted, got)) fail(a.op, ": ", name, "[", i, "] has shape ", got, ", params[", i, "] ", wanted);
}

// What is updated in place must be writeable and lie in memory as its parameter does.
void check_updated(const Operands& a, const char* name, size_t i, const py::array& array, const Layout& wanted) {
  check_operand(a, name, i, array, wanted);
  const Layout got = layout_of(a.op, array);
  check(array.writeable(), a.op, ": ", name, "[", i, "] is read-only");
  check(is_dense(got), a.op, ": ", name, "[", i, "] is not dense (it has gaps or repeats elements)");
  check(element_count(got) == 0 || same_strides(wanted, got), a.op, ": ", name, "[", i,
        "] has other strides than params[", i, "]");
}

void check_operands(const Operands& a) {
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
void check_overlaps(const Operands& a) {
  struct Stretch {
    uintptr_t begin, end;
    bool updated;
    bool operator<(const Stretch& other) const { return begin < other.begin; }
  };
  std::vector<Stretch> stretches;
  const auto add = [&](const py::array& array, bool updated) {
    const auto begin = reinterpret_cast<uintptr_t>(array.data());
    if (array.size() > 0) stretches.push_back({begin, begin + static_cast<size_t>(array.nbytes()), updated});
  };
  for (const py::array& array : a.params) add(array, true);
  for (const py::array& array : a.grads) add(array, false);
  for (const auto& named : a.state)
    for (const py::array& array : named.second) add(array, true);
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
std::vector<Segment<T>> segments_of(Operands& a) {
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
void step(Operands& a, const Run& run) {
  if (a.params.empty()) return check_operands(a);
  by_float_type(a.op, a.params[0], [&](auto type) {
    using T = decltype(type);
    check_operands(a);
    for (py::array& grad : a.grads) grad = as_dense(a.op, grad);
    check_overlaps(a);
    const std::vector<Segment<T>> segments = segments_of<T>(a);
    py::gil_scoped_release unlocked;
    run(segments.data(), static_cast<int64_t>(segments.size()));
  });
}

void sgd_step(const py::sequence& params, const py::sequence& grads, const py::sequence& momentum_buffers, double lr,
              double momentum, double dampening, double weight_decay, bool nesterov, bool maximize, bool first_step) {
  const char* op = "sgd_step";
  Operands a = {op, arrays_of(op, "params", params), arrays_of(op, "grads", grads), {}};
  if (momentum != 0) a.state = {{"momentum_buffers", arrays_of(op, "momentum_buffers", momentum_buffers)}};
  const SgdOptions options = {lr, momentum, dampening, weight_decay, nesterov, maximize, first_step};
  step(a, [&](const auto* segments, int64_t count) { kernels_for(segments).sgd(segments, count, options); });
}

void adam_step(const py::sequence& params, const py::sequence& grads, const py::sequence& exp_avgs,
               const py::sequence& exp_avg_sqs, const py::sequence& max_exp_avg_sqs, int64_t step_count, double lr,
               double beta1, double beta2, double eps, double weight_decay, bool amsgrad, bool maximize) {
  const char* op = "adam_step";
  check(step_count >= 1, op, ": got step ", step_count, ", wanted at least 1");
  Operands a = {op, arrays_of(op, "params", params), arrays_of(op, "grads", grads), {}};
  a.state = {{"exp_avgs", arrays_of(op, "exp_avgs", exp_avgs)},
             {"exp_avg_sqs", arrays_of(op, "exp_avg_sqs", exp_avg_sqs)}};
  if (amsgrad) a.state.emplace_back("max_exp_avg_sqs", arrays_of(op, "max_exp_avg_sqs", max_exp_avg_sqs));
  const AdamOptions options = {lr, beta1, beta2, eps, weight_decay, maximize, amsgrad, step_count};
  step(a, [&](const auto* segments, int64_t count) { kernels_for(segments).adam(segments, count, options); });
}

}  // namespace

void bind_optimizer(py::module_& m) {
  m.def("sgd_step", &sgd_step, py::arg("params"), py::arg("grads"), py::arg("momentum_buffers"), py::arg("lr"),
        py::arg("momentum"), py::arg("dampening"), py::arg("weight_decay"), py::arg("nesterov"), py::arg("maximize"),
        py::arg("first_step"));
  m.def("adam_step", &adam_step, py::arg("params"), py::arg("grads"), py::arg("exp_avgs"), py::arg("exp_avg_sqs"),
        py::arg("max_exp_avg_sqs"), py::arg("step"), py::arg("lr"), py::arg("beta1"), py::arg("beta2"), py::arg("eps"),
        py::arg("weight_decay"), py::arg("amsgrad"), py::arg("maximize"));
}

}  // namespace tinydl
