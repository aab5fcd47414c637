// Losses and their gradients: rows of classes (loss/cross_entropy.h), pairs (loss/pairs.h), and what rows share.
#include "contract/loss.h"

#include "cuda/loss/cross_entropy.h"
#include "cuda/loss/pairs.h"

namespace tinydl::cuda {

namespace {

template <class T>
struct ElementOf {
  const T* x;
  __device__ Wide<T> operator()(int64_t i) const { return widen(x[i]); }
};

// The sum times a factor, rounded to W.
template <class W>
struct StoreRounded {
  W factor;
  double* to;
  __device__ void operator()(double sum) const { *to = static_cast<double>(static_cast<W>(sum * double(factor))); }
};

template <class T>
void rest_mass(int64_t classes, const T* weight, Wide<T> rest, double* sum) {
  add_up(classes, ElementOf<T>{weight}, StoreRounded<Wide<T>>{rest, sum});
}

template <class T>
struct WeightOfRow {
  const int64_t* label;
  const T* weight;
  __device__ Wide<T> operator()(int64_t r) const { return label[r] < 0 ? Wide<T>(0) : weight_of(weight, label[r]); }
};

template <class T>
void label_mass(int64_t rows, const int64_t* label, const T* weight, double* sum) {
  add_up(rows, WeightOfRow<T>{label, weight}, StoreRounded<Wide<T>>{Wide<T>(1), sum});
}

template <class T>
__global__ void ones_kernel(int64_t n, T* y) {
  for (int64_t i = thread_in_grid(); i < n; i += threads_in_grid()) y[i] = T(1.0f);
}

template <class T>
void ones(int64_t n, T* y) {
  launch(ones_kernel<T>, blocks_for(n), kThreads, n, y);
}

template <class T>
void total(int64_t rows, const Wide<T>* loss, Scalar divisor, T* y) {
  add_up(rows, ElementOf<Wide<T>>{loss}, StoreQuotient<T>{divisor, y});
}

template <class T>
__global__ void each_kernel(int64_t rows, const Wide<T>* loss, T* y) {
  for (int64_t r = thread_in_grid(); r < rows; r += threads_in_grid()) y[r] = static_cast<T>(loss[r]);
}

template <class T>
void each(int64_t rows, const Wide<T>* loss, T* y) {
  launch(each_kernel<T>, blocks_for(rows), kThreads, rows, loss, y);
}

template <class T>
constexpr LossKernels<T> kernels = {
    rest_mass<T>,
    label_mass<T>,
    ones<T>,
    total<T>,
    each<T>,
    cross_entropy<T>,
    soft_cross_entropy<T>,
    cross_entropy_backward<T>,
    soft_cross_entropy_backward<T>,
    nll<T>,
    nll_backward<T>,
    pair_loss<T, SquaredError>,
    pair_loss<T, AbsoluteError>,
    pair_loss<T, SmoothL1>,
    pair_loss<T, Huber>,
    pair_loss<T, BinaryCrossEntropy>,
    pair_loss<T, BinaryCrossEntropyWithLogits>,
    pair_loss<T, KlDiv>,
    pair_loss<T, KlDivOfLogs>,
    pair_loss<T, SoftMargin>,
    are_probabilities<T>,
};

}  // namespace

TINYDL_CUDA_TABLE(LossKernels, loss, kernels);

}  // namespace tinydl::cuda
