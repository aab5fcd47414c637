// Three passes over a row that stays in the first-level cache: the maximum; exponentials and their sum; the
// scale (of the logarithm: the shift).
#include "contract/softmax.h"

#include "cpu/softmax/rows.h"

namespace tinydl::TINYDL_TIER {

namespace {

template <class T>
void softmax_row(int64_t n, const T* x, T* y) {
  using V = Vec<T>;
  const V shift(max_run(x, n));
  const double sum = sum_terms<T>(n, [=](int64_t i, int lanes) {
    const V e = exp_at(x, i, lanes, shift);
    store_first(e, y + i, lanes);
    return e;
  });
  const V scale(static_cast<T>(1 / sum));
  map_run(n, y, [=](V e) { return e * scale; }, static_cast<const T*>(y));
}

template <class T>
void softmax_backward_row(int64_t n, const T* dy, const T* y, T* dx) {
  using V = Vec<T>;
  const V dot(static_cast<T>(
      sum_terms<T>(n, [=](int64_t i, int lanes) { return load_first(dy + i, lanes) * load_first(y + i, lanes); })));
  map_run(n, dx, [=](V grad, V out) { return out * (grad - dot); }, dy, y);
}

// Beside m, log s is small: it is added last, so that large logits keep the digits of their differences.
template <class T>
void log_softmax_row(int64_t n, const T* x, T* y) {
  using V = Vec<T>;
  const V shift(max_run(x, n));
  const double sum = sum_terms<T>(n, [=](int64_t i, int lanes) { return exp_at(x, i, lanes, shift); });
  const V log_sum = log(V(static_cast<T>(sum)));
  map_run(n, y, [=](V logit) { return (logit - shift) - log_sum; }, x);
}

template <class T>
void log_softmax_backward_row(int64_t n, const T* dy, const T* y, T* dx) {
  using V = Vec<T>;
  const V total(static_cast<T>(sum_terms<T>(n, [=](int64_t i, int lanes) { return load_first(dy + i, lanes); })));
  map_run(n, dx, [=](V grad, V out) { return grad - exp_or_zero(out) * total; }, dy, y);
}

template <class T, void (*row)(int64_t, const T*, T*)>
void forward(int64_t rows, int64_t n, const T* x, T* y) {
  for_each_row_block(rows, n, [=](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) row(n, x + r * n, y + r * n);
  });
}

template <class T, void (*row)(int64_t, const T*, const T*, T*)>
void backward(int64_t rows, int64_t n, const T* dy, const T* y, T* dx) {
  for_each_row_block(rows, n, [=](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) row(n, dy + r * n, y + r * n, dx + r * n);
  });
}

template <class T>
constexpr SoftmaxKernels<T> kernels = {
    forward<T, softmax_row<T>>,
    backward<T, softmax_backward_row<T>>,
    forward<T, log_softmax_row<T>>,
    backward<T, log_softmax_backward_row<T>>,
};

}  // namespace

extern const ByType<SoftmaxKernels> softmax_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
