// Launches of kernels on the current stream, and the sizes that launches depend on.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "core/check.h"
#include "cuda/runtime/device.h"

#ifdef TINYDL_CUDA_EMULATE
#include <tuple>
#endif

namespace tinydl::cuda {

// The current GPU's number, and whether there are others. (The emulation says 0 and yes: numbers are compared.)
int current_device();
bool several_devices();

// The multiprocessors of the current GPU; the emulation says 2, so that small problems already take several rounds.
int multiprocessors();

// The shared memory that a block can have on the current GPU: 99 KB, 163 KB or 227 KB; the emulation says the last
// unless told otherwise.
size_t shared_bytes_of_a_block();

// Throws std::invalid_argument where a kernel needs more than that.
inline void check_shared(size_t bytes) {
  tinydl::check(bytes <= shared_bytes_of_a_block(), "launch: a kernel needs ", bytes,
                " bytes of shared memory a block, this GPU has ", shared_bytes_of_a_block());
}

// A grid of as many blocks. Throws std::invalid_argument beyond what one launch takes.
inline dim3 grid_of(int64_t x, int64_t y = 1, int64_t z = 1) {
  tinydl::check(x < int64_t(1) << 31 && y < 1 << 16 && z < 1 << 16, "launch: a grid of ", x, " x ", y, " x ", z,
                " blocks, wanted at most 2147483647 x 65535 x 65535: the arrays are too large");
  return dim3(static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z));
}

#ifndef TINYDL_CUDA_EMULATE

// The stream that the calling thread's launches go to; the bindings set it before each call.
cudaStream_t current_stream();
void set_current_stream(cudaStream_t stream);

// Throws std::runtime_error naming what failed and, where it is known, what helps, unless the call succeeded.
void check(cudaError_t error, const char* what);

// kernel<<<grid, threads>>>(arguments...), with room for `shared_bytes` of TINYDL_LARGE_SHARED. Nothing happens for an
// empty grid.
template <class... Parameters, class... Arguments>
void launch_with_shared(void (*kernel)(Parameters...), size_t shared_bytes, dim3 grid, dim3 threads,
                        const Arguments&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  const auto* function = reinterpret_cast<const void*>(kernel);
  check_shared(shared_bytes);
  if (shared_bytes > 48 << 10)
    check(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)),
          "shared memory for a kernel");
  const auto run = [&](Parameters... values) {
    void* addresses[] = {static_cast<void*>(&values)...};
    check(cudaLaunchKernel(function, grid, threads, addresses, shared_bytes, current_stream()), "launch of a kernel");
  };
  run(arguments...);
}

#else

template <class... Parameters, class... Arguments>
void launch_with_shared(void (*kernel)(Parameters...), size_t shared_bytes, dim3 grid, dim3 threads,
                        const Arguments&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  check_shared(shared_bytes);
  using Call = std::pair<void (*)(Parameters...), std::tuple<Parameters...> >;
  const Call call(kernel, std::tuple<Parameters...>(arguments...));
  emulation::run(
      reinterpret_cast<const void*>(kernel), grid, threads,
      [](const void* context) {
        const Call& made = *static_cast<const Call*>(context);
        std::apply(made.first, made.second);
      },
      &call);
}

#endif

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 threads, const Arguments&... arguments) {
  launch_with_shared(kernel, 0, grid, threads, arguments...);
}

// -- One thread for each of `count` pieces of work, which walk on by the grid's size where there are more.

constexpr int kThreads = 256;

// Enough blocks for the work, or to fill the GPU eight times over.
inline dim3 blocks_for(int64_t count) {
  const int64_t needed = (count + kThreads - 1) / kThreads;
  return grid_of(std::min<int64_t>(needed, int64_t(multiprocessors()) * 64));
}

}  // namespace tinydl::cuda
