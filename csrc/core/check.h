// Errors that name the operation, what it got and what it wanted. They surface in Python as ValueError
// (shapes and values), TypeError (dtypes) and IndexError (labels and indices).
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

#include "core/layout.h"

namespace tinydl {

// Thrown for a wrong dtype; the bindings translate it to TypeError.
struct TypeError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Writes the shape: "(2, 3, 4)".
std::ostream& operator<<(std::ostream& out, const Layout& a);

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw std::invalid_argument(text(parts...));
}

// The parts are put together only where the condition fails, so pass them as they are: a Layout, not its text.
template <class... Parts>
void check(bool condition, const Parts&... parts) {
  if (!condition) fail(parts...);
}

}  // namespace tinydl
