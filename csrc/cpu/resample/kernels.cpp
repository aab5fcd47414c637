// Vectors run over the inner elements (channels and the axes behind the resampled one), which all share their
// weights. One or two taps (nearest and linear), and four (cubic), have unrolled code.
#include "cpu/resample/resample.h"

#include "cpu/runtime/parallel.h"
#include "cpu/simd/lanes.h"

namespace tinydl::TINYDL_TIER {

namespace {

// y[c] = sum over k of weight[k] x[k * inner + c]; K is the number of taps, or 0 for `count`.
template <int K, class T>
TINYDL_INLINE void weigh_vector(const T* x, int64_t inner, const T* weight, int64_t count, T* y, int lanes) {
  using V = Vec<T>;
  const int64_t taps = K ? K : count;
  V total = V(weight[0]) * load_first(x, lanes);
  for (int64_t k = 1; k < taps; ++k) total = fma(V(weight[k]), load_first(x + k * inner, lanes), total);
  store_first(total, y, lanes);
}

template <int K, class T>
void weigh(const T* x, int64_t inner, const T* weight, int64_t count, T* y) {
  constexpr int size = Vec<T>::size;
  int64_t c = 0;
  for (; c + size <= inner; c += size) weigh_vector<K>(x + c, inner, weight, count, y + c, size);
  if (c < inner) weigh_vector<K>(x + c, inner, weight, count, y + c, static_cast<int>(inner - c));
}

template <class T>
void clear(T* y, int64_t inner) {
  for (int64_t c = 0; c < inner; ++c) y[c] = T(0);
}

template <class T>
void resample_axis(const BandMatrix<T>& m, int64_t outer, int64_t inner, const T* x, T* y) {
  if (inner == 0) return;
  int64_t products = 0;
  for (int64_t i = 0; i < m.out; ++i) products += 1 + m.count[i];
  parallel_for(outer * m.out, outer * inner * products, [=, &m](int64_t begin, int64_t end, int) {
    int64_t i = begin % m.out;
    const T* rows = x + begin / m.out * m.in * inner;
    for (int64_t r = begin; r < end; ++r) {
      const T* from = rows + m.start[i] * inner;
      const T* weight = m.weight + i * m.taps;
      T* to = y + r * inner;
      const int64_t count = m.count[i];
      if (count == 0)
        clear(to, inner);
      else if (count == 1)
        weigh<1>(from, inner, weight, count, to);
      else if (count == 2)
        weigh<2>(from, inner, weight, count, to);
      else if (count == 4)
        weigh<4>(from, inner, weight, count, to);
      else
        weigh<0>(from, inner, weight, count, to);
      if (++i == m.out) {
        i = 0;
        rows += m.in * inner;
      }
    }
  });
}

template <class T>
constexpr ResampleKernels<T> kernels = {resample_axis<T>};

}  // namespace

extern const ByType<ResampleKernels> resample_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
