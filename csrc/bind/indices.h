// Indices from Python: copied, so that no other thread can change one after it was checked.
#pragma once
#include <cstring>

#include "bind/arrays.h"
#include "cpu/runtime/allocator.h"

namespace tinydl {

class Indices {
 public:
  // Every index must be in [0, size), or with `wrap` in [-size, size), where negative ones count from the end;
  // IndexError otherwise. They are kept in row-major order.
  Indices(const char* op, const py::array& given, int64_t size, bool wrap)
      : count_(static_cast<int64_t>(given.size())), memory_(static_cast<size_t>(count_) * sizeof(int64_t)) {
    if (given.dtype().kind() != 'i' && given.dtype().kind() != 'u') fail_dtype(op, given, "integer indices");
    auto* at = static_cast<int64_t*>(memory_.data());
    constexpr int plainly = py::detail::npy_api::NPY_ARRAY_ALIGNED_ | py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_;
    const bool direct = given.dtype().is(py::dtype::of<int64_t>()) && (given.flags() & plainly) == plainly;
    const py::array plain = direct ? given : py::array(given.attr("astype")(py::dtype::of<int64_t>(), "C"));
    if (count_ > 0) std::memcpy(at, plain.data(), static_cast<size_t>(count_) * sizeof(int64_t));
    for (int64_t k = 0; k < count_; ++k) {
      const int64_t index = at[k];
      if (wrap && index < 0) at[k] += size;
      if (static_cast<uint64_t>(at[k]) >= static_cast<uint64_t>(size))
        throw std::out_of_range(text(op, ": index ", index, " is out of range for size ", size));
    }
  }

  int64_t count() const { return count_; }
  const int64_t* data() const { return static_cast<const int64_t*>(memory_.data()); }

 private:
  int64_t count_;
  Scratch memory_;
};

// The axis counted from 0.
inline int axis_in(const char* op, const Layout& x, int axis) {
  check(axis >= 0 && axis < x.ndim, op, ": axis ", axis, " is out of range for shape ", x);
  return axis;
}

}  // namespace tinydl
