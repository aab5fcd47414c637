// Softmax and its logarithm by rows (device/rows.h). Forward reads x and writes y, backward reads dy and y and writes
// dx: 2 and 3 elements moved for each of the output, which is the floor; twice the reads where a row is too long for a
// block's registers.
#include "contract/softmax.h"

#include "cuda/device/math.h"
#include "cuda/device/rows.h"

namespace tinydl::cuda {

// The maximum m, and the sum of e^(x - m). A thread's own are relative to what it has seen.
template <class W>
struct Exponentials {
  static constexpr W fill = -kInfinity<W>;
  W m = -kInfinity<W>, sum = 0;

  // v = e^(v - m)
  template <int n>
  __device__ __forceinline__ void take(W (&v)[1][n]) {
    W largest = m;
#pragma unroll
    for (int i = 0; i < n; ++i) largest = larger(v[0][i], largest);
    const W shift = largest == -kInfinity<W> ? W(0) : largest;  // e^(-infinity - shift) is 0
    sum *= exp_of(m - shift);
    m = largest;
#pragma unroll
    for (int i = 0; i < n; ++i) {
      v[0][i] = exp_of(v[0][i] - shift);
      sum += v[0][i];
    }
  }

  // m and sum become the row's; returns e^(own m - m), NaN in rows of -infinity alone.
  template <class Team>
  __device__ __forceinline__ W join_with(const Team& team) {
    const W own = m;
    m = team.reduce(m, Largest());
    const W factor = exp_of(own - m);
    sum = team.reduce(sum * factor, Sum());
    return factor;
  }
};

template <class W>
struct SoftmaxRow : Exponentials<W> {
  W to_held, to_again;

  template <class Team>
  __device__ __forceinline__ void join(const Team& team) {
    const W factor = this->join_with(team);
    to_again = W(1) / this->sum;
    to_held = factor * to_again;
  }
  __device__ __forceinline__ W held(W e) const { return e * to_held; }
  __device__ __forceinline__ W again(W x) const { return exp_of(x - this->m) * to_again; }
};

template <class W>
struct SoftmaxBackwardRow {
  static constexpr W fill = 0;
  W dot = 0;

  template <int n>
  __device__ __forceinline__ void take(W (&v)[2][n]) {
#pragma unroll
    for (int i = 0; i < n; ++i) dot += v[0][i] * v[1][i];
  }
  template <class Team>
  __device__ __forceinline__ void join(const Team& team) {
    dot = team.reduce(dot, Sum());
  }
  __device__ __forceinline__ W held(W dy, W y) const { return y * (dy - dot); }
  __device__ __forceinline__ W again(W dy, W y) const { return held(dy, y); }
};

// Beside m, log(sum) is small: it is taken off last, so that large logits keep the digits of their differences.
template <class W>
struct LogSoftmaxRow : Exponentials<W> {
  W log_sum;

  template <int n>
  __device__ __forceinline__ void take(W (&v)[1][n]) {
    W e[1][n];
#pragma unroll
    for (int i = 0; i < n; ++i) e[0][i] = v[0][i];
    Exponentials<W>::take(e);
  }
  template <class Team>
  __device__ __forceinline__ void join(const Team& team) {
    this->join_with(team);
    log_sum = log_of(this->sum);
  }
  __device__ __forceinline__ W held(W x) const { return (x - this->m) - log_sum; }
  __device__ __forceinline__ W again(W x) const { return held(x); }
};

template <class W>
struct LogSoftmaxBackwardRow {
  static constexpr W fill = 0;
  W total = 0;

  template <int n>
  __device__ __forceinline__ void take(W (&v)[2][n]) {
#pragma unroll
    for (int i = 0; i < n; ++i) total += v[0][i];
  }
  template <class Team>
  __device__ __forceinline__ void join(const Team& team) {
    total = team.reduce(total, Sum());
  }
  __device__ __forceinline__ W held(W dy, W y) const { return dy - exp_of(y) * total; }
  __device__ __forceinline__ W again(W dy, W y) const { return held(dy, y); }
};

namespace {

template <class T, template <class> class Row>
void forward(int64_t rows, int64_t n, const T* x, T* y) {
  map_rows<Row>(rows, n, y, x);
}
template <class T, template <class> class Row>
void backward(int64_t rows, int64_t n, const T* dy, const T* y, T* dx) {
  map_rows<Row>(rows, n, dx, dy, y);
}

template <class T>
constexpr SoftmaxKernels<T> kernels = {
    forward<T, SoftmaxRow>,
    backward<T, SoftmaxBackwardRow>,
    forward<T, LogSoftmaxRow>,
    backward<T, LogSoftmaxBackwardRow>,
};

}  // namespace

TINYDL_CUDA_TABLE(SoftmaxKernels, softmax, kernels);

}  // namespace tinydl::cuda
