// Vectors run over the inner elements (channels and the axes behind the resampled one), which all share their
// weights. One or two taps (nearest and linear), and four (cubic), have unrolled code. In a plane, each row of outputs
// is made from one row of weighted sums of inputs, which stays in the caches.
#include "contract/resample.h"

#include "cpu/runtime/allocator.h"
#include "cpu/runtime/parallel.h"
#include "cpu/simd/integers.h"
#include "cpu/simd/stores.h"

namespace tinydl::TINYDL_TIER {

namespace {

// y[c] = sum over k of weight[k] x[k * inner + c]; K is the number of taps, or 0 for `count`.
template <int K, class T>
TINYDL_INLINE void weigh_vector(const T* x, int64_t inner, const T* weight, int64_t count, T* y, int lanes, bool past) {
  using V = Vec<T>;
  const int64_t taps = K ? K : count;
  V total = V(weight[0]) * load_first(x, lanes);
  for (int64_t k = 1; k < taps; ++k) total = fma(V(weight[k]), load_first(x + k * inner, lanes), total);
  store_first(total, y, lanes, past);
}

template <int K, class T>
void weigh(const T* x, int64_t inner, const T* weight, int64_t count, T* y, bool past) {
  for_channels<T>(inner,
                  [=](int64_t c, int lanes) { weigh_vector<K>(x + c, inner, weight, count, y + c, lanes, past); });
}

// The inner elements of row i of m times x, which is (in, inner).
template <class T>
TINYDL_INLINE void weigh_row(const BandMatrix<T>& m, int64_t i, int64_t inner, const T* x, T* y, bool past) {
  const int64_t count = m.count[i];
  const T *from = x + m.start[i] * inner, *weight = m.weight + i * m.taps;
  if (count == 0)
    for (int64_t c = 0; c < inner; ++c) y[c] = T(0);
  else if (count == 1)
    weigh<1>(from, inner, weight, count, y, past);
  else if (count == 2)
    weigh<2>(from, inner, weight, count, y, past);
  else if (count == 4)
    weigh<4>(from, inner, weight, count, y, past);
  else
    weigh<0>(from, inner, weight, count, y, past);
}

// The products of all rows of m with one column, and one for each row.
template <class T>
int64_t products(const BandMatrix<T>& m) {
  int64_t total = m.out;
  for (int64_t i = 0; i < m.out; ++i) total += m.count[i];
  return total;
}

template <class T>
void resample_axis(const BandMatrix<T>& m, int64_t outer, int64_t inner, const T* x, T* y) {
  if (inner == 0) return;
  const bool past = are_written_past(outer * m.out, inner, y);
  parallel_for(outer * m.out, outer * inner * products(m), [=, &m](int64_t begin, int64_t end, int) {
    int64_t i = begin % m.out;
    const T* rows = x + begin / m.out * m.in * inner;
    for (int64_t r = begin; r < end; ++r) {
      weigh_row(m, i, inner, rows, y + r * inner, past);
      if (++i == m.out) {
        i = 0;
        rows += m.in * inner;
      }
    }
    if (past) stream_fence();
  });
}

template <class T>
void resample_plane(const BandMatrix<T>& h, const BandMatrix<T>& w, int64_t outer, int64_t inner, const T* x, T* y) {
  const int64_t row = w.in * inner, rows = outer * h.out;
  if (rows * w.out * inner == 0) return;
  const bool past = are_written_past(rows * w.out, inner, y);
  const int workers = workers_for(rows, outer * inner * (w.in * products(h) + h.out * products(w)));
  Scratch scratch(static_cast<size_t>(workers * row) * sizeof(T));
  T* sums = static_cast<T*>(scratch.data());
  parallel_for_workers(rows, workers, [=, &h, &w](int64_t begin, int64_t end, int worker) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t i = r % h.out;
      const T *image = x + r / h.out * h.in * row, *from = image + h.start[i] * row;
      const bool as_it_is = h.count[i] == 1 && h.weight[i * h.taps] == T(1);
      if (!as_it_is) {
        weigh_row(h, i, row, image, sums + worker * row, false);
        from = sums + worker * row;
      }
      for (int64_t j = 0; j < w.out; ++j) weigh_row(w, j, inner, from, y + (r * w.out + j) * inner, past);
    }
    if (past) stream_fence();
  });
}

template <class T>
WrongBand find_wrong(const BandMatrix<T>& m) {
  for (int64_t i = 0; i < m.out; ++i) {
    const int64_t start = m.start[i], count = m.count[i];
    const bool inside = start >= 0 && count >= 0 && count <= m.taps && count <= m.in && start <= m.in - count;
    if (!inside) return {i, start, count};
  }
  return {-1, 0, 0};
}

template <class T>
constexpr ResampleKernels<T> kernels = {find_wrong<T>, resample_axis<T>, resample_plane<T>};

}  // namespace

extern const ByType<ResampleKernels> resample_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
