#include "contract/pool.h"

#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

constexpr int64_t kTaps8 = 256;  // the most that 8 bits number

Layout input_layout(const PoolGeometry& g) { return channels_last(g.n, g.channels, g.h.in, g.w.in); }
Layout output_layout(const PoolGeometry& g) { return channels_last(g.n, g.channels, g.h.out, g.w.out); }

// The geometry that maps images of `size` pixels to the gradient's shape.
PoolGeometry backward_geometry(const char* op, const Layout& grad, const Pair& size, const PoolOptions& options) {
  check(grad.ndim == 4, op, ": got a gradient of shape ", grad, ", wanted (N, C, H, W)");
  Layout x = grad;
  x.shape[2] = size.first;
  x.shape[3] = size.second;
  const PoolGeometry g = pool_geometry(op, x, options);
  check(same_shape(grad, output_layout(g)), op, ": got a gradient of shape ", grad, ", wanted ", output_layout(g));
  return g;
}

// (y, taps), or (y, None) where the taps are not wanted.
py::tuple max_pool2d(const Array& x, const Pair& kernel, const Pair& stride, const Pair& padding, const Pair& dilation,
                     bool ceil_mode, bool want_taps) {
  constexpr const char* op = "max_pool2d";
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const PoolGeometry g = pool_geometry(op, layout_of(op, x), {kernel, stride, padding, dilation, ceil_mode});
    const bool narrow = g.h.kernel <= kTaps8 && g.w.kernel <= kTaps8 && g.h.kernel * g.w.kernel <= kTaps8;
    check(g.h.kernel <= INT32_MAX / g.w.kernel, op, ": a kernel of ", g.h.kernel, " x ", g.w.kernel, " is too large");
    const Array dense = as_layout(op, x, input_layout(g));
    const Layout out = output_layout(g);
    Array y = empty(out, x.dtype());
    py::object taps = py::none();
    void* tap = nullptr;
    if (want_taps) {
      Array fresh = empty(out, narrow ? py::dtype::of<uint8_t>() : py::dtype::of<int32_t>());
      tap = fresh.mutable_data();
      taps = fresh;
    }
    T* to = mutable_data_of<T>(y);
    const PoolKernels<T>& kernels = pool_kernels<T>();
    {
      Unlocked unlocked;
      if (!tap)
        kernels.max(g, data_of<T>(dense), to);
      else if (narrow)
        kernels.max_tap8(g, data_of<T>(dense), to, static_cast<uint8_t*>(tap));
      else
        kernels.max_tap32(g, data_of<T>(dense), to, static_cast<int32_t*>(tap));
    }
    return py::make_tuple(y, taps);
  });
}

// The taps as the forward pass wrote them; they are never copied.
Array check_taps(const char* op, const Array& taps, const Layout& out) {
  const int number = type_number(taps);
  const bool known = number == py::detail::npy_api::NPY_UINT8_ || number == py::dtype::of<int32_t>().num();
  if (!known) fail_dtype(op, taps, "taps of dtype uint8 or int32");
  const Layout layout = layout_of(op, taps);
  check(same_strides(layout, out) || (element_count(out) == 0 && same_shape(layout, out)), op, ": got taps of shape ",
        layout, ", wanted channels-last taps of shape ", out);
  return taps;
}

Array max_pool2d_backward(const Array& grad, const Array& taps, const Pair& size, const Pair& kernel,
                          const Pair& stride, const Pair& padding, const Pair& dilation, bool ceil_mode) {
  constexpr const char* op = "max_pool2d_backward";
  return by_float_type(op, grad, [&](auto type) {
    using T = decltype(type);
    const PoolGeometry g =
        backward_geometry(op, layout_of(op, grad), size, {kernel, stride, padding, dilation, ceil_mode});
    const Layout out = output_layout(g);
    const Array dy = as_layout(op, grad, out), tap = check_taps(op, taps, out);
    Array dx = empty(input_layout(g), grad.dtype());
    T* to = mutable_data_of<T>(dx);
    const bool narrow = tap.itemsize() == 1;
    Unlocked unlocked;
    if (narrow)
      pool_kernels<T>().max_backward_tap8(g, data_of<T>(dy), data_of<uint8_t>(tap), to);
    else
      pool_kernels<T>().max_backward_tap32(g, data_of<T>(dy), data_of<int32_t>(tap), to);
    return dx;
  });
}

constexpr Pair kNoDilation{1, 1};

// A divisor_override of 0 stands for none.
Array avg_pool2d(const Array& x, const Pair& kernel, const Pair& stride, const Pair& padding, bool ceil_mode,
                 bool count_include_pad, int64_t divisor_override) {
  constexpr const char* op = "avg_pool2d";
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const PoolGeometry g = pool_geometry(op, layout_of(op, x), {kernel, stride, padding, kNoDilation, ceil_mode});
    const Array dense = as_layout(op, x, input_layout(g));
    Array y = empty(output_layout(g), x.dtype());
    T* to = mutable_data_of<T>(y);
    Unlocked unlocked;
    pool_kernels<T>().average(g, {count_include_pad, divisor_override}, data_of<T>(dense), to);
    return y;
  });
}

Array avg_pool2d_backward(const Array& grad, const Pair& size, const Pair& kernel, const Pair& stride,
                          const Pair& padding, bool ceil_mode, bool count_include_pad, int64_t divisor_override) {
  constexpr const char* op = "avg_pool2d_backward";
  return by_float_type(op, grad, [&](auto type) {
    using T = decltype(type);
    const PoolGeometry g =
        backward_geometry(op, layout_of(op, grad), size, {kernel, stride, padding, kNoDilation, ceil_mode});
    const Array dy = as_layout(op, grad, output_layout(g));
    Array dx = empty(input_layout(g), grad.dtype());
    T* to = mutable_data_of<T>(dx);
    Unlocked unlocked;
    pool_kernels<T>().average_backward(g, {count_include_pad, divisor_override}, data_of<T>(dy), to);
    return dx;
  });
}

}  // namespace

void bind_pool(py::module_& m) {
  m.def("max_pool2d", &max_pool2d, py::arg("x"), py::arg("kernel"), py::arg("stride"), py::arg("padding"),
        py::arg("dilation"), py::arg("ceil_mode"), py::arg("want_taps"));
  m.def("max_pool2d_backward", &max_pool2d_backward, py::arg("grad"), py::arg("taps"), py::arg("size"),
        py::arg("kernel"), py::arg("stride"), py::arg("padding"), py::arg("dilation"), py::arg("ceil_mode"));
  m.def("avg_pool2d", &avg_pool2d, py::arg("x"), py::arg("kernel"), py::arg("stride"), py::arg("padding"),
        py::arg("ceil_mode"), py::arg("count_include_pad"), py::arg("divisor_override"));
  m.def("avg_pool2d_backward", &avg_pool2d_backward, py::arg("grad"), py::arg("size"), py::arg("kernel"),
        py::arg("stride"), py::arg("padding"), py::arg("ceil_mode"), py::arg("count_include_pad"),
        py::arg("divisor_override"));
}

}  // namespace tinydl
