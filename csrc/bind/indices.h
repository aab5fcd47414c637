// Indices from Python. Another thread may change them at any time.
#pragma once
#include <cstring>

#include "bind/arrays.h"
#include "bind/memory.h"

#ifdef TINYDL_CUDA
#include "cuda/runtime/report.h"
#endif

namespace tinydl {

// Integer indices as a row-major array of int64: themselves where they are one, else a copy.
inline Array as_int64(const char* op, const Array& given) {
  if (given.dtype().kind() != 'i' && given.dtype().kind() != 'u') fail_dtype(op, given, "integer indices");
#ifdef TINYDL_CUDA
  const bool plain = is_row_major(layout_of(op, given));
#else
  constexpr int plainly = py::detail::npy_api::NPY_ARRAY_ALIGNED_ | py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_;
  const bool plain = (given.flags() & plainly) == plainly;
#endif
  const bool direct = plain && given.dtype().is(py::dtype::of<int64_t>());
  return direct ? given : Array(given.attr("astype")(py::dtype::of<int64_t>(), "C"));
}

inline std::out_of_range index_error(const char* op, int64_t index, int64_t size) {
  return std::out_of_range(text(op, ": index ", index, " is out of range for size ", size));
}

#ifndef TINYDL_CUDA

// Indices in [0, size) that a kernel checks while it reads each of them once, in row-major order; where one is read
// once, copying and checking all beforehand can take longer than the kernel.
class CheckedInUse {
 public:
  CheckedInUse(const char* op, const Array& given, int64_t size) : op_(op), size_(size), indices_(as_int64(op, given)) {
    if (size == 0 && indices_.size() > 0) fail();
  }

  // Runs the kernel, which returns whether all indices were in range; IndexError otherwise.
  template <class Kernel>
  void use(const Kernel& kernel) const {
    bool inside;
    {
      Unlocked unlocked;
      inside = kernel(data());
    }
    if (!inside) fail();
  }

 private:
  const int64_t* data() const { return static_cast<const int64_t*>(indices_.data()); }

  // Names the first index out of range.
  [[noreturn]] void fail() const {
    const int64_t *at = data(), *last = at + indices_.size() - 1;
    while (at < last && static_cast<uint64_t>(*at) < static_cast<uint64_t>(size_)) ++at;
    throw index_error(op_, *at, size_);
  }

  const char* op_;
  int64_t size_;
  Array indices_;
};

// Indices that kernels take as checked: copied, so that no other thread can change one afterwards.
class Indices {
 public:
  // Every index must be in [0, size), or with `wrap` in [-size, size), where negative ones count from the end;
  // IndexError otherwise. They are kept in row-major order.
  Indices(const char* op, const Array& given, int64_t size, bool wrap)
      : count_(static_cast<int64_t>(given.size())), memory_(static_cast<size_t>(count_) * sizeof(int64_t)) {
    auto* at = static_cast<int64_t*>(memory_.data());
    const Array plain = as_int64(op, given);
    if (count_ > 0) std::memcpy(at, plain.data(), static_cast<size_t>(count_) * sizeof(int64_t));
    for (int64_t k = 0; k < count_; ++k) {
      const int64_t index = at[k];
      if (wrap && index < 0) at[k] += size;
      if (static_cast<uint64_t>(at[k]) >= static_cast<uint64_t>(size)) throw index_error(op, index, size);
    }
  }

  int64_t count() const { return count_; }
  const int64_t* data() const { return static_cast<const int64_t*>(memory_.data()); }

 private:
  int64_t count_;
  Scratch memory_;
};

#else

// What a GPU's indices are checked against. (Where there are no places, all are wrong, which needs no kernel to say.)
inline cuda::Checked checked_against(const char* op, int64_t size, int64_t count) {
  if (size <= 0 && count > 0) throw std::out_of_range(text(op, ": an index is out of range for size ", size));
  cuda::raise_reported();
  cuda::Checked out = {};
  out.op = op;
  out.size = size;
  return out;
}

// Indices in [0, size) that a kernel checks, and reports, while it reads them.
class CheckedInUse {
 public:
  CheckedInUse(const char* op, const Array& given, int64_t size) : indices_(as_int64(op, given)) {
    checked_against(op, size, indices_.size());
  }

  template <class Kernel>
  void use(const Kernel& kernel) const {
    const Unlocked unlocked;
    kernel(static_cast<const int64_t*>(indices_.data()));
    cuda::raise_reported();
  }

 private:
  Array indices_;
};

// Indices that kernels take as checked: a copy, 0 where one is wrong, which is reported.
class Indices {
 public:
  Indices(const char* op, const Array& given, int64_t size, bool wrap)
      : count_(static_cast<int64_t>(given.size())), memory_(static_cast<size_t>(count_) * sizeof(int64_t)) {
    const Array plain = as_int64(op, given);
    const cuda::Checked checked = checked_against(op, size, count_);
    const Unlocked unlocked;
    cuda::check_indices(checked, wrap, count_, static_cast<const int64_t*>(plain.data()),
                        static_cast<int64_t*>(memory_.data()));
    cuda::raise_reported();
  }

  int64_t count() const { return count_; }
  const int64_t* data() const { return static_cast<const int64_t*>(memory_.data()); }

 private:
  int64_t count_;
  Scratch memory_;
};

#endif

// The axis counted from 0.
inline int axis_in(const char* op, const Layout& x, int axis) {
  check(axis >= 0 && axis < x.ndim, op, ": axis ", axis, " is out of range for shape ", x);
  return axis;
}

}  // namespace tinydl
