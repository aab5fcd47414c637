#include "bind/arrays.h"

#include "contract/elementwise.h"

namespace tinydl {

Array copy_as(const char* op, const Array& a, const Layout& layout) {
  return by_float_type(op, a, [&](auto type) {
    using T = decltype(type);
    const Layout from = layout_of(op, a);
    Array out = empty(layout, a.dtype());
    const Layout* operands[] = {&from, &layout};
    const LoopNest nest = plan_loops(operands, 2);
    T* to = mutable_data_of<T>(out);
    Unlocked unlocked;
    elementwise_kernels<T>().copy(nest, data_of<T>(a), to);
    return out;
  });
}

Array as_dense(const char* op, const Array& a) {
  const Layout layout = layout_of(op, a);
  return is_dense(layout) ? a : copy_as(op, a, dense_like(layout));
}

Array as_row_major(const char* op, const Array& a) {
  const Layout layout = layout_of(op, a), wanted = row_major(layout);
  return same_strides(layout, wanted) ? a : copy_as(op, a, wanted);
}

Array as_layout(const char* op, const Array& a, const Layout& layout) {
  return same_strides(layout_of(op, a), layout) ? a : copy_as(op, a, layout);
}

void require_same_dtype(const char* op, const Array& first, const Array& other) {
  require_dtype(op, first.dtype(), other);
}

void require_dtype(const char* op, const py::dtype& wanted, const Array& array) {
  if (wanted.num() == type_number(array)) return;
  throw TypeError(text(op, ": got dtypes ", py::str(wanted).cast<std::string>(), " and ",
                       py::str(array.dtype()).cast<std::string>(), ", wanted one"));
}

void translate_type_error(std::exception_ptr error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const TypeError& e) {
    py::set_error(PyExc_TypeError, e.what());
  }
}

#ifdef TINYDL_CUDA
int float16_number() {
  static const int number = py::dtype("float16").num();
  return number;
}
int bfloat16_number() {
  static const int number = py::dtype::from_args(py::module_::import("ml_dtypes").attr("bfloat16")).num();
  return number;
}
#endif

void fail_dtype(const char* op, const Array& got, const char* wanted) {
  throw TypeError(text(op, ": got dtype ", py::str(got.dtype()).cast<std::string>(), ", wanted ", wanted));
}

}  // namespace tinydl
