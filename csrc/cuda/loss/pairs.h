// Losses of pairs of an input x and a target t: each is a struct of its value and its two derivatives on wide values; p
// is its parameter. A thread takes 16 bytes; the floor is one read of x, t and what is given for each, and one write.
#pragma once
#include "contract/loss.h"
#include "cuda/device/edge.h"
#include "cuda/device/grid.h"
#include "cuda/device/partials.h"
#include "cuda/loss/cross_entropy.h"
#include "cuda/runtime/report.h"

namespace tinydl::cuda {

namespace {

// ln(1 + e^-|x|), which ln(1 + e^x) exceeds by max(x, 0)
template <class W>
__device__ __forceinline__ W softplus_tail(W x) {
  return log1p_of(exp_of(-abs_of(x)));
}

// a if x >= limit, -a if x <= -limit, else inside
template <class W>
__device__ __forceinline__ W clipped(W x, W limit, W a, W inside) {
  return x >= limit ? a : x <= -limit ? -a : inside;
}

#define TINYDL_LOSS_PART(part, expression)                  \
  template <class W>                                        \
  static __device__ __forceinline__ W part(W x, W t, W p) { \
    (void)x, (void)t, (void)p;                              \
    return expression;                                      \
  }

struct SquaredError {
  TINYDL_LOSS_PART(value, (x - t) * (x - t))
  TINYDL_LOSS_PART(dx, (x - t) * W(2))
  TINYDL_LOSS_PART(dt, (t - x) * W(2))
};

struct AbsoluteError {
  TINYDL_LOSS_PART(value, abs_of(x - t))
  TINYDL_LOSS_PART(dx, x > t ? W(1) : x < t ? W(-1) : W(0))
  TINYDL_LOSS_PART(dt, -dx(x, t, p))
};

struct SmoothL1 {
  template <class W>
  static __device__ __forceinline__ W value(W x, W t, W p) {
    const W size = abs_of(x - t);
    return size < p ? W(0.5) * size * size / p : size - W(0.5) * p;
  }
  TINYDL_LOSS_PART(dx, clipped(x - t, p, W(1), (x - t) / p))
  TINYDL_LOSS_PART(dt, -dx(x, t, p))
};

struct Huber {
  template <class W>
  static __device__ __forceinline__ W value(W x, W t, W p) {
    const W size = abs_of(x - t);
    return size <= p ? W(0.5) * size * size : p * (size - W(0.5) * p);
  }
  TINYDL_LOSS_PART(dx, clipped(x - t, p, p, x - t))
  TINYDL_LOSS_PART(dt, -dx(x, t, p))
};

struct BinaryCrossEntropy {
  TINYDL_LOSS_PART(value, (t - W(1)) * larger(W(-100), log1p_of(-x)) - t * larger(W(-100), log_of(x)))
  TINYDL_LOSS_PART(dx, (x - t) / larger(W(1e-12), (W(1) - x) * x))
  TINYDL_LOSS_PART(dt, log1p_of(-x) - log_of(x))
};

struct BinaryCrossEntropyWithLogits {
  template <class W>
  static __device__ __forceinline__ W value(W x, W t, W p) {
    const W tail = softplus_tail(x);
    return (W(1) - t) * (larger(W(0), x) + tail) + p * t * (larger(W(0), -x) + tail);
  }
  TINYDL_LOSS_PART(dx, (W(1) - t + p * t) * sigmoid_of(x) - p * t)
  template <class W>
  static __device__ __forceinline__ W dt(W x, W, W p) {
    const W tail = softplus_tail(x);
    return p * (larger(W(0), -x) + tail) - (larger(W(0), x) + tail);
  }
};

struct KlDiv {
  TINYDL_LOSS_PART(value, (t == 0 ? W(0) : t * log_of(t)) - t * x)
  TINYDL_LOSS_PART(dx, -t)
  TINYDL_LOSS_PART(dt, log_of(t) + t / t - x)  // t / t: as in PyTorch, no number at 0
};

struct KlDivOfLogs {
  TINYDL_LOSS_PART(value, exp_of(t) * (t - x))
  TINYDL_LOSS_PART(dx, -exp_of(t))
  TINYDL_LOSS_PART(dt, exp_of(t) * (t - x + W(1)))
};

struct SoftMargin {
  TINYDL_LOSS_PART(value, larger(W(0), -t* x) + softplus_tail(t * x))
  TINYDL_LOSS_PART(dx, -t* sigmoid_of(-t* x))
  TINYDL_LOSS_PART(dt, -x* sigmoid_of(-t* x))
};

#undef TINYDL_LOSS_PART

// -- The pairs, a pack at a time

template <class T>
using Values = Wide<T>[kPack<T>];

template <class T>
__device__ __forceinline__ void load_series(const Series<T>& s, int64_t i, int64_t left, Values<T>& to) {
  if (s.p) return load_wide(s.p + i, left, to);
#pragma unroll
  for (int j = 0; j < kPack<T>; ++j) to[j] = s.value;
}

template <class T>
struct PairArrays {
  int64_t n;
  const T *x, *t;
  Series<T> w, p;

  int64_t packs() const { return (n + kPack<T> - 1) / kPack<T>; }

  // out[j] = w f(x, t, p) for the elements of pack k
  template <class F>
  __device__ __forceinline__ void compute(int64_t k, const F& f, Values<T>& out) const {
    const int64_t i = k * kPack<T>, left = n - i;
    Values<T> xs, ts, ws, ps;
    load_wide(x + i, left, xs);
    load_wide(t + i, left, ts);
    load_series(w, i, left, ws);
    load_series(p, i, left, ps);
#pragma unroll
    for (int j = 0; j < kPack<T>; ++j) out[j] = ws[j] * f(xs[j], ts[j], ps[j]);
  }
};

template <class F>
struct ValueOf {
  template <class W>
  __device__ __forceinline__ W operator()(W x, W t, W p) const {
    return F::value(x, t, p);
  }
};
template <class F>
struct InputGrad {
  template <class W>
  __device__ __forceinline__ W operator()(W x, W t, W p) const {
    return F::dx(x, t, p);
  }
};
template <class F>
struct TargetGrad {
  template <class W>
  __device__ __forceinline__ W operator()(W x, W t, W p) const {
    return F::dt(x, t, p);
  }
};

// The sum of a pack's losses, a term of the total.
template <class T, class F>
struct PackLoss {
  PairArrays<T> pairs;
  __device__ Wide<T> operator()(int64_t k) const {
    Values<T> out;
    pairs.compute(k, ValueOf<F>(), out);
    Wide<T> sum = 0;
#pragma unroll
    for (int j = 0; j < kPack<T>; ++j) sum += k * kPack<T> + j < pairs.n ? out[j] : Wide<T>(0);
    return sum;
  }
};

// y = sum / divisor
template <class T>
struct StoreQuotient {
  Scalar divisor;
  T* y;
  __device__ void operator()(double sum) const { *y = static_cast<T>(static_cast<Wide<T>>(sum / divisor.get())); }
};

template <class T, class F>
__global__ void pair_kernel(PairArrays<T> pairs, F f, T* y) {
  for (int64_t k = thread_in_grid(); k * kPack<T> < pairs.n; k += threads_in_grid()) {
    Values<T> out;
    pairs.compute(k, f, out);
    store_wide(y + k * kPack<T>, pairs.n - k * kPack<T>, out);
  }
}

template <class T, class F>
__global__ void pair_grad_kernel(PairArrays<T> pairs, F f, Upstream<T> scale, T* dx) {
  const Factor<T> factor(scale);
  for (int64_t k = thread_in_grid(); k * kPack<T> < pairs.n; k += threads_in_grid()) {
    const int64_t i = k * kPack<T>, left = pairs.n - i;
    Values<T> out;
    pairs.compute(k, f, out);
#pragma unroll
    for (int j = 0; j < kPack<T>; ++j)
      if (j < left) out[j] *= factor(i + j);
    store_wide(dx + i, left, out);
  }
}

template <class T, class F>
void pair_total(int64_t n, const T* x, const T* t, Series<T> w, Series<T> p, double divisor, T* y) {
  const PairArrays<T> pairs = {n, x, t, w, p};
  add_up(pairs.packs(), PackLoss<T, F>{pairs}, StoreQuotient<T>{{divisor, nullptr}, y});
}

template <class T, class F>
void pair_each(int64_t n, const T* x, const T* t, Series<T> w, Series<T> p, T* y) {
  const PairArrays<T> pairs = {n, x, t, w, p};
  launch(pair_kernel<T, ValueOf<F>>, blocks_for(pairs.packs()), kThreads, pairs, ValueOf<F>(), y);
}

template <class T, class F>
void pair_grad(int64_t n, const T* x, const T* t, Series<T> w, Series<T> p, Upstream<T> scale, T* dx) {
  const PairArrays<T> pairs = {n, x, t, w, p};
  launch(pair_grad_kernel<T, F>, blocks_for(pairs.packs()), kThreads, pairs, F(), scale, dx);
}

template <class T, class F>
constexpr PairLoss<T> pair_loss = {pair_total<T, F>, pair_each<T, F>, pair_grad<T, InputGrad<F>>,
                                   pair_grad<T, TargetGrad<F>>};

// How many elements of a pack are no probabilities.
template <class T>
struct NoProbability {
  int64_t n;
  const T* x;
  __device__ float operator()(int64_t k) const {
    const int64_t left = n - k * kPack<T>;
    Values<T> v;
    load_wide(x + k * kPack<T>, left, v);  // 0 beyond the end
    float outside = 0;
#pragma unroll
    for (int j = 0; j < kPack<T>; ++j) outside += v[j] >= 0 && v[j] <= 1 ? 0.0f : 1.0f;
    return outside;
  }
};

struct StoreDouble {
  double* to;
  __device__ void operator()(double x) const { *to = x; }
};

// Waits for the GPU.
template <class T>
bool are_probabilities(int64_t n, const T* x) {
  const Scratch memory(sizeof(double));
  auto* const result = static_cast<double*>(memory.data());
  add_up((n + kPack<T> - 1) / kPack<T>, NoProbability<T>{n, x}, StoreDouble{result});
  double outside;
  read_back(&outside, result, sizeof outside);
  return outside == 0;
}

}  // namespace

}  // namespace tinydl::cuda
