// A recurrent layer forward: a launch for each time step, in which a block computes all gates of 16 units of 16
// sequences.
#pragma once
#include "cuda/device/grid.h"
#include "cuda/recurrent/cells.h"
#include "cuda/recurrent/product.h"
#include "cuda/runtime/launch.h"
#include "cuda/runtime/memory.h"

namespace tinydl::cuda {

// One time step; arrays begin at the step. Null are, besides what the sequence lacks, states that are zero.
template <class T>
struct ForwardStep {
  int64_t batch;
  int hidden;
  bool packs;
  const T *weight, *bias, *mask;
  const bool* valid;
  const T *h_before, *operand, *c_before;  // operand: h_before under the mask
  T *gates, *h, *c, *candidate;
  T* next_operand;  // under a mask only
};

template <class T>
__device__ __forceinline__ Wide<T> value_or_zero(const T* from, int64_t at) {
  return from ? widen(from[at]) : Wide<T>(0);
}

__device__ __forceinline__ int rows_left(int64_t rows, int64_t first, int most) {
  return rows - first < most ? static_cast<int>(rows - first) : most;
}

// A block's first sequence and unit, of blocks of `units` units.
struct Corner {
  int64_t row;
  int unit;
  __device__ Corner(int hidden, int units) {
    const unsigned blocks = static_cast<unsigned>((hidden + units - 1) / units);
    row = int64_t(blockIdx.x / blocks) * kTileRows;
    unit = static_cast<int>(blockIdx.x % blocks) * units;
  }
};
inline dim3 tiles_of(int64_t batch, int64_t hidden, int64_t units) {
  return dim3(static_cast<unsigned>((batch + kTileRows - 1) / kTileRows * ((hidden + units - 1) / units)));
}

template <class T, Cell cell>
__global__ void __launch_bounds__(kTileThreads, sizeof(T) == 8 ? 1 : 2) forward_kernel(ForwardStep<T> s) {
  using W = Wide<T>;
  constexpr int gates = kGates<cell>;
  using Product = TileProduct<T, gates>;
  TINYDL_LARGE_SHARED(typename Product::Storage, shared);
  const Corner corner(s.hidden, kTileColumns);
  W r[gates] = {};
  if (s.operand) {
    Rows<T> columns[gates];
#pragma unroll
    for (int g = 0; g < gates; ++g)
      columns[g] = {s.weight + (int64_t(g) * s.hidden + corner.unit) * s.hidden,
                    rows_left(s.hidden, corner.unit, kTileColumns), s.hidden, s.packs};
    Product::run({s.operand + corner.row * s.hidden, rows_left(s.batch, corner.row, kTileRows), s.hidden, s.packs},
                 columns, shared, r);
  }
  const int64_t row = corner.row + threadIdx.x / kTileColumns;
  const int unit = corner.unit + static_cast<int>(threadIdx.x) % kTileColumns;
  if (row >= s.batch || unit >= s.hidden) return;

  const int64_t at = row * s.hidden + unit;
  T* x = s.gates + row * gates * s.hidden + unit;
  W a[gates];
  Kept<W, gates> kept;
#pragma unroll
  for (int g = 0; g < gates; ++g) {
    a[g] = widen(x[g * s.hidden]);
    if (s.bias) r[g] += widen(s.bias[g * s.hidden + unit]);
  }
  kept.h = value_or_zero(s.operand, at);
  kept.c = value_or_zero(s.c_before, at);
  T h(cell_forward<cell>(a, r, kept));
  const bool valid = !s.valid || s.valid[row];
  if (!valid) h = T(value_or_zero(s.h_before, at));
#pragma unroll
  for (int g = 0; g < gates; ++g) x[g * s.hidden] = T(kept.value[g]);
  s.h[at] = h;
  if constexpr (cell == Cell::lstm) s.c[at] = T(valid ? kept.c_after : kept.c);
  if constexpr (cell == Cell::gru) s.candidate[at] = T(kept.candidate);
  if (s.mask) s.next_operand[at] = T(widen(h) * widen(s.mask[at]));
}

// to = h under the mask.
template <class T>
__global__ void mask_kernel(int64_t count, const T* h, const T* mask, T* to) {
  for (int64_t i = thread_in_grid(); i < count; i += threads_in_grid()) to[i] = T(widen(h[i]) * widen(mask[i]));
}

// The time steps in the order of their computation.
struct TimeOrder {
  SequenceShape shape;
  int64_t at(int64_t i) const { return shape.reverse ? shape.steps - 1 - i : i; }
  // The states before the i-th step, out of all steps' and the first ones; null where they are zero.
  template <class T>
  const T* before(int64_t i, const T* states, const T* first) const {
    return i > 0 ? states + at(i - 1) * shape.batch * shape.hidden : first;
  }
};

template <Cell cell, class T>
void run_forward(const SequenceShape& shape, const Sequence<T>& s) {
  const TimeOrder order{shape};
  const int64_t states = shape.batch * shape.hidden;
  const Scratch masked(s.mask ? 2 * static_cast<size_t>(states) * sizeof(T) : 0);
  T* const operands = static_cast<T*>(masked.data());
  if (s.mask && s.h0) launch(mask_kernel<T>, blocks_for(states), kThreads, states, s.h0, s.mask, operands);
  const bool packs = shape.hidden % kPack<T> == 0 && is_aligned(s.weight, kPack<T>) && is_aligned(s.h, kPack<T>) &&
                     is_aligned(s.h0, kPack<T>);
  for (int64_t i = 0; i < shape.steps; ++i) {
    const int64_t t = order.at(i), at = t * states;
    ForwardStep<T> step{shape.batch,
                        static_cast<int>(shape.hidden),
                        packs,
                        s.weight,
                        s.bias,
                        s.mask,
                        s.valid ? s.valid + t * shape.batch : nullptr,
                        order.before(i, s.h, s.h0),
                        nullptr,
                        order.before(i, s.c, s.c0),
                        s.gates + at * kGates<cell>,
                        s.h + at,
                        s.c ? s.c + at : nullptr,
                        s.candidate ? s.candidate + at : nullptr,
                        s.mask ? operands + (i + 1) % 2 * states : nullptr};
    step.operand = s.mask && step.h_before ? operands + i % 2 * states : step.h_before;
    launch_with_shared(forward_kernel<T, cell>, sizeof(typename TileProduct<T, kGates<cell>>::Storage),
                       tiles_of(shape.batch, shape.hidden, kTileColumns), kTileThreads, step);
  }
}

}  // namespace tinydl::cuda
