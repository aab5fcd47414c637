#include "bind/device_array.h"

#include <stdexcept>
#include <unordered_map>

#include "bind/arrays.h"
#include "bind/memory.h"
#include "cuda/runtime/launch.h"
#include "cuda/runtime/report.h"

#define TINYDL_STRING_OF(name) #name
#define TINYDL_STRING(name) TINYDL_STRING_OF(name)

namespace tinydl {

namespace {

ArraySource* source = nullptr;  // lives as long as the interpreter

// Blocks handed out and the Python objects that own them; touched with the interpreter's lock held.
std::unordered_map<void*, py::object>& owners() {
  static auto* map = new std::unordered_map<void*, py::object>();
  return *map;
}

// Results and launches go to the current GPU.
void require_current(const char* op, const Array& a) {
  const int device = a.device(), current = cuda::current_device();
  check(device == current, op, ": an array is on 'cuda:", device, "', wanted the current GPU, 'cuda:", current,
        "'; call tinydl.cuda.set_device(", device, "), or move the array");
}

}  // namespace

const ArraySource& array_source() {
  if (!source)
    throw std::runtime_error(text("tinydl.", TINYDL_STRING(TINYDL_MODULE), ": called before its device was used, ",
                                  "which loads what its arrays are; make a tensor there first, as by ",
                                  "tinydl.zeros(1, device=...)"));
  return *source;
}

void bind_array_source(py::module_& m) {
  m.def(
      "use_arrays",
      [](const py::object& type, const py::object& array, const py::object& memory, const py::object& stream,
         const py::object& constant) {
        if (!source) source = new ArraySource();
        *source = {type, array, memory, stream, constant};
        cuda::report();  // its memory is taken now: no later call allocates for it
      },
      py::arg("type"), py::arg("array"), py::arg("memory"), py::arg("stream"), py::arg("constant"));
}

bool DeviceArray::is_device_array(PyObject* object) {
  return source && PyObject_TypeCheck(object, reinterpret_cast<PyTypeObject*>(source->type.ptr()));
}

DeviceArray DeviceArray::ensure(const py::object& value) {
  return py::isinstance<DeviceArray>(value) ? py::reinterpret_borrow<DeviceArray>(value)
                                            : DeviceArray(py::object(), stolen_t{});
}

Layout layout_of(const char* op, const Array& a) {
  if (cuda::several_devices()) require_current(op, a);
  const auto shape = a.attr("shape").cast<py::tuple>(), strides = a.attr("strides").cast<py::tuple>();
  check(shape.size() <= kMaxDims, op, ": got an array of ", shape.size(), " axes, wanted at most ", kMaxDims);
  const int64_t size = a.itemsize();
  check(reinterpret_cast<uintptr_t>(a.data()) % static_cast<uintptr_t>(size) == 0, op,
        ": the array's memory is not aligned to its dtype; pass a copy");
  Layout out;
  out.ndim = static_cast<int>(shape.size());
  for (int d = 0; d < out.ndim; ++d) {
    const auto axis = static_cast<size_t>(d);
    out.shape[d] = shape[axis].cast<int64_t>();
    const auto stride = strides[axis].cast<int64_t>();
    check(stride % size == 0, op, ": stride ", stride, " of axis ", d, " is not a multiple of the element size ", size,
          "; pass a copy");
    out.stride[d] = stride / size;
  }
  return out;
}

Array empty(const Layout& layout, const py::dtype& dtype) {
  const auto size = static_cast<int64_t>(dtype.itemsize());
  int64_t bytes = size;
  py::tuple shape(layout.ndim), strides(layout.ndim);
  for (int d = 0; d < layout.ndim; ++d) {
    const auto axis = static_cast<size_t>(d);
    shape[axis] = layout.shape[d];
    strides[axis] = layout.stride[d] * size;
    bytes *= layout.shape[d];
  }
  return py::reinterpret_borrow<Array>(array_source().array(shape, strides, dtype, bytes));
}

// -- Scratch memory, and the stream: called by launchers, which hold the interpreter's lock.

void* allocate(size_t bytes) {
  const py::object memory = array_source().memory(bytes);
  void* block = reinterpret_cast<void*>(memory.attr("ptr").cast<uintptr_t>());
  owners().emplace(block, memory);
  return block;
}

void release(void* block) noexcept {
  const auto owner = owners().extract(block);  // freed at the end: that may run Python, and come back here
}

cuda::WithoutLock::WithoutLock() : thread_(PyEval_SaveThread()) {}
cuda::WithoutLock::~WithoutLock() { PyEval_RestoreThread(static_cast<PyThreadState*>(thread_)); }

#ifdef TINYDL_CUDA_EMULATE
Unlocked::Unlocked() {}
#else
Unlocked::Unlocked() {
  cuda::set_current_stream(reinterpret_cast<cudaStream_t>(array_source().stream().cast<uintptr_t>()));
}
#endif

}  // namespace tinydl
