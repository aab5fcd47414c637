#include "contract/random.h"

#include <cmath>

#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

Array empty_vector(const char* op, int64_t count) {
  check(count >= 0, op, ": got a count of ", count, ", wanted at least 0");
  Layout layout;
  layout.ndim = 1;
  layout.shape[0] = count;
  layout.stride[0] = 1;
  return empty(layout, py::dtype::of<float>());
}

Array uniform(int64_t count, double low, double high, uint64_t seed, uint64_t offset) {
  const auto from = static_cast<float>(low), to = static_cast<float>(high);
  check(low <= high && std::isfinite(to - from), "uniform: got the range [", low, ", ", high,
        "), wanted low <= high, both finite with a finite difference in float32");
  Array y = empty_vector("uniform", count);
  float* out = mutable_data_of<float>(y);
  Unlocked unlocked;
  const float last = std::fmax(from, std::nextafter(to, from));
  random_kernels<float>().uniform({seed, offset}, count, from, to, last, out);
  return y;
}

Array normal(int64_t count, double mean, double std, uint64_t seed, uint64_t offset) {
  check(std::isfinite(mean) && std::isfinite(std) && std >= 0, "normal: got mean ", mean, " and std ", std,
        ", wanted finite numbers and std >= 0");
  Array y = empty_vector("normal", count);
  float* out = mutable_data_of<float>(y);
  Unlocked unlocked;
  random_kernels<float>().normal({seed, offset}, count, mean, std, out);
  return y;
}

void check_probability(const char* op, double p) {
  check(p >= 0 && p <= 1, op, ": got p = ", p, ", wanted a probability from 0 to 1");
}

// Position i of the stream belongs to the i-th element in the memory of y, which keeps x's order of axes.
py::tuple dropout(const Array& x, double p, uint64_t seed, uint64_t offset) {
  check_probability("dropout", p);
  return by_float_type("dropout", x, [&](auto type) {
    using T = decltype(type);
    const Array dense = as_dense("dropout", x);
    const Layout layout = dense_like(layout_of("dropout", dense));
    Array y = empty(layout, x.dtype()), mask = empty(layout, py::dtype::of<uint8_t>());
    T* out = mutable_data_of<T>(y);
    auto* kept = mutable_data_of<uint8_t>(mask);
    {
      Unlocked unlocked;
      random_kernels<T>().dropout({seed, offset}, element_count(layout), p, data_of<T>(dense), out, kept);
    }
    return py::make_tuple(y, mask);
  });
}

Array dropout_backward(const Array& grad, const Array& mask, double p) {
  const char* op = "dropout_backward";
  check_probability(op, p);
  if (type_number(mask) != py::detail::npy_api::NPY_UBYTE_) fail_dtype(op, mask, "uint8 for the mask");
  return by_float_type(op, grad, [&](auto type) {
    using T = decltype(type);
    const Layout in = layout_of(op, grad), of_mask = layout_of(op, mask);
    if (!same_shape(in, of_mask)) fail(op, ": grad has shape ", in, ", mask ", of_mask);
    const Array dense = is_dense(of_mask) ? mask : Array(mask.attr("copy")("K"));
    const Layout layout = dense_like(layout_of(op, dense));
    const Array dy = same_strides(in, layout) ? grad : copy_as(op, grad, layout);
    Array dx = empty(layout, grad.dtype());
    T* out = mutable_data_of<T>(dx);
    Unlocked unlocked;
    random_kernels<T>().dropout_backward(element_count(layout), p, data_of<T>(dy), data_of<uint8_t>(dense), out);
    return dx;
  });
}

}  // namespace

void bind_random(py::module_& m) {
  m.def("uniform", &uniform, py::arg("count"), py::arg("low"), py::arg("high"), py::arg("seed"), py::arg("offset"));
  m.def("normal", &normal, py::arg("count"), py::arg("mean"), py::arg("std"), py::arg("seed"), py::arg("offset"));
  m.def("dropout", &dropout, py::arg("x"), py::arg("p"), py::arg("seed"), py::arg("offset"));
  m.def("dropout_backward", &dropout_backward, py::arg("grad"), py::arg("mask"), py::arg("p"));
}

}  // namespace tinydl
