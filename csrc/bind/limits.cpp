#include "contract/limits.h"

#include "bind/arrays.h"
#include "bind/families.h"

namespace tinydl {

namespace {

template <class Field>
void def_loop(py::module_& m, const char* op, const Field& field) {
  m.def(
      op,
      [=](int64_t repeats) {
        check(repeats >= 0, op, ": got ", repeats, " repeats, wanted at least 0");
        Unlocked unlocked;
        return field(limits_kernels<float>())(repeats);
      },
      py::arg("repeats"));
}

Array copy(const Array& x) {
  return by_float_type("limit_copy", x, [&](auto type) {
    using T = decltype(type);
    const Array dense = as_dense("limit_copy", x);
    const Layout layout = dense_like(layout_of("limit_copy", dense));
    Array y = empty(layout, x.dtype());
    T* to = mutable_data_of<T>(y);
    Unlocked unlocked;
    limits_kernels<T>().copy(element_count(layout), data_of<T>(dense), to);
    return y;
  });
}

}  // namespace

void bind_limits(py::module_& m) {
  def_loop(m, "limit_fma", [](const auto& k) { return k.fma; });
  def_loop(m, "limit_fma_load", [](const auto& k) { return k.fma_load; });
  def_loop(m, "limit_tile_product", [](const auto& k) { return k.tile_product; });
  def_loop(m, "limit_tile_load", [](const auto& k) { return k.tile_load; });
  m.def("limit_copy", &copy, py::arg("x"));
}

}  // namespace tinydl
