// Between Python's arrays and kernels: layouts, fresh arrays, dispatch on dtype. The bindings are written once, on
// `Array`; each extension module compiles them for its own kind of array and its own device's kernels.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <exception>

#ifdef TINYDL_CUDA
#include "bind/device_array.h"
#endif
#include "core/check.h"
#include "core/half.h"
#include "core/layout.h"
#include "core/loop_nest.h"

namespace tinydl {

namespace py = pybind11;

#ifdef TINYDL_CUDA
using Array = DeviceArray;

// Held while kernels are launched, which is short: the interpreter's lock stays held, since memory and streams are
// CuPy's.
struct Unlocked {
  Unlocked();  // makes CuPy's current stream that of the launches
};
#else
using Array = py::array;

// Held while kernels run, which need no Python.
using Unlocked = py::gil_scoped_release;
#endif

// No array, and whether there is one.
inline Array no_array() { return py::reinterpret_steal<Array>(py::handle()); }
inline py::object or_none(const Array& a) { return a ? py::object(a) : py::object(py::none()); }

// The array's shape and strides; refuses arrays that no kernel can walk (over kMaxDims axes, misaligned,
// byte-swapped).
Layout layout_of(const char* op, const Array& a);

// An uninitialised array, in memory of the module's device.
Array empty(const Layout& layout, const py::dtype& dtype);

// A copy whose axes lie in memory as `layout` says (its shape must be a's).
Array copy_as(const char* op, const Array& a, const Layout& layout);

// The array itself where it is dense, else a dense copy; and the same for row-major order.
Array as_dense(const char* op, const Array& a);
Array as_row_major(const char* op, const Array& a);

// The array itself where its memory lies as `layout` says (of a's shape), else a copy that does.
Array as_layout(const char* op, const Array& a, const Layout& layout);

// Throws TypeError unless both arrays have one dtype.
void require_same_dtype(const char* op, const Array& first, const Array& other);

void require_dtype(const char* op, const py::dtype& wanted, const Array& array);

// Makes core's TypeError Python's; for the module's exception translators.
void translate_type_error(std::exception_ptr error);

[[noreturn]] void fail_dtype(const char* op, const Array& got, const char* wanted);

inline int type_number(const Array& a) { return a.dtype().num(); }

template <class T>
const T* data_of(const Array& a) {
  return static_cast<const T*>(a.data());
}
// For arrays that `empty` made, and for parameters that an optimiser updates in place.
template <class T>
T* mutable_data_of(Array& a) {
  return static_cast<T*>(a.mutable_data());
}

#ifdef TINYDL_CUDA
// NumPy's numbers of the 16-bit types, the second of which ml_dtypes registers.
int float16_number();
int bfloat16_number();
#endif

// Calls f with a value of the array's element type: float or double; on a GPU the 16-bit types too.
template <class F>
decltype(auto) by_float_type(const char* op, const Array& a, const F& f) {
  switch (type_number(a)) {
    case py::detail::npy_api::NPY_FLOAT_:
      return f(float());
    case py::detail::npy_api::NPY_DOUBLE_:
      return f(double());
  }
#ifdef TINYDL_CUDA
  if (type_number(a) == float16_number()) return f(Float16());
  if (type_number(a) == bfloat16_number()) return f(Bfloat16());
  fail_dtype(op, a, "float32, float64, float16 or bfloat16");
#else
  fail_dtype(op, a, "float32 or float64");
#endif
}

}  // namespace tinydl
