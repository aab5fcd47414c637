// The epilogue's arguments, shared by the bindings of products.
#pragma once
#include <string>

#include "bind/arrays.h"
#include "cpu/matmul/matmul.h"

namespace tinydl {

Activation parse_activation(const char* op, const std::string& name);

// A dense bias of n elements and the dtype of `like`; a null array for None.
py::array bias_row(const char* op, const py::object& bias, const py::array& like, int64_t n);

}  // namespace tinydl
