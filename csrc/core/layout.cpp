#include "core/layout.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

namespace tinydl {

int64_t element_count(const Layout& a) {
  int64_t count = 1;
  for (int d = 0; d < a.ndim; ++d) count *= a.shape[d];
  return count;
}

namespace {

// Fills `order` with a's axes from the outermost in memory to the innermost. An insertion sort: it compares
// only neighbours that both have a meaningful stride, so axes of size 1 and broadcast axes keep their place.
void memory_order(const Layout& a, int (&order)[kMaxDims]) {
  for (int d = 0; d < a.ndim; ++d) {
    int at = d;
    for (int before = d - 1; before >= 0; --before) {
      const int other = order[before];
      const bool comparable = a.shape[d] > 1 && a.shape[other] > 1 && a.stride[d] != 0 && a.stride[other] != 0;
      if (!comparable) continue;
      if (std::llabs(a.stride[other]) >= std::llabs(a.stride[d])) break;
      at = before;
    }
    for (int k = d; k > at; --k) order[k] = order[k - 1];
    order[at] = d;
  }
}

Layout dense_in_order(const Layout& a, const int (&order)[kMaxDims]) {
  Layout out = a;
  int64_t stride = 1;
  for (int k = a.ndim - 1; k >= 0; --k) {
    out.stride[order[k]] = stride;
    stride *= std::max<int64_t>(a.shape[order[k]], 1);
  }
  return out;
}

}  // namespace

Layout dense_like(const Layout& a) {
  int order[kMaxDims];
  memory_order(a, order);
  return dense_in_order(a, order);
}

Layout row_major(const Layout& a) {
  int order[kMaxDims];
  std::iota(order, order + kMaxDims, 0);
  return dense_in_order(a, order);
}

Layout axis_innermost(const Layout& a, int axis) {
  Layout others = a;
  others.shape[axis] = 1;
  Layout out = dense_like(others);
  for (int d = 0; d < a.ndim; ++d) out.stride[d] *= std::max<int64_t>(a.shape[axis], 1);
  out.shape[axis] = a.shape[axis];
  out.stride[axis] = 1;
  return out;
}

Layout channels_innermost(const Layout& a) { return axis_innermost(row_major(a), 1); }

Layout channels_last(int64_t n, int64_t c, int64_t h, int64_t w) {
  Layout out;
  out.ndim = 4;
  const int64_t shape[] = {n, c, h, w};
  for (int d = 0; d < 4; ++d) out.shape[d] = shape[d];
  return channels_innermost(out);
}

bool is_dense(const Layout& a) { return element_count(a) == 0 || same_strides(a, dense_like(a)); }

bool is_row_major(const Layout& a) { return element_count(a) == 0 || same_strides(a, row_major(a)); }

bool same_shape(const Layout& a, const Layout& b) {
  return a.ndim == b.ndim && std::equal(a.shape, a.shape + a.ndim, b.shape);
}

bool same_strides(const Layout& a, const Layout& b) {
  if (!same_shape(a, b)) return false;
  for (int d = 0; d < a.ndim; ++d)
    if (a.shape[d] > 1 && a.stride[d] != b.stride[d]) return false;
  return true;
}

bool broadcast_shapes(const Layout& a, const Layout& b, Layout& common) {
  common.ndim = std::max(a.ndim, b.ndim);
  for (int d = 1; d <= common.ndim; ++d) {
    const int64_t size_a = d <= a.ndim ? a.shape[a.ndim - d] : 1;
    const int64_t size_b = d <= b.ndim ? b.shape[b.ndim - d] : 1;
    if (size_a != size_b && size_a != 1 && size_b != 1) return false;
    common.shape[common.ndim - d] = size_a == 1 ? size_b : size_a;
  }
  return true;
}

Layout broadcast_to(const Layout& a, const Layout& target) {
  Layout out = target;
  for (int d = 0; d < target.ndim; ++d) {
    const int source = d - (target.ndim - a.ndim);
    const bool present = source >= 0 && a.shape[source] != 1;
    out.stride[d] = present ? a.stride[source] : 0;
  }
  return out;
}

}  // namespace tinydl
