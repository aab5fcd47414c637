// A recurrent layer backward, from the last time step to the first: a launch for each, in which a block computes, for
// 32 units of 16 or 32 sequences, what reaches h through the step after, dL/dr U, and then this step's dL/da and dL/dr.
// A last launch computes the first states' gradients. The states' gradients are kept wide on the way.
#pragma once
#include "cuda/recurrent/forward.h"

namespace tinydl::cuda {

constexpr int kBackwardGroups = 2, kBackwardUnits = kBackwardGroups * kTileColumns;

// One time step; arrays begin at the step, those named `after` at the step that was computed before it.
template <class T>
struct BackwardStep {
  int64_t batch;
  int hidden;
  bool packs, first, ends;  // nothing comes after it; it is no step, but the first states' gradients
  const T *turned, *mask;   // U^T (H, G H)
  const bool *valid_after, *valid;
  const T *dr_after, *dh_last, *dc_last, *dh_given;
  Wide<T>*dh, *dc;  // (B, H): of the states after the step
  const T *gates, *h_before, *c_before, *c, *candidate;
  T *dgates, *drecurrent, *dh0, *dc0;
};

// The gradient of h after the step, without what is given for it, from the `sum` of dL/dr U.
template <class T>
__device__ __forceinline__ Wide<T> gradient_of_state(const BackwardStep<T>& s, int64_t row, int64_t at, Wide<T> sum) {
  if (s.first) return value_or_zero(s.dh_last, at);
  const Wide<T> dh = s.dh[at] + sum;
  const bool masked = s.mask && (!s.valid_after || s.valid_after[row]);
  return masked ? dh * widen(s.mask[at]) : dh;
}

template <class T, int gates>
__device__ __forceinline__ Kept<Wide<T>, gates> kept_of(const BackwardStep<T>& s, const T* values, int64_t at) {
  Kept<Wide<T>, gates> kept;
#pragma unroll
  for (int g = 0; g < gates; ++g) kept.value[g] = widen(values[g * s.hidden]);
  kept.h = value_or_zero(s.h_before, at);
  if (s.mask) kept.h *= widen(s.mask[at]);
  kept.c = value_or_zero(s.c_before, at);
  kept.c_after = value_or_zero(s.c, at);
  kept.candidate = value_or_zero(s.candidate, at);
  return kept;
}

// One unit of one sequence.
template <Cell cell, class T>
__device__ __forceinline__ void backward_unit(const BackwardStep<T>& s, int64_t row, int unit, Wide<T> sum) {
  using W = Wide<T>;
  constexpr int gates = kGates<cell>;
  const int64_t at = row * s.hidden + unit;
  W dh = gradient_of_state(s, row, at, sum), dc = 0;
  if constexpr (cell == Cell::lstm) dc = s.first ? value_or_zero(s.dc_last, at) : s.dc[at];
  if (s.ends) {
    s.dh0[at] = T(dh);
    if constexpr (cell == Cell::lstm) s.dc0[at] = T(dc);
    return;
  }
  if (s.dh_given) dh += widen(s.dh_given[at]);
  const int64_t place = row * gates * s.hidden + unit;
  W da[gates] = {}, dr[gates] = {};
  if (!s.valid || s.valid[row]) cell_backward<cell>(kept_of<T, gates>(s, s.gates + place, at), dh, dc, da, dr);
  s.dh[at] = dh;
  if constexpr (cell == Cell::lstm) s.dc[at] = dc;
#pragma unroll
  for (int g = 0; g < gates; ++g) {
    s.dgates[place + g * s.hidden] = T(da[g]);
    if constexpr (cell == Cell::gru) s.drecurrent[place + g * s.hidden] = T(dr[g]);
  }
}

template <class T, Cell cell, int row_groups>
__global__ void __launch_bounds__(kTileThreads, sizeof(T) == 8 ? 1 : 2) backward_kernel(BackwardStep<T> s) {
  using Product = TileProduct<T, kBackwardGroups, row_groups>;
  TINYDL_LARGE_SHARED(typename Product::Storage, shared);
  const Corner corner(s.hidden, Product::kRows, kBackwardUnits);
  Wide<T> sum[row_groups][kBackwardGroups] = {};
  if (!s.first) {
    const int depth = kGates<cell> * s.hidden;
    Rows<T> columns[kBackwardGroups];
#pragma unroll
    for (int g = 0; g < kBackwardGroups; ++g) {
      const int unit = corner.unit + g * kTileColumns;
      columns[g] = {s.turned + int64_t(unit) * depth, rows_left(s.hidden, unit, kTileColumns), depth, s.packs};
    }
    Product::run({s.dr_after + corner.row * depth, rows_left(s.batch, corner.row, Product::kRows), depth, s.packs},
                 columns, shared, sum);
  }
#pragma unroll
  for (int i = 0; i < row_groups; ++i)
#pragma unroll
    for (int g = 0; g < kBackwardGroups; ++g) {
      const int64_t row = corner.row + threadIdx.x / kTileColumns + i * kTileRows;
      const int unit = corner.unit + g * kTileColumns + static_cast<int>(threadIdx.x) % kTileColumns;
      if (row < s.batch && unit < s.hidden) backward_unit<cell>(s, row, unit, sum[i][g]);
    }
}

// to (n, m) = from (m, n), transposed.
template <class T>
struct Square {
  T v[kLanes][kLanes + 1];
};
template <class T>
__global__ void turn_kernel(int m, int n, const T* from, T* to) {
  TINYDL_SHARED(Square<T>, shared);
  const unsigned blocks = static_cast<unsigned>((n + kLanes - 1) / kLanes);
  const int row = static_cast<int>(blockIdx.x / blocks) * kLanes,
            column = static_cast<int>(blockIdx.x % blocks) * kLanes;
  const int x = static_cast<int>(threadIdx.x) % kLanes, step = static_cast<int>(blockDim.x) / kLanes;
  for (int y = static_cast<int>(threadIdx.x) / kLanes; y < kLanes; y += step)
    if (row + y < m && column + x < n) shared.v[y][x] = from[int64_t(row + y) * n + column + x];
  __syncthreads();
  for (int y = static_cast<int>(threadIdx.x) / kLanes; y < kLanes; y += step)
    if (column + y < n && row + x < m) to[int64_t(column + y) * m + row + x] = shared.v[x][y];
}
template <class T>
void turn(int64_t m, int64_t n, const T* from, T* to) {
  const int64_t blocks = (m + kLanes - 1) / kLanes * ((n + kLanes - 1) / kLanes);
  launch(turn_kernel<T>, grid_of(blocks), kThreads, static_cast<int>(m), static_cast<int>(n), from, to);
}

template <Cell cell, class T>
void run_backward(const SequenceShape& shape, const Sequence<T>& s, const SequenceGrad<T>& d) {
  using W = Wide<T>;
  constexpr int gates = kGates<cell>;
  const TimeOrder order{shape};
  const int64_t states = shape.batch * shape.hidden, depth = gates * shape.hidden;
  const Scratch weights(static_cast<size_t>(depth * shape.hidden) * sizeof(T));
  const Scratch gradients(2 * static_cast<size_t>(states) * sizeof(W));
  T* const turned = static_cast<T*>(weights.data());
  W* const dh = static_cast<W*>(gradients.data());
  turn(depth, shape.hidden, s.weight, turned);
  BackwardStep<T> step{};
  step.batch = shape.batch;
  step.hidden = static_cast<int>(shape.hidden);
  step.packs = depth % kPack<T> == 0 && is_aligned(d.drecurrent, kPack<T>);
  step.turned = turned;
  step.mask = s.mask;
  step.dh_last = d.dh_last;
  step.dc_last = d.dc_last;
  step.dh = dh;
  step.dc = dh + states;
  step.dh0 = d.dh0;
  step.dc0 = d.dc0;
  for (int64_t i = shape.steps - 1; i >= -1; --i) {
    step.first = i == shape.steps - 1;
    step.ends = i < 0;
    if (!step.first) {
      const int64_t after = order.at(i + 1) * shape.batch;
      step.dr_after = d.drecurrent + after * depth;
      step.valid_after = s.valid ? s.valid + after : nullptr;
    }
    if (!step.ends) {
      const int64_t t = order.at(i), at = t * states;
      step.valid = s.valid ? s.valid + t * shape.batch : nullptr;
      step.dh_given = d.dh ? d.dh + at : nullptr;
      step.gates = s.gates + at * gates;
      step.h_before = cell == Cell::gru ? order.before(i, s.h, s.h0) : nullptr;
      step.c_before = cell == Cell::lstm ? order.before(i, s.c, s.c0) : nullptr;
      step.c = cell == Cell::lstm ? s.c + at : nullptr;
      step.candidate = cell == Cell::gru ? s.candidate + at : nullptr;
      step.dgates = d.dgates + at * gates;
      step.drecurrent = d.drecurrent + at * gates;
    }
    with_row_groups<T>(shape, kBackwardUnits, [&](auto groups, dim3 blocks) {
      constexpr int row_groups = decltype(groups)::value;
      launch_with_shared(backward_kernel<T, cell, row_groups>,
                         sizeof(typename TileProduct<T, kBackwardGroups, row_groups>::Storage), blocks, kTileThreads,
                         step);
    });
  }
}

}  // namespace tinydl::cuda
