// One optimiser step over all parameters at once, in place. Denormals are treated as zero.
//
// The parameters are a table of segments on one line of elements, which the threads share in blocks: many
// small arrays cost no more than one large one. p, g and the state are dense arrays of one layout.
#pragma once
#include <cstdint>

#include "cpu/runtime/dispatch.h"

namespace tinydl {

constexpr int64_t kSegmentAlignment = 16;  // elements: each segment begins at a multiple, so that vectors stay aligned

template <class T>
struct Segment {
  int64_t begin, count;  // its place on the line
  T* p;                  // parameter
  const T* g;            // gradient
  T* state[3];           // SGD: {b}; Adam: {m, v, w}, w with amsgrad only
};

struct SgdOptions {
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize;
  bool first;  // b has no value yet
};

struct AdamOptions {
  double lr, beta1, beta2, eps, weight_decay;
  bool maximize, amsgrad;
  int64_t step;  // t, counted from 1
};

template <class T>
struct OptimizerKernels {
  // g = (maximize ? -g : g) + weight_decay p
  // b = first ? g : momentum b + (1 - dampening) g       (with momentum != 0)
  // p = p - lr d, where d is g without momentum, g + momentum b with nesterov, else b
  void (*sgd)(const Segment<T>* segments, int64_t count, const SgdOptions&);

  // g = (maximize ? -g : g) + weight_decay p
  // m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  w = max(w, v)
  // p = p - lr / (1 - beta1^t) m / (sqrt(amsgrad ? w : v) / sqrt(1 - beta2^t) + eps)
  void (*adam)(const Segment<T>* segments, int64_t count, const AdamOptions&);
};

TINYDL_KERNELS(OptimizerKernels, optimizer)

}  // namespace tinydl
