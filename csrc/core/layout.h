// Shapes and strides, shared by every device.
#pragma once
#include <cstdint>

namespace tinydl {

constexpr int kMaxDims = 16;

// The shape of an array and its strides, counted in elements.
struct Layout {
  int ndim = 0;
  int64_t shape[kMaxDims] = {};
  int64_t stride[kMaxDims] = {};
};

int64_t element_count(const Layout& a);

// A fresh dense layout of a's shape whose axes lie in memory in the order that a's axes do, so that
// channels-last inputs give channels-last outputs. Axes that a broadcasts (stride 0) stay in row-major order.
Layout dense_like(const Layout& a);

// A fresh row-major layout of a's shape.
Layout row_major(const Layout& a);

// A fresh dense layout of a's shape with `axis` innermost; the other axes lie in memory in the order that a's do.
Layout axis_innermost(const Layout& a, int axis);

// A fresh dense layout of the shape (N, C, D1, ..., Dk) in the order N, D1, ..., Dk, C.
Layout channels_innermost(const Layout& a);

// A fresh layout of images, shape (n, c, h, w), whose axes lie in memory in the order n, h, w, c.
Layout channels_last(int64_t n, int64_t c, int64_t h, int64_t w);

// Whether a's elements fill one gapless stretch of memory: in any order of axes; in row-major order.
bool is_dense(const Layout& a);
bool is_row_major(const Layout& a);

bool same_shape(const Layout& a, const Layout& b);
bool same_strides(const Layout& a, const Layout& b);

// The common shape of two layouts under NumPy's broadcasting rules; false where they do not fit.
// The strides of `common` are unspecified.
bool broadcast_shapes(const Layout& a, const Layout& b, Layout& common);

// a seen with the shape of `target`: axes that are missing or of size 1 get stride 0.
Layout broadcast_to(const Layout& a, const Layout& target);

}  // namespace tinydl
