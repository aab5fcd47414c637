// A recurrent layer forward: a launch for each time step, in which a block computes all gates of 16 units of 16
// sequences, or of 32 where these are enough blocks.
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

// A block's first sequence and unit, of blocks of so many.
struct Corner {
  int64_t row;
  int unit;
  __device__ Corner(int hidden, int rows, int units) {
    const unsigned blocks = static_cast<unsigned>((hidden + units - 1) / units);
    row = int64_t(blockIdx.x / blocks) * rows;
    unit = static_cast<int>(blockIdx.x % blocks) * units;
  }
};

// The cell of one unit of one sequence, given h' U^T.
template <Cell cell, class T, int gates>
__device__ __forceinline__ void forward_unit(const ForwardStep<T>& s, int64_t row, int unit, Wide<T> (&r)[gates]) {
  using W = Wide<T>;
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

template <class T, Cell cell, int row_groups>
__global__ void __launch_bounds__(kTileThreads, sizeof(T) == 8 ? 1 : 2) forward_kernel(ForwardStep<T> s) {
  constexpr int gates = kGates<cell>;
  using Product = TileProduct<T, gates, row_groups>;
  TINYDL_LARGE_SHARED(typename Product::Storage, shared);
  const Corner corner(s.hidden, Product::kRows, kTileColumns);
  Wide<T> r[row_groups][gates] = {};
  if (s.operand) {
    Rows<T> columns[gates];
#pragma unroll
    for (int g = 0; g < gates; ++g)
      columns[g] = {s.weight + (int64_t(g) * s.hidden + corner.unit) * s.hidden,
                    rows_left(s.hidden, corner.unit, kTileColumns), s.hidden, s.packs};
    Product::run({s.operand + corner.row * s.hidden, rows_left(s.batch, corner.row, Product::kRows), s.hidden, s.packs},
                 columns, shared, r);
  }
  const int unit = corner.unit + static_cast<int>(threadIdx.x) % kTileColumns;
#pragma unroll
  for (int i = 0; i < row_groups; ++i) {
    const int64_t row = corner.row + threadIdx.x / kTileColumns + i * kTileRows;
    if (row < s.batch && unit < s.hidden) forward_unit<cell>(s, row, unit, r[i]);
  }
}

// Calls run(row_groups, blocks): twice as many sequences a block, which read U once for both, where still every
// multiprocessor gets two of them.
template <class T, class F>
void with_row_groups(const SequenceShape& shape, int64_t units, const F& run) {
  const int64_t columns = (shape.hidden + units - 1) / units;
  const auto blocks = [&](int64_t rows) { return (shape.batch + rows - 1) / rows * columns; };
  if constexpr (sizeof(T) < 8) {
    const int64_t few = blocks(2 * kTileRows);
    if (few >= 2 * multiprocessors()) return run(std::integral_constant<int, 2>(), grid_of(few));
  }
  run(std::integral_constant<int, 1>(), grid_of(blocks(kTileRows)));
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
                        cell == Cell::lstm ? order.before(i, s.c, s.c0) : nullptr,
                        s.gates + at * kGates<cell>,
                        s.h + at,
                        s.c ? s.c + at : nullptr,
                        s.candidate ? s.candidate + at : nullptr,
                        s.mask ? operands + (i + 1) % 2 * states : nullptr};
    step.operand = s.mask && step.h_before ? operands + i % 2 * states : step.h_before;
    with_row_groups<T>(shape, kTileColumns, [&](auto groups, dim3 blocks) {
      constexpr int row_groups = decltype(groups)::value;
      launch_with_shared(forward_kernel<T, cell, row_groups>,
                         sizeof(typename TileProduct<T, kGates<cell>, row_groups>::Storage), blocks, kTileThreads,
                         step);
    });
  }
}

}  // namespace tinydl::cuda
