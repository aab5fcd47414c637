// Optimiser steps: one launch for all parameters. Adam moves 7 sizeof(T) bytes an element (p, m and v read and written,
// g read), sgd without momentum 3, which is the floor; the arithmetic hides behind it.
#include "contract/optimizer.h"

#include "cuda/device/partials.h"
#include "cuda/optimizer/rules.h"
#include "cuda/optimizer/segments.h"
#include "cuda/runtime/memory.h"
#include "cuda/runtime/replay.h"
#include "cuda/runtime/report.h"

namespace tinydl::cuda {

namespace {

template <class T, class R>
__device__ __forceinline__ void step_pack(const R& rule, const Segment<T>& segment, int64_t i, int64_t left) {
  using W = Wide<T>;
  constexpr int width = kPack<T>;
  W p[width], g[width] = {}, state[kMaxStates][width] = {};
  load_wide(segment.p + i, left, p);
  if (R::kTakesGradient) load_wide(segment.g + i, left, g);
#pragma unroll
  for (int k = 0; k < kMaxStates; ++k)
    if (rule.reads(k)) load_wide(segment.state[k] + i, left, state[k]);
#pragma unroll
  for (int j = 0; j < width; ++j) {
    W own[kMaxStates] = {state[0][j], state[1][j], state[2][j]};
    p[j] = rule(p[j], g[j], own);
    for (int k = 0; k < kMaxStates; ++k) state[k][j] = own[k];
  }
#pragma unroll
  for (int k = 0; k < kMaxStates; ++k)
    if (rule.uses(k)) store_wide(segment.state[k] + i, left, state[k]);
  store_wide(segment.p + i, left, p);
}

// The rule, or the one in the slot of a graph, where there is one.
template <class T, int size, class R>
__global__ void step_kernel(const __grid_constant__ SegmentTable<T, size> table, int64_t begin, R rule,
                            const Slot* slot) {
  if (slot) rule = *reinterpret_cast<const R*>(slot);
  table.visit(begin + thread_in_grid() * kPack<T>,
              [&](const Segment<T>& segment, int64_t i, int64_t left) { step_pack(rule, segment, i, left); });
}

template <class T, class R>
void run_rule(const Segment<T>* segments, int64_t count, const R& rule, const Slot* slot = nullptr) {
  for_each_table(segments, count, [&](const auto& table) {
    constexpr int size = sizeof(table.at) / sizeof(table.at[0]);
    const dim3 grid = blocks_of(table.end() - table.begin(), int64_t(kThreads) * kPack<T>);
    launch(step_kernel<T, size, R>, grid, kThreads, table, table.begin(), rule, slot);
  });
}

__global__ void fill_slot(Slot numbers, Slot* to) { *to = numbers; }

// A number that tells apart which arrays a step works on, and by which rule: FNV-1a.
template <class T>
uint64_t key_of(const Segment<T>* segments, int64_t count, const void* rule) {
  uint64_t key = 0xcbf29ce484222325u;
  const auto add = [&](uint64_t value) { key = (key ^ value) * 0x100000001b3u; };
  add(reinterpret_cast<uint64_t>(rule));
  for (int64_t i = 0; i < count; ++i) {
    add(static_cast<uint64_t>(segments[i].count));
    add(reinterpret_cast<uint64_t>(segments[i].p));
    for (const T* state : segments[i].state) add(reinterpret_cast<uint64_t>(state));
  }
  return key;
}

template <class T, template <class> class R, class Options>
void step(const Segment<T>* segments, int64_t count, const Options& options) {
  using Rule = R<Wide<T>>;
  static_assert(sizeof(Rule) <= sizeof(Slot) && std::is_trivially_copyable_v<Rule>, "a rule must fit a graph's slot");
  const Rule rule(options);
  if (!slots_of_replay().first) {
    tinydl::check(!offset_of_replay(),
                  "optimizer: a step in the capture of a CUDA graph would keep its numbers, but by Optimizer.step");
    return run_rule(segments, count, rule);
  }
  const auto of_rule = reinterpret_cast<const void*>(&step<T, R, Options>);
  Slot* const slot = slots_of_replay().take(key_of(segments, count, of_rule));
  if (!slots_of_replay().fills) return run_rule(segments, count, rule, slot);
  Slot numbers = {};
  memcpy(numbers.bytes, &rule, sizeof rule);
  launch(fill_slot, 1, 1, numbers, slot);
}

// -- Norms: a thread adds up kNormPacks packs in W, a block its threads in double, and one block the blocks.

constexpr int kNormPacks = 8;
template <class T>
constexpr int64_t kNormTile = int64_t(kThreads) * kPack<T> * kNormPacks;

struct SumOf {
  using Join = Sum;
  template <class W>
  __device__ __forceinline__ W operator()(W total, W g) const {
    return total + abs_of(g);
  }
};
struct SquaresOf {
  using Join = Sum;
  template <class W>
  __device__ __forceinline__ W operator()(W total, W g) const {
    return fma_of(g, g, total);
  }
};
struct MaximumOf {
  using Join = Largest;
  template <class W>
  __device__ __forceinline__ W operator()(W total, W g) const {
    return larger(total, abs_of(g));
  }
};

template <class T, int size, class R>
__global__ void norm_kernel(const __grid_constant__ SegmentTable<T, size> table, int64_t begin, R rule,
                            double* partial) {
  TINYDL_SHARED(BlockPartials, shared);
  const int64_t first = begin + int64_t(blockIdx.x) * kNormTile<T> + int64_t(threadIdx.x) * kPack<T>;
  Wide<T> total = 0;
  for (int r = 0; r < kNormPacks; ++r)
    table.visit(first + int64_t(r) * kThreads * kPack<T>, [&](const Segment<T>& segment, int64_t i, int64_t left) {
      Wide<T> g[kPack<T>];
      load_wide(segment.g + i, left, g);
#pragma unroll
      for (int j = 0; j < kPack<T>; ++j) total = rule(total, g[j]);
    });
  const double joined = reduce_block<kThreads>(static_cast<double>(total), typename R::Join(), shared.of_warp);
  if (threadIdx.x == 0) partial[blockIdx.x] = joined;
}

struct StoreDouble {
  double* to;
  __device__ void operator()(double x) const { *to = x; }
};

// Waits for the GPU.
template <class T, class R>
double joined_norm(const Segment<T>* segments, int64_t count, const R& rule) {
  const auto tiles_of = [](const auto& table) { return blocks_of(table.end() - table.begin(), kNormTile<T>); };
  int64_t tiles = 0;
  for_each_table(segments, count, [&](const auto& table) { tiles += tiles_of(table).x; });
  if (tiles == 0) return 0;
  const Scratch memory(static_cast<size_t>(tiles + 1) * sizeof(double));
  auto* const result = static_cast<double*>(memory.data());
  double* partial = result + 1;
  for_each_table(segments, count, [&](const auto& table) {
    constexpr int size = sizeof(table.at) / sizeof(table.at[0]);
    launch(norm_kernel<T, size, R>, tiles_of(table), kThreads, table, table.begin(), rule, partial);
    partial += tiles_of(table).x;
  });
  launch(join_partials<typename R::Join, StoreDouble>, 1, kThreads, tiles, result + 1, typename R::Join(),
         StoreDouble{result});
  double out;
  read_back(&out, result, sizeof out);
  return out;
}

template <class T>
double norm(const Segment<T>* segments, int64_t count, Norm kind) {
  if (kind == Norm::kSum) return joined_norm(segments, count, SumOf());
  if (kind == Norm::kMaximum) return joined_norm(segments, count, MaximumOf());
  return std::sqrt(joined_norm(segments, count, SquaresOf()));
}

template <class T>
void scale(const Segment<T>* segments, int64_t count, double factor) {
  run_rule(segments, count, ScaleBy<Wide<T>>(factor));
}

template <class T>
void clamp(const Segment<T>* segments, int64_t count, double limit) {
  run_rule(segments, count, ClampTo<Wide<T>>(limit));
}

template <class T>
constexpr OptimizerKernels<T> kernels = {
    step<T, Sgd, SgdOptions>,
    step<T, Adam, AdamOptions>,
    step<T, Adamax, AdamaxOptions>,
    step<T, Adagrad, AdagradOptions>,
    step<T, Rmsprop, RmspropOptions>,
    step<T, Adadelta, AdadeltaOptions>,
    step<T, Asgd, AsgdOptions>,
    step<T, Rprop, RpropOptions>,
    norm<T>,
    scale<T>,
    clamp<T>,
};

}  // namespace

TINYDL_CUDA_TABLE(OptimizerKernels, optimizer, kernels);

}  // namespace tinydl::cuda
