// One optimiser step over all parameters at once, in place. The CPU treats denormals as zero.
//
// The parameters are a table of segments on one line of elements, which the threads share in blocks: many
// small arrays cost no more than one large one. p, g and the state are dense arrays of one layout.
#pragma once
#include <cstdint>

#include "contract/tables.h"

namespace tinydl {

constexpr int64_t kSegmentAlignment = 16;  // elements: each segment begins at a multiple, so that vectors stay aligned
constexpr int kMaxStates = 3;

template <class T>
struct Segment {
  int64_t begin, count;  // its place on the line
  T* p;                  // parameter
  const T* g;            // gradient
  T* state[kMaxStates];  // in the order in which a kernel's comment names them
};

// Every step begins with:
//   g = (maximize ? -g : g) + weight_decay p
//   p = keep p                                    (1 - lr decay, where the decay is decoupled from the gradient)
struct DecayOptions {
  double weight_decay, keep;
  bool maximize;
};

struct SgdOptions {
  DecayOptions decay;
  double lr, scale, momentum, dampening;
  bool nesterov;
  bool first;  // b has no value yet
};

struct AdamOptions {
  DecayOptions decay;
  double beta1, beta2, avg_rate, grad_rate, root_scale, eps;
  bool amsgrad;
};

struct AdamaxOptions {
  DecayOptions decay;
  double lr, beta1, beta2, inner_eps, eps;
};

struct AdagradOptions {
  DecayOptions decay;
  double lr, inner_eps, eps;
};

struct RmspropOptions {
  DecayOptions decay;
  double lr, scale, alpha, inner_eps, eps, momentum;
  bool centered;
};

struct AdadeltaOptions {
  DecayOptions decay;
  double lr, rho, eps;
};

struct AsgdOptions {
  DecayOptions decay;
  double lr, share;
};

struct RpropOptions {
  DecayOptions decay;
  double shrink, grow, smallest, largest;
};

enum class Norm { kSum, kEuclidean, kMaximum };

template <class T>
struct OptimizerKernels {
  template <class Options>
  using Step = void (*)(const Segment<T>* segments, int64_t count, const Options&);

  // With g = scale g and a momentum: b = first ? g : momentum b + (1 - dampening) g
  // p = p - lr d, where d is g without momentum, g + momentum b with nesterov, else b
  Step<SgdOptions> sgd;

  // m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  w = max(w, v) with amsgrad
  // p = p - (avg_rate m + grad_rate g) / (root_scale sqrt(amsgrad ? w : v) + eps)
  Step<AdamOptions> adam;

  // m = beta1 m + (1 - beta1) g;  u = max(beta2 u, |g| + inner_eps);  p = p - lr m / (u + eps)
  Step<AdamaxOptions> adamax;

  // s = s + g^2;  p = p - lr g / (sqrt(s + inner_eps) + eps)
  Step<AdagradOptions> adagrad;

  // v = alpha v + (1 - alpha) g^2;  with centered a = alpha a + (1 - alpha) g, and v - a^2 in place of v below
  // d = scale g / (sqrt(v + inner_eps) + eps);  with a momentum b = momentum b + d and d = b;  p = p - lr d
  // (States: v, then a if centered, then b with a momentum.)
  Step<RmspropOptions> rmsprop;

  // v = rho v + (1 - rho) g^2;  d = sqrt(u + eps) / sqrt(v + eps) g;  u = rho u + (1 - rho) d^2;  p = p - lr d
  Step<AdadeltaOptions> adadelta;

  // p = p - lr g;  a = a + share (p - a)
  Step<AsgdOptions> asgd;

  // step = step * (grow, shrink or 1 as g prev is positive, negative or 0), then kept in [smallest, largest]
  // g = 0 where the step shrank;  p = p - sign(g) step;  prev = g                            (States: prev, step.)
  Step<RpropOptions> rprop;

  // The sum of |g|, its Euclidean norm, or its maximum, over all segments; NaN if there is one. Waits for a GPU.
  double (*norm)(const Segment<T>* segments, int64_t count, Norm);
  void (*scale)(const Segment<T>* segments, int64_t count, double factor);  // p = factor p
  void (*clamp)(const Segment<T>* segments, int64_t count, double limit);   // p in [-limit, limit]; NaN stays
};

TINYDL_KERNELS(OptimizerKernels, optimizer)

}  // namespace tinydl
