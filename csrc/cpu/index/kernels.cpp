#include "contract/index.h"

#include "cpu/elementwise/loops.h"
#include "cpu/index/rows.h"

namespace tinydl::TINYDL_TIER {

namespace {

template <class T>
void take(int64_t outer, int64_t size, int64_t count, int64_t inner, const T* x, const int64_t* index, T* y) {
  if (count == 0 || inner == 0) return;
  const int64_t stretch = smaller(count, larger(1, kCopyElements / inner)), pieces = div_up(count, stretch);
  parallel_for(outer * pieces, outer * count * inner, [=](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t o = b / pieces, k = b % pieces * stretch;
      take_rows(smaller(stretch, count - k), inner, x + o * size * inner, index + k, y + (o * count + k) * inner);
    }
  });
}

template <class T>
void take_backward(int64_t outer, int64_t size, int64_t count, int64_t inner, const T* dy, const int64_t* index, T* y) {
  add_rows(outer, size, count, inner, dy, index, [](int64_t, const int64_t*) { return T(1); }, y);
}

// An index, or 0 where it is not below size; `inside` becomes false there. Loaded once, whoever writes it meanwhile.
TINYDL_INLINE int64_t checked(const int64_t* p, int64_t size, bool& inside) {
  const int64_t index = __atomic_load_n(p, __ATOMIC_RELAXED);
  const bool valid = static_cast<uint64_t>(index) < static_cast<uint64_t>(size);
  inside = inside && valid;
  return valid ? index : 0;
}

// to[i sy] = from[i sx + place[i si] stride] for i < n; whether all places are below size.
template <class T>
TINYDL_INLINE bool gather_row(int64_t n, int64_t size, const T* from, int64_t sx, int64_t stride, const int64_t* place,
                              int64_t si, T* to, int64_t sy) {
  bool inside = true;
  for (int64_t i = 0; i < n; ++i) to[i * sy] = from[i * sx + checked(place + i * si, size, inside) * stride];
  return inside;
}

template <class T>
bool gather(const LoopNest& nest, int64_t size, int64_t axis_stride, const T* x, const int64_t* index, T* y) {
  const int64_t sx = nest.inner_stride(0), si = nest.inner_stride(1), sy = nest.inner_stride(2);
  const bool dense = si == 1 && sy == 1;
  bool inside = true;
  for_each_row<3>(nest, [=, &inside](const int64_t* at, int64_t n) {
    const T* from = x + at[0];
    const int64_t* place = index + at[1];
    T* to = y + at[2];
    bool valid;
    if (dense && sx == 0 && axis_stride == 1)
      valid = gather_row(n, size, from, 0, 1, place, 1, to, 1);
    else if (dense && sx == 1)
      valid = gather_row(n, size, from, 1, axis_stride, place, 1, to, 1);
    else
      valid = gather_row(n, size, from, sx, axis_stride, place, si, to, sy);
    if (!valid) __atomic_store_n(&inside, false, __ATOMIC_RELAXED);
  });
  return inside;
}

// to[i sy + place[i si] stride] += from[i sx] for i < n, in order; whether all places are below size.
template <class T>
TINYDL_INLINE bool add_row(int64_t n, int64_t size, T* to, int64_t sy, int64_t stride, const int64_t* place, int64_t si,
                           const T* from, int64_t sx) {
  bool inside = true;
  for (int64_t i = 0; i < n; ++i) to[i * sy + checked(place + i * si, size, inside) * stride] += from[i * sx];
  return inside;
}

// A block is a stretch along the nest's innermost axis, so that two blocks never add to one element.
template <class T>
bool scatter_add(const LoopNest& nest, int64_t size, int64_t count, const int64_t* axis_stride, T* y,
                 const int64_t* index, const T* x) {
  int64_t rows = 1;
  for (int d = 0; d < nest.ndim - 1; ++d) rows *= nest.shape[d];
  const int64_t inner = nest.inner();
  if (rows == 0 || inner == 0 || count == 0) return true;
  const int64_t stretch = smaller(inner, larger(1, kBlock / count)), pieces = div_up(inner, stretch);
  const int64_t sy = nest.inner_stride(0), si = nest.inner_stride(1), sx = nest.inner_stride(2);
  const int64_t ay = axis_stride[0], ai = axis_stride[1], ax = axis_stride[2];
  bool inside = true;
  parallel_for(rows * pieces, rows * inner * count, [=, &nest, &inside](int64_t begin, int64_t end, int) {
    bool valid = true;
    for (int64_t b = begin; b < end; ++b) {
      const RowCursor<3> cursor(nest, b / pieces);
      const int64_t first = b % pieces * stretch, n = smaller(stretch, inner - first);
      T* to = y + cursor[0] + first * sy;
      const int64_t* place = index + cursor[1] + first * si;
      const T* from = x + cursor[2] + first * sx;
      if (n == 1 && ay == 1 && ai == 1 && ax == 1)
        valid &= add_row(count, size, to, 0, 1, place, 1, from, 1);
      else if (n == 1)
        valid &= add_row(count, size, to, 0, ay, place, ai, from, ax);
      else
        for (int64_t k = 0; k < count; ++k)
          valid &= add_row(n, size, to, sy, ay, place + k * ai, si, from + k * ax, sx);
    }
    if (!valid) __atomic_store_n(&inside, false, __ATOMIC_RELAXED);
  });
  return inside;
}

template <class T>
void copy_rows(int64_t rows, int64_t n, const T* x, T* y, int64_t y_pitch) {
  if (rows == 0 || n == 0) return;
  const int64_t stretch = smaller(n, kCopyElements), pieces = div_up(n, stretch);
  const int64_t group = larger(1, kCopyElements / stretch);
  parallel_for(div_up(rows * pieces, group), rows * n, [=](int64_t begin, int64_t end, int) {
    const int64_t last = smaller(end * group, rows * pieces);
    for (int64_t b = begin * group; b < last; ++b) {
      const int64_t r = b / pieces, i = b % pieces * stretch, m = smaller(stretch, n - i);
      if (m < Vec<T>::size)  // the call of memcpy would cost more than the copy
        for (int64_t j = 0; j < m; ++j) y[r * y_pitch + i + j] = x[r * n + i + j];
      else
        __builtin_memcpy(y + r * y_pitch + i, x + r * n + i, static_cast<size_t>(m) * sizeof(T));
    }
  });
}

template <class T>
void fill(T* y, int64_t n, T value) {
  for (int64_t i = 0; i < n; ++i) y[i] = value;
}

// One row of y, along its innermost axis: value, x, value.
template <class T>
void pad_row(const PadPlan& plan, int64_t row, const T* x, T value, T* y) {
  const int inner = plan.ndim - 1;
  const int64_t n = plan.shape[inner];
  bool inside = true;
  for (int d = inner - 1; d >= 0; row /= plan.shape[d--]) {
    const int64_t at = row % plan.shape[d] - plan.before[d];
    inside = inside && at >= 0 && at < plan.x_shape[d];
    if (inside) x += at * plan.x_stride[d];
  }
  const int64_t before = plan.before[inner];
  const int64_t first = inside ? smaller(larger(before, 0), n) : n;
  const int64_t last = larger(first, smaller(before + plan.x_shape[inner], n));
  fill(y, first, value);
  if (inside) {
    const int64_t step = plan.x_stride[inner];
    if (step == 1 && first < last)
      __builtin_memcpy(y + first, x + (first - before), static_cast<size_t>(last - first) * sizeof(T));
    else
      for (int64_t i = first; i < last; ++i) y[i] = x[(i - before) * step];
    fill(y + last, n - last, value);
  }
}

template <class T>
void pad(const PadPlan& plan, const T* x, T value, T* y) {
  int64_t rows = 1;
  for (int d = 0; d < plan.ndim - 1; ++d) rows *= plan.shape[d];
  const int64_t n = plan.shape[plan.ndim - 1];
  if (rows == 0 || n == 0) return;
  const int64_t group = larger(1, kCopyElements / n);
  parallel_for(div_up(rows, group), rows * n, [=, &plan](int64_t begin, int64_t end, int) {
    const int64_t last = smaller(end * group, rows);
    for (int64_t r = begin * group; r < last; ++r) pad_row(plan, r, x, value, y + r * n);
  });
}

template <class T>
void masked_fill(const LoopNest& nest, const T* x, const uint8_t* mask, T value, T* y) {
  const int64_t sx = nest.inner_stride(0), sm = nest.inner_stride(1), sy = nest.inner_stride(2);
  for_each_row<3>(nest, [=](const int64_t* at, int64_t n) {
    const T* from = x + at[0];
    const uint8_t* hidden = mask + at[1];
    T* to = y + at[2];
    const auto fill = [=](typename Vec<T>::Mask m, Vec<T> v) { return select(m, Vec<T>(value), v); };
    using Row = Operand<T, Step::one>;
    if (sx == 1 && sm == 1 && sy == 1)
      map_row(fill, n, Row{to, 1}, Condition<T, Step::one>{reinterpret_cast<const int8_t*>(hidden), 1},
              Row{const_cast<T*>(from), 1});
    else
      for (int64_t i = 0; i < n; ++i) to[i * sy] = hidden[i * sm] ? value : from[i * sx];
  });
}

template <class T>
constexpr IndexKernels<T> kernels = {
    take<T>, take_backward<T>, gather<T>, scatter_add<T>, copy_rows<T>, pad<T>, masked_fill<T>,
};

}  // namespace

extern const ByType<IndexKernels> index_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
