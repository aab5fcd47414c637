#include "cuda/emulation/mistakes.h"

#include "core/check.h"
#include "cuda/device/async_copy.h"
#include "cuda/device/reduce.h"
#include "cuda/runtime/launch.h"

namespace tinydl::emulation {

namespace {

constexpr int kSize = 64;

struct Values {
  alignas(16) float v[kSize];
};

// Each thread writes an element and reads its mirror image's: without a barrier, those of threads that have not run are
// NaN.
__global__ void barrier_before_a_read(bool mended, const float* x, float* y) {
  TINYDL_SHARED(Values, shared);
  const unsigned i = threadIdx.x;
  shared.v[i] = x[i];
  if (mended) __syncthreads();
  y[i] = shared.v[kSize - 1 - i];
}

// The same twice over one array: without the second barrier, a thread overwrites what another has yet to read.
__global__ void barrier_before_a_write(bool mended, const float* x, float* y) {
  TINYDL_SHARED(Values, shared);
  const unsigned i = threadIdx.x;
  float value = x[i];
  for (int turn = 0; turn < 3; ++turn) {
    shared.v[i] = value;
    __syncthreads();
    value = shared.v[kSize - 1 - i];
    if (mended) __syncthreads();
  }
  y[i] = value;
}

// Waits for its own warp, as often as it likes, where a thread of another one has yet to read what it overwrites.
__global__ void barrier_between_warps(bool mended, const float* x, float* y) {
  TINYDL_SHARED(Values, shared);
  const unsigned i = threadIdx.x;
  shared.v[i] = x[i];
  __syncthreads();
  y[i] = shared.v[kSize - 1 - i];
  for (int turn = 0; turn < 3; ++turn) __syncwarp();
  if (mended) __syncthreads();
  shared.v[i] = 0;
}

// Reads what an asynchronous copy has not brought yet.
__global__ void wait_for_a_copy(bool mended, const float* x, float* y) {
  TINYDL_SHARED(Values, shared);
  const unsigned i = threadIdx.x;
  if (i < kSize / 4) cuda::copy_async<16>(shared.v + 4 * i, x + 4 * i, true);
  cuda::end_copy_group();
  if (mended) cuda::wait_for_copies<0>();
  __syncthreads();
  y[i] = shared.v[kSize - 1 - i];
}

// Each half of the block waits at a barrier of its own.
__global__ void barrier_for_all(bool mended, const float* x, float* y) {
  TINYDL_SHARED(Values, shared);
  const unsigned i = threadIdx.x;
  shared.v[i] = x[i];
  if (mended || i < kSize / 2)
    __syncthreads();
  else
    __syncthreads();
  y[i] = shared.v[kSize - 1 - i];
}

// A shuffle whose mask names lanes that take another branch.
__global__ void shuffle_by_all_lanes(bool mended, const float* x, float* y) {
  const unsigned i = threadIdx.x;
  float value = x[kSize - 1 - i];
  if (mended || i % 2 == 0) value = cuda::reduce_warp(value, cuda::Largest()) - static_cast<float>(i % 32);
  y[i] = value;
}

// Adds to shared memory that nobody cleared.
__global__ void clear_before_adding(bool mended, const float* x, float* y) {
  TINYDL_SHARED(Values, shared);
  const unsigned i = threadIdx.x;
  if (mended) shared.v[i] = 0;
  __syncthreads();
  atomicAdd(&shared.v[kSize - 1 - i], x[i]);
  __syncthreads();
  y[i] = shared.v[i];
}

struct Mistake {
  const char* name;
  void (*kernel)(bool, const float*, float*);
};
constexpr Mistake kMistakes[] = {
    {"barrier_before_a_read", barrier_before_a_read},
    {"barrier_before_a_write", barrier_before_a_write},
    {"barrier_between_warps", barrier_between_warps},
    {"wait_for_a_copy", wait_for_a_copy},
    {"barrier_for_all", barrier_for_all},
    {"shuffle_by_all_lanes", shuffle_by_all_lanes},
    {"clear_before_adding", clear_before_adding},
};

}  // namespace

std::vector<std::string> mistakes() {
  std::vector<std::string> names;
  for (const Mistake& m : kMistakes) names.emplace_back(m.name);
  return names;
}

std::vector<float> run_mistake(const std::string& name, bool mended) {
  alignas(16) float x[kSize];
  std::vector<float> y(kSize, 0.0f);
  for (int i = 0; i < kSize; ++i) x[i] = static_cast<float>(i + 1);
  for (const Mistake& m : kMistakes) {
    if (name != m.name) continue;
    cuda::launch(m.kernel, 1, kSize, mended, x, y.data());
    return y;
  }
  fail("run_mistake: got '", name, "', which is none");
}

}  // namespace tinydl::emulation
