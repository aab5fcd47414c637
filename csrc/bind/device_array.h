// Arrays of a GPU, as far as bindings need them: Python objects with CuPy's attributes (shape, strides, dtype,
// data.ptr). CuPy's own are such, and tinydl.emulated's, which stand on NumPy.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

namespace tinydl {

class DeviceArray : public pybind11::object {
 public:
  PYBIND11_OBJECT(DeviceArray, pybind11::object, is_device_array)
  DeviceArray() : pybind11::object() {}  // no array

  pybind11::dtype dtype() const { return attr("dtype"); }
  pybind11::ssize_t ndim() const { return attr("ndim").cast<pybind11::ssize_t>(); }
  pybind11::ssize_t shape(int axis) const { return attr("shape")[pybind11::int_(axis)].cast<pybind11::ssize_t>(); }
  pybind11::ssize_t size() const { return attr("size").cast<pybind11::ssize_t>(); }
  pybind11::ssize_t itemsize() const { return attr("itemsize").cast<pybind11::ssize_t>(); }
  pybind11::ssize_t nbytes() const { return attr("nbytes").cast<pybind11::ssize_t>(); }
  bool writeable() const { return true; }
  int device() const { return attr("data").attr("device_id").cast<int>(); }  // which GPU
  const void* data() const { return address(); }
  void* mutable_data() { return address(); }

  // The array itself, or no array where the object is none.
  static DeviceArray ensure(const pybind11::object& value);

 private:
  static bool is_device_array(PyObject* object);
  void* address() const { return reinterpret_cast<void*>(attr("data").attr("ptr").cast<uintptr_t>()); }
};

// What the module asks Python for; `use_arrays` sets it, once.
struct ArraySource {
  pybind11::object type;      // of the arrays
  pybind11::object array;     // array(shape, strides in bytes, dtype, bytes), uninitialised
  pybind11::object memory;    // memory(bytes), an object that owns as many, at its attribute ptr
  pybind11::object stream;    // stream(), the address of the current one
  pybind11::object constant;  // constant(number): a NumPy array without axes as one of the device's
};
const ArraySource& array_source();
void bind_array_source(pybind11::module_& m);

}  // namespace tinydl

namespace pybind11::detail {

template <>
struct handle_type_name<tinydl::DeviceArray> {
  static constexpr auto name = const_name("tinydl.Array");
};

// Arguments may be numbers too, as NumPy arrays without axes.
template <>
class type_caster<tinydl::DeviceArray> : public pyobject_caster<tinydl::DeviceArray> {
 public:
  bool load(handle source, bool convert) {
    if (isinstance<array>(source) && reinterpret_borrow<array>(source).ndim() == 0) {
      value = tinydl::DeviceArray::ensure(tinydl::array_source().constant(source));
      return static_cast<bool>(value);
    }
    return pyobject_caster<tinydl::DeviceArray>::load(source, convert);
  }
};

}  // namespace pybind11::detail
