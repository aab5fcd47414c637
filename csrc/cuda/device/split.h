// A number as a quotient and a remainder by one that a launch fixes.
#pragma once
#include "cuda/device/walk.h"

namespace tinydl::cuda {

class Split {
 public:
  // For numbers below `count`.
  Split(int64_t n, int64_t count) : n_(n), small_(count < int64_t(1) << 31 && n < int64_t(1) << 31) {
    if (small_) divider_ = Divider(static_cast<uint32_t>(n > 0 ? n : 1));
  }

  __device__ __forceinline__ int64_t quotient(int64_t i) const {
    return small_ ? int64_t(divider_.quotient(static_cast<uint32_t>(i))) : i / n_;
  }
  __device__ __forceinline__ int64_t size() const { return n_; }

 private:
  int64_t n_;
  bool small_;
  Divider divider_;
};

}  // namespace tinydl::cuda
