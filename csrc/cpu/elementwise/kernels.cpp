#include "contract/elementwise.h"
#include "cpu/elementwise/activations.h"
#include "cpu/elementwise/loops.h"
#include "cpu/elementwise/sinc.h"
#include "cpu/simd/math.h"

namespace tinydl::TINYDL_TIER {

namespace {

// clang-format off
struct Copy  { template <class V> V operator()(V x) const { return x; } };
struct Neg   { template <class V> V operator()(V x) const { return -x; } };
struct Abs   { template <class V> V operator()(V x) const { return magnitude(x); } };
struct Exp   { template <class V> V operator()(V x) const { return exp(x); } };
struct Expm1 { template <class V> V operator()(V x) const { return expm1(x); } };
struct Log   { template <class V> V operator()(V x) const { return log(x); } };
struct Log1p { template <class V> V operator()(V x) const { return log1p(x); } };
struct Sqrt  { template <class V> V operator()(V x) const { return sqrt(x); } };
struct Erf   { template <class V> V operator()(V x) const { return erf(x); } };

struct Add { template <class V> V operator()(V a, V b) const { return a + b; } };
struct Sub { template <class V> V operator()(V a, V b) const { return a - b; } };
struct Mul { template <class V> V operator()(V a, V b) const { return a * b; } };
struct Div { template <class V> V operator()(V a, V b) const { return a / b; } };

// A NaN in a is chosen by a != a, one in b because no comparison with it is true.
struct Maximum { template <class V> V operator()(V a, V b) const { return select((a > b) | (a != a), a, b); } };
struct Minimum { template <class V> V operator()(V a, V b) const { return select((a < b) | (a != a), a, b); } };

struct Where { template <class M, class V> V operator()(M mask, V a, V b) const { return select(mask, a, b); } };
// clang-format on

struct AbsBackward {
  template <class V>
  V operator()(V dy, V x) const {
    return select(x > V(0), dy, select(x < V(0), -dy, V(0)));
  }
};

struct MaximumBackward {
  template <class V>
  V operator()(V dy, V a, V b) const {
    return select(a < b, V(0), select(a == b, V(0.5) * dy, dy));
  }
};

struct MinimumBackward {
  template <class V>
  V operator()(V dy, V a, V b) const {
    return select(a > b, V(0), select(a == b, V(0.5) * dy, dy));
  }
};

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
    unary_with<T, LeakyRelu>,
    unary_with<T, Elu>,
    unary_with<T, Softplus>,
    unary_with<T, Clamp>,
    // y = f(a, b)
    binary<T, Add>,
    binary<T, Sub>,
    binary<T, Mul>,
    binary<T, Div>,
    binary<T, Maximum>,
    binary<T, Minimum>,
    // y = f(c, a, b)
    condition<T, Where>,
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
    binary_with<T, LeakyRelu>,
    binary_with<T, Elu>,
    binary_with<T, Softplus>,
    binary_with<T, Clamp>,
    binary_with<T, HardtanhBackward>,
    // da = f(dy, a, b)
    ternary<T, MaximumBackward>,
    ternary<T, MinimumBackward>,
};

}  // namespace

extern const ByType<ElementwiseKernels> elementwise_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
