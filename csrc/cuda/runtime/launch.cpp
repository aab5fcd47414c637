#include "cuda/runtime/launch.h"

#include <stdexcept>

#include "core/check.h"

namespace tinydl::cuda {

namespace {

thread_local cudaStream_t stream = nullptr;

}  // namespace

cudaStream_t current_stream() { return stream; }

void set_current_stream(cudaStream_t current) { stream = current; }

namespace {

const char* help_for(cudaError_t error) {
  switch (error) {
    case cudaErrorNoKernelImageForDevice:
      return "; the kernels were compiled for " TINYDL_CUDA_ARCHITECTURES
             ": build with -DCMAKE_CUDA_ARCHITECTURES=native, or without that option for all GPUs from 8.0 on";
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorInsufficientDriver:
      return "; NVIDIA's driver is older than the CUDA toolkit of the build: a newer one is needed";
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated:
      return "; what waits for the GPU (item, GradScaler.step, copies to the CPU) cannot be captured";
    default:
      return "";
  }
}

}  // namespace

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(text(what, ": ", cudaGetErrorName(error), ", ", cudaGetErrorString(error), help_for(error)));
}

int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "the current device");
  return device;
}

bool several_devices() {
  static const bool several = [] {
    int count = 0;
    check(cudaGetDeviceCount(&count), "the number of devices");
    return count > 1;
  }();
  return several;
}

namespace {

// An attribute of the current GPU, asked for again where another one has become current.
class Attribute {
 public:
  explicit Attribute(cudaDeviceAttr which) : which_(which) {}
  int value() {
    const int device = device_ < 0 || several_devices() ? current_device() : device_;
    if (device != device_) {
      check(cudaDeviceGetAttribute(&value_, which_, device), "an attribute of the GPU");
      device_ = device;
    }
    return value_;
  }

 private:
  cudaDeviceAttr which_;
  int device_ = -1, value_ = 0;
};

}  // namespace

int multiprocessors() {
  thread_local Attribute attribute(cudaDevAttrMultiProcessorCount);
  return attribute.value();
}

size_t shared_bytes_of_a_block() {
  thread_local Attribute attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  return static_cast<size_t>(attribute.value());
}

}  // namespace tinydl::cuda
