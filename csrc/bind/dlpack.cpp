// Arrays to and from DLPack capsules. NumPy's own exchange knows no bfloat16 and, in older protocols, no read-only
// memory. Also here: the buffer protocol for a Python class, which Python itself offers from 3.12 on only.
#include "bind/dlpack.h"

#include <memory>
#include <vector>

#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

// The names of unconsumed and consumed capsules.
template <class M>
struct Names;
template <>
struct Names<dlpack::Managed> {
  static constexpr const char *fresh = "dltensor", *used = "used_dltensor";
};
template <>
struct Names<dlpack::ManagedVersioned> {
  static constexpr const char *fresh = "dltensor_versioned", *used = "used_dltensor_versioned";
};

// -- Export

// What a capsule of ours points at: the record that consumers read, and the array that it keeps alive.
template <class M>
struct Exported {
  M managed{};
  PyObject* array = nullptr;
  std::vector<int64_t> shape, strides;
};

// Consumers may call this from any thread, and as late as the interpreter's end.
template <class M>
void release_export(M* managed) {
  auto* exported = static_cast<Exported<M>*>(managed->context);
  if (Py_IsInitialized()) {
    const PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF(exported->array);
    PyGILState_Release(state);
  }
  delete exported;
}

template <class M>
void destroy_capsule(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, Names<M>::fresh)) return;  // its consumer calls the deleter
  auto* managed = static_cast<M*>(PyCapsule_GetPointer(capsule, Names<M>::fresh));
  if (managed->deleter) managed->deleter(managed);
}

dlpack::DataType type_of(const py::array& a) {
  const auto bits = static_cast<uint8_t>(8 * a.itemsize());
  switch (a.dtype().kind()) {
    case 'b':
      return {dlpack::kBool, bits, 1};
    case 'i':
      return {dlpack::kInt, bits, 1};
    case 'u':
      return {dlpack::kUInt, bits, 1};
    case 'f':
      return {dlpack::kFloat, bits, 1};
    default:
      if (py::str(a.dtype()).cast<std::string>() == "bfloat16") return {dlpack::kBfloat, 16, 1};
      fail_dtype("__dlpack__", a, "a dtype that DLPack knows");
  }
}

template <class M>
std::unique_ptr<Exported<M>> describe(const py::array& a) {
  auto exported = std::make_unique<Exported<M>>();
  for (py::ssize_t d = 0; d < a.ndim(); ++d) {
    if (a.strides(d) % a.itemsize() != 0) throw py::buffer_error("__dlpack__: a stride is no multiple of the element");
    exported->shape.push_back(a.shape(d));
    exported->strides.push_back(a.strides(d) / a.itemsize());
  }
  dlpack::Tensor& t = exported->managed.tensor;
  t.data = const_cast<void*>(a.data());
  t.device = {dlpack::kCpu, 0};
  t.ndim = static_cast<int32_t>(a.ndim());
  t.dtype = type_of(a);
  t.shape = exported->shape.data();
  t.strides = exported->strides.data();
  exported->managed.context = exported.get();
  exported->managed.deleter = release_export<M>;
  return exported;
}

template <class M>
py::object to_capsule(std::unique_ptr<Exported<M>> exported, const py::array& a) {
  PyObject* capsule = PyCapsule_New(&exported->managed, Names<M>::fresh, destroy_capsule<M>);
  if (!capsule) throw py::error_already_set();
  exported->array = a.inc_ref().ptr();
  exported.release();
  return py::reinterpret_steal<py::object>(capsule);
}

py::object to_dlpack(const py::array& array, bool versioned, bool copied) {
  if (!versioned) {
    if (!array.writeable())
      throw py::buffer_error("__dlpack__: read-only memory needs a consumer that asks for version 1");
    return to_capsule(describe<dlpack::Managed>(array), array);
  }
  auto exported = describe<dlpack::ManagedVersioned>(array);
  exported->managed.version = {1, 0};
  exported->managed.flags = (array.writeable() ? 0 : dlpack::kReadOnly) | (copied ? dlpack::kCopied : 0);
  return to_capsule(std::move(exported), array);
}

// -- Import

// NumPy's letter for a type code, 0 where it has none.
char kind_of(uint8_t code) {
  switch (code) {
    case dlpack::kInt:
      return 'i';
    case dlpack::kUInt:
      return 'u';
    case dlpack::kFloat:
      return 'f';
    case dlpack::kBool:
      return 'b';
    default:
      return 0;
  }
}

py::dtype dtype_of(const dlpack::DataType& type) {
  if (type.code == dlpack::kBfloat && type.bits == 16 && type.lanes == 1)
    return py::dtype::from_args(py::module_::import("ml_dtypes").attr("bfloat16"));
  const char kind = kind_of(type.code);
  const int bits = type.bits, least = kind == 'f' ? 16 : 8, most = kind == 'b' ? 8 : 64;
  const bool power = bits == 8 || bits == 16 || bits == 32 || bits == 64;
  if (!kind || !power || bits < least || bits > most || type.lanes != 1)
    throw TypeError(text("from_dlpack: no dtype here has DLPack's code ", int(type.code), " with ", bits, " bits and ",
                         type.lanes, " lanes"));
  return py::dtype(text(kind, bits / 8));
}

// An array over the record's memory with `owner` as its base.
py::array array_over(const dlpack::Tensor& t, bool writeable, py::object owner) {
  if (t.device.type != dlpack::kCpu)
    throw py::buffer_error(
        text("from_dlpack: the memory is on a device of type ", t.device.type, ", wanted the CPU's"));
  check(t.ndim >= 0 && t.ndim <= kMaxDims, "from_dlpack: got ", t.ndim, " axes, wanted at most ", kMaxDims);
  const py::dtype dtype = dtype_of(t.dtype);
  Py_intptr_t shape[kMaxDims], strides[kMaxDims], next = dtype.itemsize();
  for (int d = t.ndim - 1; d >= 0; --d) {
    check(t.shape[d] >= 0, "from_dlpack: axis ", d, " has the size ", t.shape[d]);
    shape[d] = t.shape[d];
    strides[d] = t.strides ? t.strides[d] * dtype.itemsize() : next;
    next *= shape[d];
  }
  if (next == 0 || !t.data) {  // no elements: the memory may be null
    check(next == 0, "from_dlpack: the memory is null");
    return py::array(dtype, std::vector<Py_intptr_t>(shape, shape + t.ndim));
  }
  auto& api = py::detail::npy_api::get();
  const int flags = writeable ? py::detail::npy_api::NPY_ARRAY_WRITEABLE_ : 0;
  PyObject* array = api.PyArray_NewFromDescr_(api.PyArray_Type_, dtype.inc_ref().ptr(), t.ndim, shape, strides,
                                              static_cast<char*>(t.data) + t.byte_offset, flags, nullptr);
  if (!array) throw py::error_already_set();
  py::array out = py::reinterpret_steal<py::array>(array);
  if (api.PyArray_SetBaseObject_(array, owner.release().ptr()) < 0) throw py::error_already_set();
  return out;
}

bool is_writeable(const dlpack::Managed&) { return true; }
bool is_writeable(const dlpack::ManagedVersioned& m) { return (m.flags & dlpack::kReadOnly) == 0; }

// Takes the record over from its capsule.
template <class M>
py::array consume(PyObject* capsule) {
  auto* managed = static_cast<M*>(PyCapsule_GetPointer(capsule, Names<M>::fresh));
  if (!managed) throw py::error_already_set();
  PyObject* owner = PyCapsule_New(managed, nullptr, [](PyObject* kept) {
    auto* mine = static_cast<M*>(PyCapsule_GetPointer(kept, nullptr));
    if (mine->deleter) mine->deleter(mine);
  });
  if (!owner) throw py::error_already_set();
  auto object = py::reinterpret_steal<py::object>(owner);
  if (PyCapsule_SetName(capsule, Names<M>::used) != 0) {
    PyCapsule_SetDestructor(owner, nullptr);  // the record stays the capsule's
    throw py::error_already_set();
  }
  return array_over(managed->tensor, is_writeable(*managed), std::move(object));
}

py::array from_dlpack(const py::object& capsule) {
  PyObject* p = capsule.ptr();
  if (PyCapsule_IsValid(p, Names<dlpack::Managed>::fresh)) return consume<dlpack::Managed>(p);
  if (!PyCapsule_IsValid(p, Names<dlpack::ManagedVersioned>::fresh))
    throw TypeError("from_dlpack: wanted an object with __dlpack__, or a DLPack capsule that was not used before");
  auto* record =
      static_cast<dlpack::ManagedVersioned*>(PyCapsule_GetPointer(p, Names<dlpack::ManagedVersioned>::fresh));
  if (record->version.major != 1)
    throw py::buffer_error(text("from_dlpack: got version ", record->version.major, ", wanted 1"));
  return consume<dlpack::ManagedVersioned>(p);
}

// -- The buffer protocol

// The view of an instance is that of its array, unless a gradient would be lost.
int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  view->obj = nullptr;
  PyObject* requires_grad = PyObject_GetAttrString(self, "requires_grad");
  if (!requires_grad) return -1;
  const int recorded = PyObject_IsTrue(requires_grad);
  Py_DECREF(requires_grad);
  if (recorded) {
    if (recorded > 0)
      PyErr_SetString(PyExc_BufferError, "buffer: the tensor requires a gradient; call detach() before sharing it");
    return -1;
  }
  PyObject* array = PyObject_GetAttrString(self, "_data");
  if (!array) return -1;
  const int failed = PyObject_GetBuffer(array, view, flags);  // the view keeps the array alive
  Py_DECREF(array);
  return failed;
}

void export_buffer(const py::type& type) {
  auto* heap = reinterpret_cast<PyHeapTypeObject*>(type.ptr());
  check((heap->ht_type.tp_flags & Py_TPFLAGS_HEAPTYPE) != 0, "export_buffer: wanted a class defined in Python");
  heap->as_buffer.bf_getbuffer = get_buffer;
  PyType_Modified(&heap->ht_type);
}

}  // namespace

void bind_dlpack(py::module_& m) {
  m.def("to_dlpack", &to_dlpack, py::arg("array"), py::arg("versioned"), py::arg("copied"));
  m.def("from_dlpack", &from_dlpack, py::arg("capsule"));
  m.def("export_buffer", &export_buffer, py::arg("type"));
}

}  // namespace tinydl
