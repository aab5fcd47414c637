// Elementwise kernels: functors on wide values, each mapped over its operands.
#include "contract/elementwise.h"

#include "cuda/device/activations.h"
#include "cuda/device/map.h"
#include "cuda/device/sinc.h"

namespace tinydl::cuda {

namespace {

#define TINYDL_UNARY(Name, expression)   \
  struct Name {                          \
    template <class W>                   \
    __device__ W operator()(W x) const { \
      return expression;                 \
    }                                    \
  }
#define TINYDL_BINARY(Name, expression)       \
  struct Name {                               \
    template <class W>                        \
    __device__ W operator()(W a, W b) const { \
      return expression;                      \
    }                                         \
  }

TINYDL_UNARY(Copy, x);
TINYDL_UNARY(Neg, -x);
TINYDL_UNARY(Abs, abs_of(x));
TINYDL_UNARY(Exp, exp_of(x));
TINYDL_UNARY(Expm1, expm1_of(x));
TINYDL_UNARY(Log, log_of(x));
TINYDL_UNARY(Log1p, log1p_of(x));
TINYDL_UNARY(Sqrt, sqrt_of(x));
TINYDL_UNARY(Erf, erf_of(x));

TINYDL_BINARY(Add, a + b);
TINYDL_BINARY(Sub, a - b);
TINYDL_BINARY(Mul, a* b);
TINYDL_BINARY(Div, a / b);
TINYDL_BINARY(Maximum, larger(a, b));
TINYDL_BINARY(Minimum, smaller(a, b));

// a is dy, b the input.
TINYDL_BINARY(AbsBackward, b > 0 ? a : b < 0 ? -a : W(0));

#undef TINYDL_UNARY
#undef TINYDL_BINARY

struct Where {
  template <class W>
  __device__ W operator()(bool c, W a, W b) const {
    return c ? a : b;
  }
};

struct MaximumBackward {
  template <class W>
  __device__ W operator()(W dy, W a, W b) const {
    return a < b ? W(0) : a == b ? W(0.5) * dy : dy;
  }
};
struct MinimumBackward {
  template <class W>
  __device__ W operator()(W dy, W a, W b) const {
    return a > b ? W(0) : a == b ? W(0.5) * dy : dy;
  }
};

template <class T, class F>
void unary(const LoopNest& nest, const T* x, T* y) {
  map(nest, F(), y, x);
}
template <class T, class F>
void unary_with(const LoopNest& nest, const T* x, T* y, const Wide<T>* p) {
  map(nest, F(p), y, x);
}
template <class T, class F>
void binary(const LoopNest& nest, const T* a, const T* b, T* y) {
  map(nest, F(), y, a, b);
}
template <class T, class F>
void binary_with(const LoopNest& nest, const T* dy, const T* x, T* dx, const Wide<T>* p) {
  map(nest, F(p), dx, dy, x);
}
template <class T, class F>
void ternary(const LoopNest& nest, const T* dy, const T* a, const T* b, T* da) {
  map(nest, F(), da, dy, a, b);
}
template <class T>
void where(const LoopNest& nest, const bool* c, const T* a, const T* b, T* y) {
  map(nest, Where(), y, c, a, b);
}

template <class T>
constexpr ElementwiseKernels<T> kernels = {
    // y = f(x)
    unary<T, Copy>,
    unary<T, Neg>,
    unary<T, Abs>,
    unary<T, Exp>,
    unary<T, Expm1>,
    unary<T, Log>,
    unary<T, Log1p>,
    unary<T, Sqrt>,
    unary<T, Erf>,
    unary<T, Sinc>,
    unary<T, Relu>,
    unary<T, Sigmoid>,
    unary<T, Tanh>,
    unary<T, Gelu>,
    unary<T, GeluTanh>,
    unary<T, Silu>,
    unary<T, Mish>,
    // y = f(x; p)
    unary_with<T, LeakyRelu<Wide<T>>>,
    unary_with<T, Elu<Wide<T>>>,
    unary_with<T, Softplus<Wide<T>>>,
    unary_with<T, Clamp<Wide<T>>>,
    // y = f(a, b)
    binary<T, Add>,
    binary<T, Sub>,
    binary<T, Mul>,
    binary<T, Div>,
    binary<T, Maximum>,
    binary<T, Minimum>,
    // y = f(c, a, b)
    where<T>,
    // dx = f(dy, y)
    binary<T, ReluBackward>,
    binary<T, SigmoidBackward>,
    binary<T, TanhBackward>,
    // dx = f(dy, x)
    binary<T, AbsBackward>,
    binary<T, SincBackward>,
    binary<T, GeluBackward>,
    binary<T, GeluTanhBackward>,
    binary<T, SiluBackward>,
    binary<T, MishBackward>,
    // dx = f(dy, x; p)
    binary_with<T, LeakyRelu<Wide<T>>>,
    binary_with<T, Elu<Wide<T>>>,
    binary_with<T, Softplus<Wide<T>>>,
    binary_with<T, Clamp<Wide<T>>>,
    binary_with<T, HardtanhBackward<Wide<T>>>,
    // da = f(dy, a, b)
    ternary<T, MaximumBackward>,
    ternary<T, MinimumBackward>,
};

}  // namespace

TINYDL_CUDA_TABLE(ElementwiseKernels, elementwise, kernels);

}  // namespace tinydl::cuda
