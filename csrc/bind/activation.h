// The epilogue's arguments, shared by the bindings of products.
#pragma once
#include <string>

#include "bind/arrays.h"
#include "contract/matmul.h"

namespace tinydl {

Activation parse_activation(const char* op, const std::string& name);

// A dense bias of n elements of the dtype; no array for None.
Array bias_row(const char* op, const py::object& bias, const py::dtype& dtype, int64_t n);

}  // namespace tinydl
