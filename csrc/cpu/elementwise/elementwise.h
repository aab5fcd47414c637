// Elementwise kernels over arrays of one broadcast shape: the loop nest's last operand is the output.
#pragma once
#include "core/loop_nest.h"
#include "cpu/runtime/dispatch.h"

namespace tinydl {

template <class T>
struct ElementwiseKernels {
  // y = f(x)
  using Unary = void(const LoopNest&, const T* x, T* y);
  Unary* copy;     // x
  Unary* neg;      // -x
  Unary* exp;      // e^x
  Unary* log;      // natural logarithm
  Unary* sqrt;     // x^(1/2)
  Unary* relu;     // max(x, 0); NaN stays NaN
  Unary* sigmoid;  // 1 / (1 + e^-x)
  Unary* tanh;     // (e^x - e^-x) / (e^x + e^-x)
  Unary* erf;      // 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x

  // y = f(a, b)
  using Binary = void(const LoopNest&, const T* a, const T* b, T* y);
  Binary* add;  // a + b
  Binary* sub;  // a - b
  Binary* mul;  // a * b
  Binary* div;  // a / b

  // dx = f(dy, y): gradients expressed by the output
  Binary* relu_backward;     // y > 0 ? dy : 0
  Binary* sigmoid_backward;  // dy * y * (1 - y)
  Binary* tanh_backward;     // dy * (1 - y^2)
};

TINYDL_KERNELS(ElementwiseKernels, elementwise)

}  // namespace tinydl
