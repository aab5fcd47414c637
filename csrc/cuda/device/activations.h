// The activations and their gradients as functors on wide values: `dy` comes first, then the input x (or the output y).
// Those with scalars are made from the parameters in the contract's order.
#pragma once
#include "cuda/device/math.h"

namespace tinydl::cuda {

struct Relu {
  template <class W>
  __device__ W operator()(W x) const {
    return x < 0 ? W(0) : x;
  }
};
struct Sigmoid {
  template <class W>
  __device__ W operator()(W x) const {
    return sigmoid_of(x);
  }
};
struct Tanh {
  template <class W>
  __device__ W operator()(W x) const {
    return tanh_of(x);
  }
};
struct Silu {
  template <class W>
  __device__ W operator()(W x) const {
    return x * sigmoid_of(x);
  }
};

struct ReluBackward {
  template <class W>
  __device__ W operator()(W dy, W y) const {
    return y <= 0 ? W(0) : dy;
  }
};
struct SigmoidBackward {
  template <class W>
  __device__ W operator()(W dy, W y) const {
    return dy * y * (W(1) - y);
  }
};
struct TanhBackward {
  template <class W>
  __device__ W operator()(W dy, W y) const {
    return dy * (W(1) - y * y);
  }
};
struct SiluBackward {
  template <class W>
  __device__ W operator()(W dy, W x) const {
    const W s = sigmoid_of(x);
    return dy * s * (W(1) + x * (W(1) - s));
  }
};

// The normal distribution's cumulative function.
template <class W>
__device__ __forceinline__ W normal_cdf(W x) {
  return W(0.5) * (W(1) + erf_of(x * W(0.70710678118654752440)));
}

struct Gelu {
  template <class W>
  __device__ W operator()(W x) const {
    return x * normal_cdf(x);
  }
};
struct GeluBackward {
  template <class W>
  __device__ W operator()(W dy, W x) const {
    const W density = W(0.39894228040143267794) * exp_of(W(-0.5) * x * x);
    return dy * (normal_cdf(x) + x * density);
  }
};

constexpr double kGeluScale = 0.79788456080286535588;  // (2/pi)^(1/2)
constexpr double kGeluCubic = 0.044715;

template <class W>
__device__ __forceinline__ W gelu_tanh_of(W x) {
  return tanh_of(W(kGeluScale) * (x + W(kGeluCubic) * x * x * x));
}

struct GeluTanh {
  template <class W>
  __device__ W operator()(W x) const {
    return W(0.5) * x * (W(1) + gelu_tanh_of(x));
  }
};
struct GeluTanhBackward {
  template <class W>
  __device__ W operator()(W dy, W x) const {
    const W t = gelu_tanh_of(x);
    const W slope = W(kGeluScale) * (W(1) + W(3 * kGeluCubic) * x * x);
    return dy * W(0.5) * (W(1) + t + x * (W(1) - t * t) * slope);
  }
};

// tanh(ln(1 + e^x)) = (e^2x + 2e^x) / (e^2x + 2e^x + 2); numerator and denominator are divided by e^2x for x >= 0, so
// that with w = e^-|x| nothing overflows.
template <class W>
__device__ __forceinline__ W tanh_softplus(W x) {
  const W w = exp_of(-abs_of(x));
  const bool positive = x >= 0;
  const W above = positive ? W(1) + W(2) * w : w * (w + W(2));
  return above / (above + (positive ? W(2) * w * w : W(2)));
}

struct Mish {
  template <class W>
  __device__ W operator()(W x) const {
    return x * tanh_softplus(x);
  }
};
struct MishBackward {
  template <class W>
  __device__ W operator()(W dy, W x) const {
    const W t = tanh_softplus(x);
    return dy * (t + x * sigmoid_of(x) * (W(1) - t * t));
  }
};

template <class W>
struct LeakyRelu {
  W slope;
  explicit LeakyRelu(const W* p) : slope(p[0]) {}
  __device__ W operator()(W x) const { return x > 0 ? x : x * slope; }
  __device__ W operator()(W dy, W x) const { return x > 0 ? dy : dy * slope; }
};

template <class W>
struct Elu {
  W below, above, inner;  // alpha scale, scale, input_scale
  explicit Elu(const W* p) : below(p[0] * p[1]), above(p[1]), inner(p[2]) {}
  __device__ W operator()(W x) const { return x <= 0 ? below * expm1_of(x * inner) : x * above; }
  __device__ W operator()(W dy, W x) const { return x <= 0 ? dy * inner * below * exp_of(x * inner) : dy * above; }
};

template <class W>
struct Softplus {
  W beta, threshold;
  explicit Softplus(const W* p) : beta(p[0]), threshold(p[1]) {}
  // ln(1 + e^z) = max(z, 0) + ln(1 + e^-|z|), which cannot overflow
  __device__ W operator()(W x) const {
    const W z = beta * x;
    return z > threshold ? x : ((z > 0 ? z : W(0)) + log1p_of(exp_of(-abs_of(z)))) / beta;
  }
  __device__ W operator()(W dy, W x) const {
    const W z = beta * x;
    return z > threshold ? dy : dy * sigmoid_of(z);
  }
};

template <class W>
struct Clamp {
  W low, high;
  explicit Clamp(const W* p) : low(p[0]), high(p[1]) {}
  __device__ W operator()(W x) const {
    const W above = x < low ? low : x;
    return above > high ? high : above;
  }
  __device__ W operator()(W dy, W x) const { return x >= low && x <= high ? dy : W(0); }
};

template <class W>
struct HardtanhBackward {
  W low, high;
  explicit HardtanhBackward(const W* p) : low(p[0]), high(p[1]) {}
  __device__ W operator()(W dy, W x) const { return x <= low || x >= high ? W(0) : dy; }
};

}  // namespace tinydl::cuda
