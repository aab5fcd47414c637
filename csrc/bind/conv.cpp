#include "contract/conv.h"

#include <array>

#include "bind/activation.h"
#include "bind/arrays.h"
#include "bind/families.h"

#include <pybind11/stl.h>

namespace tinydl {

namespace {

using PerAxis = std::array<int64_t, 2>;
using Sides = std::array<int64_t, 4>;

Array as_channels_last(const char* op, const Array& images) {
  const Layout a = layout_of(op, images);
  return as_layout(op, images, channels_last(a.shape[0], a.shape[1], a.shape[2], a.shape[3]));
}

template <class T>
ConvWeight<T> weight_of(const char* op, const Array& w) {
  const Layout layout = layout_of(op, w);
  return {data_of<T>(w), layout.stride[0], layout.stride[1], layout.stride[2], layout.stride[3]};
}

ConvOptions options_of(const PerAxis& stride, const Sides& padding, const PerAxis& dilation, int64_t groups) {
  return {{stride[0], stride[1]}, {dilation[0], dilation[1]}, {padding[0], padding[1], padding[2], padding[3]}, groups};
}

// Throws unless dy has the shape of the convolution's output.
void check_output(const char* op, const ConvGeometry& g, const Layout& dy) {
  const Layout expected = channels_last(g.batch, g.filters, g.h.output, g.w.output);
  check(same_shape(dy, expected), op, ": got an output gradient of shape ", dy, ", wanted ", expected);
}

Array conv2d(const Array& x, const Array& weight, const py::object& bias, const PerAxis& stride, const Sides& padding,
             const PerAxis& dilation, int64_t groups, const std::string& activation) {
  constexpr const char* op = "conv2d";
  require_same_dtype(op, x, weight);
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const ConvGeometry g =
        conv_geometry(op, layout_of(op, x), layout_of(op, weight), options_of(stride, padding, dilation, groups));
    const Array dense = as_channels_last(op, x);
    const ConvWeight<T> w = weight_of<T>(op, weight);
    const Array dense_bias = bias_row(op, bias, x.dtype(), g.filters);
    const Epilogue<T> epilogue{dense_bias ? data_of<T>(dense_bias) : nullptr, parse_activation(op, activation)};
    Array y = empty(channels_last(g.batch, g.filters, g.h.output, g.w.output), x.dtype());
    T* to = mutable_data_of<T>(y);
    Unlocked unlocked;
    conv_kernels<T>().forward(g, data_of<T>(dense), w, epilogue, to);
    return y;
  });
}

Array input_grad(const Array& grad, const Array& weight, const Sides& input_shape, const PerAxis& stride,
                 const Sides& padding, const PerAxis& dilation, int64_t groups, const py::object& bias) {
  constexpr const char* op = "conv2d_input_grad";
  require_same_dtype(op, grad, weight);
  return by_float_type(op, grad, [&](auto type) {
    using T = decltype(type);
    for (const int64_t size : input_shape) check(size >= 0, op, ": the input's shape has a negative size ", size);
    const Layout input = channels_last(input_shape[0], input_shape[1], input_shape[2], input_shape[3]);
    const ConvGeometry g =
        conv_geometry(op, input, layout_of(op, weight), options_of(stride, padding, dilation, groups));
    check_output(op, g, layout_of(op, grad));
    const Array dy = as_channels_last(op, grad);
    const ConvWeight<T> w = weight_of<T>(op, weight);
    const Array dense_bias = bias_row(op, bias, grad.dtype(), g.channels);
    const T* shift = dense_bias ? data_of<T>(dense_bias) : nullptr;
    Array dx = empty(input, grad.dtype());
    T* to = mutable_data_of<T>(dx);
    Unlocked unlocked;
    conv_kernels<T>().input_grad(g, data_of<T>(dy), w, shift, to);
    return dx;
  });
}

// The gradient as (O, C / groups, KH, KW), stored in the order KH, KW, C / groups, O.
Array weight_grad(const Array& x, const Array& grad, const Sides& weight_shape, const PerAxis& stride,
                  const Sides& padding, const PerAxis& dilation, int64_t groups) {
  constexpr const char* op = "conv2d_weight_grad";
  require_same_dtype(op, x, grad);
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    for (const int64_t size : weight_shape) check(size >= 0, op, ": the weight's shape has a negative size ", size);
    Layout weight = channels_last(weight_shape[0], weight_shape[1], weight_shape[2], weight_shape[3]);
    const ConvGeometry g = conv_geometry(op, layout_of(op, x), weight, options_of(stride, padding, dilation, groups));
    check_output(op, g, layout_of(op, grad));
    const Array dense = as_channels_last(op, x), dy = as_channels_last(op, grad);
    int64_t step = 1;
    for (const int axis : {0, 1, 3, 2}) {
      weight.stride[axis] = step;
      step *= weight.shape[axis] > 0 ? weight.shape[axis] : 1;
    }
    Array dw = empty(weight, x.dtype());
    T* to = mutable_data_of<T>(dw);
    Unlocked unlocked;
    conv_kernels<T>().weight_grad(g, data_of<T>(dense), data_of<T>(dy), to);
    return dw;
  });
}

}  // namespace

void bind_conv(py::module_& m) {
  m.def("conv2d", &conv2d, py::arg("x"), py::arg("weight"), py::arg("bias"), py::arg("stride"), py::arg("padding"),
        py::arg("dilation"), py::arg("groups"), py::arg("activation"));
  m.def("conv2d_input_grad", &input_grad, py::arg("grad"), py::arg("weight"), py::arg("input_shape"), py::arg("stride"),
        py::arg("padding"), py::arg("dilation"), py::arg("groups"), py::arg("bias") = py::none());
  m.def("conv2d_weight_grad", &weight_grad, py::arg("x"), py::arg("grad"), py::arg("weight_shape"), py::arg("stride"),
        py::arg("padding"), py::arg("dilation"), py::arg("groups"));
}

}  // namespace tinydl
