// Elementwise kernels over arrays of one broadcast shape: the loop nest's last operand is the output.
#pragma once
#include "contract/tables.h"
#include "core/half.h"
#include "core/loop_nest.h"

namespace tinydl {

template <class T>
struct ElementwiseKernels {
  // y = f(x)
  using Unary = void(const LoopNest&, const T* x, T* y);
  Unary* copy;       // x
  Unary* neg;        // -x
  Unary* abs;        // |x|
  Unary* exp;        // e^x
  Unary* expm1;      // e^x - 1
  Unary* log;        // natural logarithm
  Unary* log1p;      // ln(1 + x)
  Unary* sqrt;       // x^(1/2)
  Unary* erf;        // 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x
  Unary* sinc;       // sin(pi x) / (pi x); 1 at 0
  Unary* relu;       // max(x, 0); NaN stays NaN
  Unary* sigmoid;    // 1 / (1 + e^-x)
  Unary* tanh;       // (e^x - e^-x) / (e^x + e^-x)
  Unary* gelu;       // x (1 + erf(x / sqrt(2))) / 2
  Unary* gelu_tanh;  // x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2
  Unary* silu;       // x sigmoid(x)
  Unary* mish;       // x tanh(ln(1 + e^x))

  // y = f(x; p), p the parameters in the order named here
  using UnaryWith = void(const LoopNest&, const T* x, T* y, const Wide<T>* p);
  UnaryWith* leaky_relu;  // slope: x > 0 ? x : slope x
  UnaryWith* elu;         // alpha, scale, input_scale: scale (x > 0 ? x : alpha (e^(input_scale x) - 1))
  UnaryWith* softplus;    // beta, threshold: beta x > threshold ? x : ln(1 + e^(beta x)) / beta
  UnaryWith* clamp;       // low, high: min(max(x, low), high); NaN stays NaN

  // y = f(a, b)
  using Binary = void(const LoopNest&, const T* a, const T* b, T* y);
  Binary* add;      // a + b
  Binary* sub;      // a - b
  Binary* mul;      // a * b
  Binary* div;      // a / b
  Binary* maximum;  // a > b ? a : b; NaN where either is
  Binary* minimum;  // a < b ? a : b; NaN where either is

  // y = c ? a : b
  using Condition = void(const LoopNest&, const bool* c, const T* a, const T* b, T* y);
  Condition* where;

  // dx = f(dy, y): gradients expressed by the output
  Binary* relu_backward;     // y > 0 ? dy : 0
  Binary* sigmoid_backward;  // dy * y * (1 - y)
  Binary* tanh_backward;     // dy * (1 - y^2)

  // dx = f(dy, x) = dy f'(x)
  Binary* abs_backward;        // dy sign(x); 0 at 0
  Binary* sinc_backward;       // f' = (cos(pi x) - sinc(x)) / x; 0 at 0
  Binary* gelu_backward;       // f' = P(x) + x p(x) with the normal distribution's P and its density p
  Binary* gelu_tanh_backward;  // f' = (1 + t + x (1 - t^2) u') / 2, t = tanh(u)
  Binary* silu_backward;       // f' = s (1 + x (1 - s)), s = sigmoid(x)
  Binary* mish_backward;       // f' = t + x sigmoid(x) (1 - t^2), t = tanh(ln(1 + e^x))

  // dx = f(dy, x; p), parameters as in the forward direction
  using BinaryWith = void(const LoopNest&, const T* dy, const T* x, T* dx, const Wide<T>* p);
  BinaryWith* leaky_relu_backward;  // x > 0 ? dy : slope dy
  BinaryWith* elu_backward;         // dy scale (x > 0 ? 1 : alpha input_scale e^(input_scale x))
  BinaryWith* softplus_backward;    // beta x > threshold ? dy : dy sigmoid(beta x)
  BinaryWith* clamp_backward;       // low <= x <= high ? dy : 0
  BinaryWith* hardtanh_backward;    // x <= low or x >= high ? 0 : dy

  // da = f(dy, a, b), and db = f(dy, b, a); a tie gives half to each
  using Ternary = void(const LoopNest&, const T* dy, const T* a, const T* b, T* da);
  Ternary* maximum_backward;  // a < b ? 0 : a = b ? dy/2 : dy
  Ternary* minimum_backward;  // a > b ? 0 : a = b ? dy/2 : dy
};

TINYDL_KERNELS(ElementwiseKernels, elementwise)

}  // namespace tinydl
