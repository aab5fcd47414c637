#include "core/check.h"

namespace tinydl {

std::string shape_text(const Layout& a) {
  std::ostringstream out;
  out << '(';
  for (int d = 0; d < a.ndim; ++d) out << (d ? ", " : "") << a.shape[d];
  out << (a.ndim == 1 ? ",)" : ")");
  return out.str();
}

}  // namespace tinydl
