// The CUDA kernels' tables. Every csrc/cuda/<family>.cu defines the constant table of its contract in namespace
// tinydl::cuda; TINYDL_KERNELS declares it and the accessor that the bindings call.
#pragma once
#include "core/half.h"

namespace tinydl {

template <template <class> class Kernels>
struct ByType {
  Kernels<float> f32;
  Kernels<double> f64;
  Kernels<Float16> f16;
  Kernels<Bfloat16> bf16;
};

template <template <class> class Kernels>
const Kernels<float>& pick(const ByType<Kernels>& tables, float) {
  return tables.f32;
}
template <template <class> class Kernels>
const Kernels<double>& pick(const ByType<Kernels>& tables, double) {
  return tables.f64;
}
template <template <class> class Kernels>
const Kernels<Float16>& pick(const ByType<Kernels>& tables, Float16) {
  return tables.f16;
}
template <template <class> class Kernels>
const Kernels<Bfloat16>& pick(const ByType<Kernels>& tables, Bfloat16) {
  return tables.bf16;
}

}  // namespace tinydl

#define TINYDL_KERNELS(Kernels, family)        \
  namespace cuda {                             \
  extern const ByType<Kernels> family##_table; \
  }                                            \
  template <class T>                           \
  const Kernels<T>& family##_kernels() {       \
    return pick(cuda::family##_table, T());    \
  }
#define TINYDL_PRODUCT_KERNELS TINYDL_KERNELS

// In a family's .cu file: `TINYDL_CUDA_TABLE(SoftmaxKernels, softmax, kernels);` from a variable template `kernels<T>`.
#define TINYDL_CUDA_TABLE(Kernels, family, tables) \
  extern const ByType<Kernels> family##_table = {tables<float>, tables<double>, tables<Float16>, tables<Bfloat16>}
