// Between NumPy arrays and kernels: layouts, fresh arrays from the caching allocator, dispatch on dtype.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "core/check.h"
#include "core/layout.h"
#include "core/loop_nest.h"

namespace tinydl {

namespace py = pybind11;

// The array's shape and strides; refuses arrays that no kernel can walk (over kMaxDims axes, misaligned,
// byte-swapped).
Layout layout_of(const char* op, const py::array& a);

// An uninitialised array from the caching allocator.
py::array empty(const Layout& layout, const py::dtype& dtype);

// A copy whose axes lie in memory as `layout` says (its shape must be a's).
py::array copy_as(const char* op, const py::array& a, const Layout& layout);

// The array itself where it is dense, else a dense copy; and the same for row-major order.
py::array as_dense(const char* op, const py::array& a);
py::array as_row_major(const char* op, const py::array& a);

// The array itself where its memory lies as `layout` says (of a's shape), else a copy that does.
py::array as_layout(const char* op, const py::array& a, const Layout& layout);

// Throws TypeError unless every array has the dtype of the first.
void require_same_dtype(const char* op, const py::array& first, const py::array& other);

[[noreturn]] void fail_dtype(const char* op, const py::array& got, const char* wanted);

inline int type_number(const py::array& a) { return a.dtype().num(); }

template <class T>
const T* data_of(const py::array& a) {
  return static_cast<const T*>(a.data());
}
// For arrays that `empty` made, and for parameters that an optimiser updates in place.
template <class T>
T* mutable_data_of(py::array& a) {
  return static_cast<T*>(a.mutable_data());
}

// Calls f with a value of the array's element type: float or double.
template <class F>
decltype(auto) by_float_type(const char* op, const py::array& a, const F& f) {
  switch (type_number(a)) {
    case py::detail::npy_api::NPY_FLOAT_:
      return f(float());
    case py::detail::npy_api::NPY_DOUBLE_:
      return f(double());
    default:
      fail_dtype(op, a, "float32 or float64");
  }
}

}  // namespace tinydl
