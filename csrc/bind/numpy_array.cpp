// What the CPU's bindings need of NumPy's arrays.
#include "bind/arrays.h"
#include "bind/memory.h"

namespace tinydl {

Layout layout_of(const char* op, const Array& a) {
  Layout out;
  const auto* array = py::detail::array_proxy(a.ptr());
  check(array->nd <= kMaxDims, op, ": got an array of ", array->nd, " axes, wanted at most ", kMaxDims);
  constexpr int aligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  check((array->flags & aligned) != 0, op, ": the array's memory is not aligned to its dtype; pass a copy");
  constexpr char foreign = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '>' : '<';
  check(a.dtype().byteorder() != foreign, op, ": the array's bytes are in foreign order; pass a copy");
  const auto size = static_cast<int64_t>(a.itemsize());
  out.ndim = array->nd;
  for (int d = 0; d < out.ndim; ++d) {
    out.shape[d] = array->dimensions[d];
    check(array->strides[d] % size == 0, op, ": stride ", array->strides[d], " of axis ", d,
          " is not a multiple of the element size ", size, "; pass a copy");
    out.stride[d] = array->strides[d] / size;
  }
  return out;
}

namespace {

[[noreturn]] void fail_memory(const char* what, const Layout& layout, const py::dtype& dtype) {
  const std::string message =
      text(what, " for an array of shape ", layout, " and dtype ", py::str(dtype).cast<std::string>());
  py::set_error(PyExc_MemoryError, message.c_str());
  throw py::error_already_set();
}

void* allocate_for(size_t bytes, const Layout& layout, const py::dtype& dtype) {
  try {
    return allocate(bytes);
  } catch (const OutOfMemory& error) {
    fail_memory(error.what(), layout, dtype);
  }
}

}  // namespace

Array empty(const Layout& layout, const py::dtype& dtype) {
  const auto size = static_cast<int64_t>(dtype.itemsize());
  int64_t bytes = size;
  Py_intptr_t shape[kMaxDims], strides[kMaxDims];
  for (int d = 0; d < layout.ndim; ++d) {
    shape[d] = layout.shape[d];
    strides[d] = layout.stride[d] * size;
    if (__builtin_mul_overflow(bytes, layout.shape[d], &bytes))
      fail_memory("cannot allocate more bytes than can be counted", layout, dtype);
  }
  void* data = allocate_for(static_cast<size_t>(bytes), layout, dtype);
  PyObject* owner =
      PyCapsule_New(data, nullptr, [](PyObject* capsule) { release(PyCapsule_GetPointer(capsule, nullptr)); });
  if (!owner) {
    release(data);
    throw py::error_already_set();
  }
  auto& api = py::detail::npy_api::get();
  PyObject* array = api.PyArray_NewFromDescr_(api.PyArray_Type_, dtype.inc_ref().ptr(), layout.ndim, shape, strides,
                                              data, py::detail::npy_api::NPY_ARRAY_WRITEABLE_, nullptr);
  if (!array) {
    Py_DECREF(owner);
    throw py::error_already_set();
  }
  api.PyArray_SetBaseObject_(array, owner);
  return py::reinterpret_steal<Array>(array);
}

}  // namespace tinydl
