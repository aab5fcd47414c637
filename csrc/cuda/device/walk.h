// The walk of a loop nest by the threads of a grid: from an element's number to its place in every operand.
#pragma once
#include <cstdint>

#include "core/loop_nest.h"
#include "cuda/runtime/device.h"

namespace tinydl::cuda {

// Division of numbers below 2^31 by a constant, as a product and a shift (Granlund and Montgomery 1994).
struct Divider {
  uint32_t divisor = 1, factor = 0;
  int shift = 0;

  Divider() = default;
  explicit Divider(uint32_t d) : divisor(d) {
    while (shift < 32 && (uint64_t(1) << shift) < d) ++shift;
    factor = static_cast<uint32_t>(((uint64_t(1) << 32) * ((uint64_t(1) << shift) - d)) / d + 1);
  }
  __device__ __forceinline__ uint32_t quotient(uint32_t n) const { return (__umulhi(n, factor) + n) >> shift; }
};

// A loop nest over `operands` operands whose innermost axis is cut into packs of `width` elements.
template <int operands>
struct Walk {
  int64_t count = 1;  // of packs
  int ndim = 0;
  bool small = true;  // count < 2^31
  int64_t shape[kMaxDims];
  Divider divider[kMaxDims];
  int64_t stride[operands][kMaxDims];
  bool repeats[operands];  // the operand's innermost stride is 0

  Walk(const LoopNest& nest, int width) : ndim(nest.ndim) {
    for (int d = 0; d < ndim; ++d) {
      const bool inner = d == ndim - 1;
      shape[d] = inner ? nest.shape[d] / width : nest.shape[d];
      count *= shape[d];
      for (int k = 0; k < operands; ++k) stride[k][d] = nest.stride[k][d] * (inner ? width : 1);
    }
    for (int k = 0; k < operands; ++k) repeats[k] = nest.inner_stride(k) == 0;
    small = count < int64_t(1) << 31;
    for (int d = 0; small && d < ndim; ++d) divider[d] = Divider(static_cast<uint32_t>(shape[d] > 0 ? shape[d] : 1));
  }

  // Where pack i begins in each operand.
  __device__ __forceinline__ void locate(int64_t i, int64_t (&at)[operands]) const {
    for (int k = 0; k < operands; ++k) at[k] = 0;
    for (int d = ndim - 1; d > 0; --d) {
      const int64_t next = small ? int64_t(divider[d].quotient(static_cast<uint32_t>(i))) : i / shape[d];
      add(d, i - next * shape[d], at);
      i = next;
    }
    add(0, i, at);
  }

 private:
  __device__ __forceinline__ void add(int d, int64_t index, int64_t (&at)[operands]) const {
#pragma unroll
    for (int k = 0; k < operands; ++k) at[k] += index * stride[k][d];
  }
};

// Whether all operands, of elements of `size[k]` bytes at `data[k]`, can be walked in packs of `width` elements.
template <int operands>
bool takes_packs(const LoopNest& nest, const void* const (&data)[operands], const size_t (&size)[operands], int width) {
  if (nest.inner() % width != 0) return false;
  for (int k = 0; k < operands; ++k) {
    if (nest.inner_stride(k) == 0) continue;
    if (nest.inner_stride(k) != 1 || reinterpret_cast<uintptr_t>(data[k]) % (size[k] * static_cast<size_t>(width)) != 0)
      return false;
    for (int d = 0; d < nest.ndim - 1; ++d)
      if (nest.stride[k][d] % width != 0) return false;
  }
  return true;
}

}  // namespace tinydl::cuda
