// What happens to a finished sum before it is stored.
#pragma once
#include "contract/matmul.h"
#include "cuda/device/math.h"

namespace tinydl::cuda {

template <class W>
__device__ __forceinline__ W activate(Activation activation, W x) {
  switch (activation) {
    case Activation::relu:
      return x < 0 ? W(0) : x;
    case Activation::sigmoid:
      return sigmoid_of(x);
    case Activation::tanh:
      return tanh_of(x);
    default:
      return x;
  }
}

// activation(x + bias[column]); the bias is of type T or, `wide`, of the type that sums are computed in.
template <class T>
struct Finish {
  const T* bias = nullptr;
  const Wide<T>* wide = nullptr;
  Activation activation = Activation::none;

  Finish() = default;
  explicit Finish(const Epilogue<T>& e) : bias(e.bias), activation(e.activation) {}
  Finish(const Wide<T>* wide, Activation activation) : wide(wide), activation(activation) {}

  __device__ __forceinline__ T operator()(Wide<T> x, int64_t column) const {
    if (bias) x += widen(bias[column]);
    if (wide) x += wide[column];
    return static_cast<T>(activate(activation, x));
  }
};

}  // namespace tinydl::cuda
