// Arrays of a GPU, as far as bindings need them: Python objects with CuPy's attributes (shape, strides, dtype,
// data.ptr). CuPy's own are such, and tinydl.emulated's, which stand on NumPy.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

namespace tinydl {

class DeviceArray : public pybind11::object {
 public:
  PYBIND11_OBJECT(DeviceArray, pybind11::object, is_device_array)

  pybind11::dtype dtype() const { return attr("dtype"); }
  pybind11::ssize_t ndim() const { return attr("ndim").cast<pybind11::ssize_t>(); }
  pybind11::ssize_t shape(int axis) const { return attr("shape")[pybind11::int_(axis)].cast<pybind11::ssize_t>(); }
  pybind11::ssize_t size() const { return attr("size").cast<pybind11::ssize_t>(); }
  pybind11::ssize_t itemsize() const { return attr("itemsize").cast<pybind11::ssize_t>(); }
  pybind11::ssize_t nbytes() const { return attr("nbytes").cast<pybind11::ssize_t>(); }
  bool writeable() const { return true; }
  const void* data() const { return address(); }
  void* mutable_data() { return address(); }

  // The array itself, or no array where the object is none.
  static DeviceArray ensure(const pybind11::object& value);

 private:
  static bool is_device_array(PyObject* object);
  void* address() const { return reinterpret_cast<void*>(attr("data").attr("ptr").cast<uintptr_t>()); }
};

// What the module asks Python for: the type of its arrays; array(shape, strides in bytes, dtype, bytes), uninitialised;
// an object with an attribute ptr that owns so many bytes; and the current stream's address. `use_arrays` sets them,
// once.
struct ArraySource {
  pybind11::object type, array, memory, stream;
};
const ArraySource& array_source();
void bind_array_source(pybind11::module_& m);

}  // namespace tinydl
