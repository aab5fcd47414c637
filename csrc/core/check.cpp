#include "core/check.h"

namespace tinydl {

std::ostream& operator<<(std::ostream& out, const Layout& a) {
  out << '(';
  for (int d = 0; d < a.ndim; ++d) out << (d ? ", " : "") << a.shape[d];
  return out << (a.ndim == 1 ? ",)" : ")");
}

}  // namespace tinydl
