#include "contract/limits.h"

#include "cpu/runtime/parallel.h"
#include "cpu/simd/integers.h"
#include "cpu/simd/vec.h"
#if defined(TINYDL_TIER_amx)
#include "cpu/matmul/amx_tile.h"
#endif

namespace tinydl::TINYDL_TIER {

namespace {

constexpr int kChains = 12;                 // independent sums: more than a unit's latency times the number of units
constexpr int kLinesInCache = 8 * kChains;  // vectors that fma_load walks over: 6 KB with AVX-512
constexpr int64_t kAlwaysThreaded = int64_t(1) << 40;

// Runs body() on every thread of the team.
template <class Body>
int64_t on_every_thread(const Body& body) {
  const int threads = num_threads();
  parallel_for(threads, kAlwaysThreaded, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) body();
  });
  return threads;
}

// Keeps the compiler from leaving out what produced the sums.
template <class T>
void consume(const Vec<T> (&sums)[kChains]) {
  Vec<T> total(T(0));
  for (int i = 0; i < kChains; ++i) total = total + sums[i];
  volatile T sink = sum_lanes(total);
  (void)sink;
}

template <class T>
int64_t fma_on_registers(int64_t repeats) {
  const int64_t threads = on_every_thread([=] {
    Vec<T> sums[kChains];
    for (int i = 0; i < kChains; ++i) sums[i] = Vec<T>(T(i));
    const Vec<T> factor(T(0.5));
    for (int64_t r = 0; r < repeats; ++r)
#pragma GCC unroll 12
      for (int i = 0; i < kChains; ++i) sums[i] = fma(sums[i], factor, factor);
    consume(sums);
  });
  return threads * repeats * kChains * Vec<T>::size * 2;
}

template <class T>
int64_t fma_with_loads(int64_t repeats) {
  const int64_t threads = on_every_thread([=] {
    alignas(64) T memory[kLinesInCache * Vec<T>::size] = {};
    Vec<T> sums[kChains];
    for (int i = 0; i < kChains; ++i) sums[i] = Vec<T>(T(i));
    const Vec<T> factor(T(0.5));
    for (int64_t r = 0; r < repeats; ++r) {
      const T* line = memory + r % (kLinesInCache / kChains) * kChains * Vec<T>::size;
#pragma GCC unroll 12
      for (int i = 0; i < kChains; ++i) sums[i] = fma(factor, Vec<T>::load(line + i * Vec<T>::size), sums[i]);
    }
    consume(sums);
  });
  return threads * repeats * kChains * Vec<T>::size * 2;
}

#if defined(TINYDL_TIER_amx)
template <class T>
int64_t tile_products(int64_t repeats) {
  const int64_t threads = on_every_thread([=] {
    const TileRegisters registers;
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (int64_t r = 0; r < repeats; ++r) multiply_tiles();
  });
  return threads * repeats * 4 * 2 * kTileEdge * kTileEdge * kStepDepth;
}

template <class T>
int64_t tile_loads(int64_t repeats) {
  const int64_t threads = on_every_thread([=] {
    const TileRegisters registers;
    alignas(64) const Bfloat16 memory[4 * kTileValues] = {};
    finish_stores();
    for (int64_t r = 0; r < repeats; ++r) {
      load_a(packed_step(memory), 0);
      load_b(memory, 1);
    }
  });
  return threads * repeats * 4 * kTileValues * static_cast<int64_t>(sizeof(Bfloat16));
}
#else
template <class T>
int64_t tile_products(int64_t) {
  return 0;
}
template <class T>
int64_t tile_loads(int64_t) {
  return 0;
}
#endif

template <class T>
void copy(int64_t count, const T* from, T* to) {
  constexpr int64_t kBlock = 16384;
  parallel_for(div_up(count, kBlock), count, [=](int64_t begin, int64_t end, int) {
    const int64_t last = smaller(count, end * kBlock);
    int64_t i = begin * kBlock;
    for (; i + Vec<T>::size <= last; i += Vec<T>::size) Vec<T>::load(from + i).stream(to + i);
    for (; i < last; ++i) to[i] = from[i];
    stream_fence();
  });
}

template <class T>
constexpr LimitsKernels<T> kernels = {fma_on_registers<T>, fma_with_loads<T>, tile_products<T>, tile_loads<T>, copy<T>};

}  // namespace

extern const ByType<LimitsKernels> limits_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
