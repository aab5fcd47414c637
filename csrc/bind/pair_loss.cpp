// The bindings of the losses of pairs of an input and a target: name(x, target, weight, parameter, divisor) and
// name_backward(grad, x, target, weight, parameter, divisor, of_target).
#include "bind/arrays.h"
#include "bind/families.h"
#include "contract/loss.h"

namespace tinydl {

namespace {

// A weight or parameter: None stands for `missing`, a number for itself everywhere, an array has x's shape.
template <class T>
struct PairSeries {
  Array array = no_array();
  Wide<T> value = 0;
  bool each = false;

  PairSeries(const char* op, const char* name, const py::object& given, double missing, const Array& x,
             const Layout& layout) {
    if (given.is_none() || py::isinstance<py::float_>(given)) {
      value = static_cast<Wide<T>>(given.is_none() ? missing : py::cast<double>(given));
      return;
    }
    array = py::cast<Array>(given);
    require_same_dtype(op, x, array);
    const Layout got = layout_of(op, array);
    check(same_shape(got, layout), op, ": got ", name, " of shape ", got, " for an input of shape ", layout);
    array = as_layout(op, array, layout);
    each = true;
  }
  Series<T> series() const { return {each ? data_of<T>(array) : nullptr, value}; }
};

// The arguments that forward and backward share, laid out alike.
template <class T>
struct Pairs {
  Array x, target;
  Layout layout;
  PairSeries<T> weight, parameter;

  Pairs(const char* op, const Array& given, const Array& given_target, const py::object& given_weight,
        const py::object& given_parameter)
      : x(checked(op, given, given_target)),
        target(as_layout(op, given_target, layout_of(op, x))),
        layout(layout_of(op, x)),
        weight(op, "a weight", given_weight, 1, x, layout),
        parameter(op, "a parameter", given_parameter, 1, x, layout) {}

  static Array checked(const char* op, const Array& x, const Array& target) {
    require_same_dtype(op, x, target);
    const Layout in = layout_of(op, x), other = layout_of(op, target);
    check(same_shape(in, other), op, ": got an input of shape ", in, " and a target of shape ", other,
          ", wanted equal shapes");
    return as_dense(op, x);
  }
};

template <class Pick>
Array pair_loss(const char* op, const Pick& pick, const Array& x, const Array& target, const py::object& weight,
                const py::object& parameter, const py::object& divisor) {
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Pairs<T> p(op, x, target, weight, parameter);
    const bool each = divisor.is_none();
    const double by = each ? 1 : py::cast<double>(divisor);
    Array y = empty(each ? dense_like(p.layout) : Layout(), x.dtype());
    T* to = mutable_data_of<T>(y);
    const T *from = data_of<T>(p.x), *wanted = data_of<T>(p.target);
    const int64_t n = element_count(p.layout);
    const PairLoss<T>& loss = pick(loss_kernels<T>());
    Unlocked unlocked;
    if (each)
      loss.each(n, from, wanted, p.weight.series(), p.parameter.series(), to);
    else
      loss.total(n, from, wanted, p.weight.series(), p.parameter.series(), by, to);
    return y;
  });
}

template <class Pick>
Array pair_loss_backward(const char* op, const Pick& pick, const Array& grad, const Array& x, const Array& target,
                         const py::object& weight, const py::object& parameter, const py::object& divisor,
                         bool of_target) {
  require_same_dtype(op, x, grad);
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Pairs<T> p(op, x, target, weight, parameter);
    const Layout got = layout_of(op, grad);
    const bool each = divisor.is_none();
    check(same_shape(got, each ? p.layout : Layout()), op, ": got a gradient of shape ", got, ", wanted ",
          each ? p.layout : Layout());
    const Array upstream = each ? as_layout(op, grad, p.layout) : grad;
    const Upstream<T> scale = {data_of<T>(upstream), each, {each ? 1 : py::cast<double>(divisor), nullptr}};
    Array out = empty(dense_like(p.layout), x.dtype());
    T* to = mutable_data_of<T>(out);
    const T *from = data_of<T>(p.x), *wanted = data_of<T>(p.target);
    const int64_t n = element_count(p.layout);
    const PairLoss<T>& loss = pick(loss_kernels<T>());
    Unlocked unlocked;
    (of_target ? loss.target_grad : loss.input_grad)(n, from, wanted, p.weight.series(), p.parameter.series(), scale,
                                                     to);
    return out;
  });
}

template <class Pick>
void def_pair_loss(py::module_& m, const char* name, const char* backward_name, Pick pick) {
  m.def(
      name,
      [=](const Array& x, const Array& target, const py::object& weight, const py::object& parameter,
          const py::object& divisor) { return pair_loss(name, pick, x, target, weight, parameter, divisor); },
      py::arg("x"), py::arg("target"), py::arg("weight"), py::arg("parameter"), py::arg("divisor"));
  m.def(
      backward_name,
      [=](const Array& grad, const Array& x, const Array& target, const py::object& weight, const py::object& parameter,
          const py::object& divisor, bool of_target) {
        return pair_loss_backward(backward_name, pick, grad, x, target, weight, parameter, divisor, of_target);
      },
      py::arg("grad"), py::arg("x"), py::arg("target"), py::arg("weight"), py::arg("parameter"), py::arg("divisor"),
      py::arg("of_target"));
}

bool are_probabilities(const Array& x) {
  constexpr const char* op = "are_probabilities";
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Array dense = as_dense(op, x);
    const int64_t n = element_count(layout_of(op, dense));
    const T* from = data_of<T>(dense);
    Unlocked unlocked;
    return loss_kernels<T>().are_probabilities(n, from);
  });
}

}  // namespace

#define TINYDL_PAIR_LOSS(name) \
  def_pair_loss(m, #name, #name "_backward", [](const auto& k) -> const auto& { return k.name; })

void bind_pair_losses(py::module_& m) {
  TINYDL_PAIR_LOSS(squared_error);
  TINYDL_PAIR_LOSS(absolute_error);
  TINYDL_PAIR_LOSS(smooth_l1);
  TINYDL_PAIR_LOSS(huber);
  TINYDL_PAIR_LOSS(binary_cross_entropy);
  TINYDL_PAIR_LOSS(binary_cross_entropy_with_logits);
  TINYDL_PAIR_LOSS(kl_div);
  TINYDL_PAIR_LOSS(kl_div_of_logs);
  TINYDL_PAIR_LOSS(soft_margin);
  m.def("are_probabilities", &are_probabilities, py::arg("x"));
}

#undef TINYDL_PAIR_LOSS

}  // namespace tinydl
