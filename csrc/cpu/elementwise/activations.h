// The activations and their gradients as functors on vectors: `dy` comes first, then the input x (or the output y).
// Those with scalars are templates on the element type, made from the parameters in the contract's order.
#pragma once
#include "cpu/simd/math.h"

namespace tinydl::TINYDL_TIER {

namespace {

// clang-format off
struct Relu    { template <class V> V operator()(V x) const { return select(x < V(0), V(0), x); } };
struct Sigmoid { template <class V> V operator()(V x) const { return sigmoid(x); } };
struct Tanh    { template <class V> V operator()(V x) const { return tanh(x); } };
struct Silu    { template <class V> V operator()(V x) const { return x * sigmoid(x); } };

struct ReluBackward    { template <class V> V operator()(V dy, V y) const { return select(y <= V(0), V(0), dy); } };
struct SigmoidBackward { template <class V> V operator()(V dy, V y) const { return dy * y * (V(1) - y); } };
struct TanhBackward    { template <class V> V operator()(V dy, V y) const { return dy * (V(1) - y * y); } };
// clang-format on

struct SiluBackward {
  template <class V>
  V operator()(V dy, V x) const {
    const V s = sigmoid(x);
    return dy * s * (V(1) + x * (V(1) - s));
  }
};

// The normal distribution's cumulative function.
template <class V>
TINYDL_INLINE V normal_cdf(V x) {
  return V(0.5) * (V(1) + erf(x * V(0.70710678118654752440)));
}

struct Gelu {
  template <class V>
  V operator()(V x) const {
    return x * normal_cdf(x);
  }
};

struct GeluBackward {
  template <class V>
  V operator()(V dy, V x) const {
    const V density = V(0.39894228040143267794) * exp(V(-0.5) * x * x);
    return dy * (normal_cdf(x) + x * density);
  }
};

constexpr double kGeluScale = 0.79788456080286535588;  // (2/pi)^(1/2)
constexpr double kGeluCubic = 0.044715;

template <class V>
TINYDL_INLINE V gelu_tanh_of(V x) {
  return tanh(V(kGeluScale) * (x + V(kGeluCubic) * x * x * x));
}

struct GeluTanh {
  template <class V>
  V operator()(V x) const {
    return V(0.5) * x * (V(1) + gelu_tanh_of(x));
  }
};

struct GeluTanhBackward {
  template <class V>
  V operator()(V dy, V x) const {
    const V t = gelu_tanh_of(x);
    const V slope = V(kGeluScale) * (V(1) + V(3 * kGeluCubic) * x * x);
    return dy * V(0.5) * (V(1) + t + x * (V(1) - t * t) * slope);
  }
};

// tanh(ln(1 + e^x)) = (e^2x + 2e^x) / (e^2x + 2e^x + 2); numerator and denominator are divided by e^2x for x >= 0, so
// that with w = e^-|x| nothing overflows.
template <class V>
TINYDL_INLINE V tanh_softplus(V x) {
  const V w = exp(-magnitude(x));
  const typename V::Mask positive = x >= V(0);
  const V above = select(positive, V(1) + V(2) * w, w * (w + V(2)));
  return above / (above + select(positive, V(2) * w * w, V(2)));
}

struct Mish {
  template <class V>
  V operator()(V x) const {
    return x * tanh_softplus(x);
  }
};

struct MishBackward {
  template <class V>
  V operator()(V dy, V x) const {
    const V t = tanh_softplus(x);
    return dy * (t + x * sigmoid(x) * (V(1) - t * t));
  }
};

template <class T>
struct LeakyRelu {
  Vec<T> slope;
  explicit LeakyRelu(const T* p) : slope(p[0]) {}
  TINYDL_INLINE Vec<T> operator()(Vec<T> x) const { return select(x > Vec<T>(0), x, x * slope); }
  TINYDL_INLINE Vec<T> operator()(Vec<T> dy, Vec<T> x) const { return select(x > Vec<T>(0), dy, dy * slope); }
};

template <class T>
struct Elu {
  Vec<T> below, above, inner;  // alpha scale, scale, input_scale
  explicit Elu(const T* p) : below(p[0] * p[1]), above(p[1]), inner(p[2]) {}
  TINYDL_INLINE Vec<T> operator()(Vec<T> x) const {
    return select(x <= Vec<T>(0), below * expm1(x * inner), x * above);
  }
  TINYDL_INLINE Vec<T> operator()(Vec<T> dy, Vec<T> x) const {
    return select(x <= Vec<T>(0), dy * inner * below * exp(x * inner), dy * above);
  }
};

template <class T>
struct Softplus {
  Vec<T> beta, threshold;
  explicit Softplus(const T* p) : beta(p[0]), threshold(p[1]) {}
  // ln(1 + e^z) = max(z, 0) + ln(1 + e^-|z|), which cannot overflow
  TINYDL_INLINE Vec<T> operator()(Vec<T> x) const {
    const Vec<T> z = beta * x;
    const Vec<T> sum = select(z > Vec<T>(0), z, Vec<T>(0)) + log1p(exp(-magnitude(z)));
    return select(z > threshold, x, sum / beta);
  }
  TINYDL_INLINE Vec<T> operator()(Vec<T> dy, Vec<T> x) const {
    const Vec<T> z = beta * x;
    return select(z > threshold, dy, dy * sigmoid(z));
  }
};

template <class T>
struct Clamp {
  Vec<T> low, high;
  explicit Clamp(const T* p) : low(p[0]), high(p[1]) {}
  TINYDL_INLINE Vec<T> operator()(Vec<T> x) const {
    const Vec<T> above = select(x < low, low, x);
    return select(above > high, high, above);
  }
  TINYDL_INLINE Vec<T> operator()(Vec<T> dy, Vec<T> x) const { return select((x >= low) & (x <= high), dy, Vec<T>(0)); }
};

template <class T>
struct HardtanhBackward {
  Vec<T> low, high;
  explicit HardtanhBackward(const T* p) : low(p[0]), high(p[1]) {}
  TINYDL_INLINE Vec<T> operator()(Vec<T> dy, Vec<T> x) const { return select((x <= low) | (x >= high), Vec<T>(0), dy); }
};

}  // namespace

}  // namespace tinydl::TINYDL_TIER
