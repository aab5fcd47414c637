#include "cuda/runtime/launch.h"

#include <stdexcept>

#include "core/check.h"

namespace tinydl::cuda {

namespace {

thread_local cudaStream_t stream = nullptr;

}  // namespace

cudaStream_t current_stream() { return stream; }

void set_current_stream(cudaStream_t current) { stream = current; }

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(text(what, ": ", cudaGetErrorName(error), ", ", cudaGetErrorString(error)));
}

int multiprocessors() {
  static const int count = [] {
    int device = 0, value = 0;
    check(cudaGetDevice(&device), "the current device");
    check(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, device), "the number of multiprocessors");
    return value;
  }();
  return count;
}

}  // namespace tinydl::cuda
