#include "cpu/elementwise/elementwise.h"
#include "cpu/elementwise/loops.h"
#include "cpu/simd/math.h"

namespace tinydl::TINYDL_TIER {

namespace {

// clang-format off
struct Copy    { template <class V> V operator()(V x) const { return x; } };
struct Neg     { template <class V> V operator()(V x) const { return -x; } };
struct Exp     { template <class V> V operator()(V x) const { return exp(x); } };
struct Log     { template <class V> V operator()(V x) const { return log(x); } };
struct Sqrt    { template <class V> V operator()(V x) const { return sqrt(x); } };
struct Relu    { template <class V> V operator()(V x) const { return select(x < V(0), V(0), x); } };
struct Sigmoid { template <class V> V operator()(V x) const { return sigmoid(x); } };
struct Tanh    { template <class V> V operator()(V x) const { return tanh(x); } };
struct Erf     { template <class V> V operator()(V x) const { return erf(x); } };

struct Add { template <class V> V operator()(V a, V b) const { return a + b; } };
struct Sub { template <class V> V operator()(V a, V b) const { return a - b; } };
struct Mul { template <class V> V operator()(V a, V b) const { return a * b; } };
struct Div { template <class V> V operator()(V a, V b) const { return a / b; } };

struct ReluBackward    { template <class V> V operator()(V dy, V y) const { return select(y <= V(0), V(0), dy); } };
struct SigmoidBackward { template <class V> V operator()(V dy, V y) const { return dy * y * (V(1) - y); } };
struct TanhBackward    { template <class V> V operator()(V dy, V y) const { return dy * (V(1) - y * y); } };
// clang-format on

template <class T>
constexpr ElementwiseKernels<T> kernels = {
    map_unary<T, Copy>,          map_unary<T, Neg>,           map_unary<T, Exp>,
    map_unary<T, Log>,           map_unary<T, Sqrt>,          map_unary<T, Relu>,
    map_unary<T, Sigmoid>,       map_unary<T, Tanh>,          map_unary<T, Erf>,
    map_binary<T, Add>,          map_binary<T, Sub>,          map_binary<T, Mul>,
    map_binary<T, Div>,          map_binary<T, ReluBackward>, map_binary<T, SigmoidBackward>,
    map_binary<T, TanhBackward>,
};

}  // namespace

extern const ByType<ElementwiseKernels> elementwise_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
