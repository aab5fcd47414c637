#include "contract/index.h"

#include <pybind11/stl.h>

#include <vector>

#include "bind/families.h"
#include "bind/indices.h"
#include "core/axis_split.h"

namespace tinydl {

namespace {

// x's elements at `index` along an axis; negative indices count from the end if `wrap`.
Array take(const Array& x, const Array& index, int axis, bool wrap) {
  constexpr const char* op = "take";
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Layout in = layout_of(op, x);
    const int64_t size = in.shape[axis_in(op, in, axis)];
    const Indices at(op, index, size, wrap);
    const AxisSplit split(in, axis);
    const Array dense = as_layout(op, x, split.with(size));
    Array y = empty(split.with(at.count()), x.dtype());
    T* to = mutable_data_of<T>(y);
    Unlocked unlocked;
    index_kernels<T>().take(split.outer, size, at.count(), split.inner, data_of<T>(dense), at.data(), to);
    return y;
  });
}

// Zeros with `size` places along an axis, to which the slices of grad are added at `index`.
Array take_backward(const Array& grad, const Array& index, int axis, int64_t size, bool wrap) {
  constexpr const char* op = "take_backward";
  return by_float_type(op, grad, [&](auto type) {
    using T = decltype(type);
    const Layout in = layout_of(op, grad);
    const int64_t count = in.shape[axis_in(op, in, axis)];
    const Indices at(op, index, size, wrap);
    check(at.count() == count && size >= 0, op, ": got ", at.count(), " indices for a gradient of shape ", in,
          " and axis ", axis);
    const AxisSplit split(in, axis);
    const Array dense = as_layout(op, grad, split.with(count));
    Array dx = empty(split.with(size), grad.dtype());
    T* to = mutable_data_of<T>(dx);
    Unlocked unlocked;
    index_kernels<T>().take_backward(split.outer, size, count, split.inner, data_of<T>(dense), at.data(), to);
    return dx;
  });
}

// The index's row-major layout, which must fit within x, but for the axis.
Layout index_layout(const char* op, const Layout& x, const Array& index, int axis) {
  Layout out;
  out.ndim = static_cast<int>(index.ndim());
  check(out.ndim == x.ndim, op, ": got an index of ", out.ndim, " axes for a tensor of shape ", x);
  for (int d = 0; d < out.ndim; ++d) out.shape[d] = index.shape(d);
  for (int d = 0; d < out.ndim; ++d)
    check(d == axis || out.shape[d] <= x.shape[d], op, ": an index of shape ", out, " is larger than ", x,
          " apart from axis ", axis);
  return row_major(out);
}

Array gather(const Array& x, const Array& index, int axis) {
  constexpr const char* op = "gather";
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Layout in = layout_of(op, x);
    const int64_t size = in.shape[axis_in(op, in, axis)], stride = in.stride[axis];
    const Layout places = index_layout(op, in, index, axis);
    const CheckedInUse at(op, index, size);
    Layout from = places;
    for (int d = 0; d < from.ndim; ++d) from.stride[d] = d == axis ? 0 : in.stride[d];
    Array y = empty(places, x.dtype());
    const Layout* operands[] = {&from, &places, &places};
    const LoopNest nest = plan_loops(operands, 3);
    T* to = mutable_data_of<T>(y);
    at.use(
        [&](const int64_t* place) { return index_kernels<T>().gather(nest, size, stride, data_of<T>(x), place, to); });
    return y;
  });
}

Layout without_axis(const Layout& a, int axis) {
  Layout out;
  for (int d = 0; d < a.ndim; ++d) {
    if (d == axis) continue;
    out.shape[out.ndim] = a.shape[d];
    out.stride[out.ndim++] = a.stride[d];
  }
  return out;
}

// A copy of x, to whose elements at `index` along the axis those of src are added.
Array scatter_add(const Array& x, const Array& index, const Array& src, int axis) {
  constexpr const char* op = "scatter_add";
  require_same_dtype(op, x, src);
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Layout in = layout_of(op, x), added = layout_of(op, src), out = dense_like(in);
    const int64_t size = in.shape[axis_in(op, in, axis)];
    const Layout places = index_layout(op, in, index, axis);
    check(added.ndim == in.ndim, op, ": got a source of shape ", added, " for a tensor of shape ", in);
    Layout used = added;
    for (int d = 0; d < in.ndim; ++d) {
      check(places.shape[d] <= added.shape[d], op, ": an index of shape ", places, " is larger than the source ",
            added);
      used.shape[d] = places.shape[d];
    }
    const CheckedInUse at(op, index, size);
    Array y = copy_as(op, x, out);
    Layout target = places;
    for (int d = 0; d < in.ndim; ++d) target.stride[d] = out.stride[d];
    const Layout to = without_axis(target, axis), place = without_axis(places, axis), from = without_axis(used, axis);
    const Layout* operands[] = {&to, &place, &from};
    const LoopNest nest = plan_loops(operands, 3);
    const int64_t strides[] = {out.stride[axis], places.stride[axis], added.stride[axis]};
    T* y_data = mutable_data_of<T>(y);
    at.use([&](const int64_t* place) {
      return index_kernels<T>().scatter_add(nest, size, places.shape[axis], strides, y_data, place, data_of<T>(src));
    });
    return y;
  });
}

// The arrays one after the other along an axis; they lie in memory in the first one's order of axes.
Array cat(const py::tuple& arrays, int axis) {
  constexpr const char* op = "cat";
  check(!arrays.empty(), op, ": got no tensors");
  std::vector<Array> parts;
  for (const auto& item : arrays) {
    if (!py::isinstance<Array>(item)) throw TypeError(text(op, ": got something else than arrays"));
    parts.push_back(py::reinterpret_borrow<Array>(item));
  }
  return by_float_type(op, parts[0], [&](auto type) {
    using T = decltype(type);
    const Layout first = layout_of(op, parts[0]);
    axis_in(op, first, axis);
    const AxisSplit split(first, axis);
    int64_t total = 0;
    for (auto& part : parts) {
      require_same_dtype(op, parts[0], part);
      const Layout layout = layout_of(op, part);
      Layout wanted = first;
      if (layout.ndim == first.ndim) wanted.shape[axis] = layout.shape[axis];
      check(same_shape(layout, wanted), op, ": got shapes ", first, " and ", layout,
            ", which may differ only along axis ", axis);
      total += layout.shape[axis];
      part = as_layout(op, part, split.with(layout.shape[axis]));
    }
    Array y = empty(split.with(total), parts[0].dtype());
    T* to = mutable_data_of<T>(y);
    std::vector<std::pair<const T*, int64_t>> sources;
    for (const auto& part : parts) sources.emplace_back(data_of<T>(part), part.shape(axis) * split.inner);
    Unlocked unlocked;
    for (const auto& [from, n] : sources) {
      index_kernels<T>().copy_rows(split.outer, n, from, to, total * split.inner);
      to += n;
    }
    return y;
  });
}

// Axes that x fills, within the same stretch of memory as the axis before, become one with it.
PadPlan plan_padding(const Layout& x, const Layout& y, const std::vector<int64_t>& before) {
  PadPlan plan{};
  int order[kMaxDims];
  for (int d = 0; d < y.ndim; ++d) {
    int at = d;
    for (; at > 0 && y.stride[order[at - 1]] < y.stride[d]; --at) order[at] = order[at - 1];
    order[at] = d;
  }
  for (int k = 0; k < y.ndim; ++k) {
    const int d = order[k], last = plan.ndim - 1;
    const bool filled = before[d] == 0 && x.shape[d] == y.shape[d];
    if (last >= 0 && filled && x.shape[d] == 1) continue;
    if (last >= 0 && filled && plan.x_stride[last] == x.stride[d] * x.shape[d]) {
      plan.shape[last] *= y.shape[d];
      plan.x_shape[last] *= x.shape[d];
      plan.before[last] *= x.shape[d];
      plan.x_stride[last] = x.stride[d];
      continue;
    }
    const int at = plan.ndim++;
    plan.shape[at] = y.shape[d];
    plan.x_shape[at] = x.shape[d];
    plan.x_stride[at] = x.stride[d];
    plan.before[at] = before[d];
  }
  return plan;
}

// x with `before` and `after` places of `value` at the ends of each axis; negative numbers cut.
Array pad(const Array& x, const std::vector<int64_t>& before, const std::vector<int64_t>& after, double value) {
  constexpr const char* op = "pad";
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Layout in = layout_of(op, x);
    check(static_cast<int>(before.size()) == in.ndim && before.size() == after.size(), op, ": got ", before.size(),
          " and ", after.size(), " paddings for shape ", in);
    check(in.ndim > 0, op, ": got an array without axes");
    Layout shape = dense_like(in);
    for (int d = 0; d < in.ndim; ++d) {
      int64_t size = in.shape[d];
      const bool fits =
          !__builtin_add_overflow(size, before[d], &size) && !__builtin_add_overflow(size, after[d], &size);
      check(fits && size >= 0, op, ": paddings ", before[d], " and ", after[d], " of axis ", d,
            " leave a size out of range for shape ", in);
      shape.shape[d] = size;
    }
    const Layout out = dense_like(shape);
    Array y = empty(out, x.dtype());
    const PadPlan plan = plan_padding(in, out, before);
    T* to = mutable_data_of<T>(y);
    Unlocked unlocked;
    index_kernels<T>().pad(plan, data_of<T>(x), static_cast<T>(value), to);
    return y;
  });
}

// x with `value` where the mask, broadcast with it, is true.
Array masked_fill(const Array& x, const Array& mask, double value) {
  constexpr const char* op = "masked_fill";
  if (mask.dtype().kind() != 'b') fail_dtype(op, mask, "a mask of dtype bool");
  return by_float_type(op, x, [&](auto type) {
    using T = decltype(type);
    const Layout in = layout_of(op, x), hidden = layout_of(op, mask);
    Layout common;
    check(broadcast_shapes(in, hidden, common), op, ": shapes ", in, " and ", hidden, " do not broadcast");
    const Layout wide_x = broadcast_to(in, common), wide_mask = broadcast_to(hidden, common);
    const Layout out = dense_like(same_shape(in, common) ? wide_x : wide_mask);
    Array y = empty(out, x.dtype());
    const Layout* operands[] = {&wide_x, &wide_mask, &out};
    const LoopNest nest = plan_loops(operands, 3);
    T* to = mutable_data_of<T>(y);
    const auto* flags = static_cast<const uint8_t*>(mask.data());
    Unlocked unlocked;
    index_kernels<T>().masked_fill(nest, data_of<T>(x), flags, static_cast<T>(value), to);
    return y;
  });
}

}  // namespace

void bind_index(py::module_& m) {
  m.def("take", &take, py::arg("x"), py::arg("index"), py::arg("axis"), py::arg("wrap"));
  m.def("take_backward", &take_backward, py::arg("grad"), py::arg("index"), py::arg("axis"), py::arg("size"),
        py::arg("wrap"));
  m.def("gather", &gather, py::arg("x"), py::arg("index"), py::arg("axis"));
  m.def("scatter_add", &scatter_add, py::arg("x"), py::arg("index"), py::arg("src"), py::arg("axis"));
  m.def("cat", &cat, py::arg("arrays"), py::arg("axis"));
  m.def("pad", &pad, py::arg("x"), py::arg("before"), py::arg("after"), py::arg("value"));
  m.def("masked_fill", &masked_fill, py::arg("x"), py::arg("mask"), py::arg("value"));
}

}  // namespace tinydl
