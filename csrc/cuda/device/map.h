// y = f(x...) over a loop nest whose last operand is y: one access of up to 16 bytes for each operand where they lie
// so. Bytes moved are the floor: a relu of n float32 moves 8 n bytes.
#pragma once
#include "cuda/device/grid.h"
#include "cuda/device/math.h"
#include "cuda/device/pack.h"
#include "cuda/device/walk.h"
#include "cuda/runtime/launch.h"

namespace tinydl::cuda {

template <int width, class X>
__device__ __forceinline__ Pack<X, width> load_or_repeat(const X* from, bool repeats) {
  if (!repeats) return load_pack<width>(from);
  Pack<X, width> out;
#pragma unroll
  for (int j = 0; j < width; ++j) out.v[j] = *from;
  return out;
}

template <int width, class F, class Y, size_t... k, class... X>
__device__ __forceinline__ void map_pack(const F& f, Y* y, const int64_t* at, const bool* repeats,
                                         std::index_sequence<k...>, const X*... x) {
  const auto compute = [&](const Pack<X, width>&... packs) {
    Pack<Y, width> out;
#pragma unroll
    for (int j = 0; j < width; ++j) out.v[j] = static_cast<Y>(f(widen(packs.v[j])...));
    store_pack(y + at[sizeof...(X)], out);
  };
  compute(load_or_repeat<width>(x + at[k], repeats[k])...);
}

template <int width, class F, class Y, class... X>
__global__ void map_kernel(Walk<sizeof...(X) + 1> walk, F f, Y* y, const X*... x) {
  for (int64_t i = thread_in_grid(); i < walk.count; i += threads_in_grid()) {
    int64_t at[sizeof...(X) + 1];
    walk.locate(i, at);
    map_pack<width>(f, y, at, walk.repeats, std::index_sequence_for<X...>(), x...);
  }
}

// f takes and returns wide values.
template <class F, class Y, class... X>
void map(const LoopNest& nest, const F& f, Y* y, const X*... x) {
  constexpr int operands = sizeof...(X) + 1, width = kPack<Y>;
  const void* const data[operands] = {x..., y};
  const size_t size[operands] = {sizeof(X)..., sizeof(Y)};
  const auto run = [&](auto kernel, int elements) {
    const Walk<operands> walk(nest, elements);
    launch(kernel, blocks_for(walk.count), kThreads, walk, f, y, x...);
  };
  if (takes_packs(nest, data, size, width))
    run(map_kernel<width, F, Y, X...>, width);
  else
    run(map_kernel<1, F, Y, X...>, 1);
}

}  // namespace tinydl::cuda
