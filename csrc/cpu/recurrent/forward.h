// A recurrent layer forward. Sequences do not meet, so that each worker takes some of them through all time steps:
//
//   for each time step
//     for each block of units        (its weights: from the first- or second-level cache)
//       for each tile of sequences   gates = h[t - 1] U^T + b_h in registers; then the cell's equations
#pragma once
#include "cpu/recurrent/cells.h"
#include "cpu/recurrent/weights.h"

namespace tinydl::TINYDL_TIER {

template <class T, template <class> class CellType>
struct RecurrentForward {
  using Cell = CellType<T>;
  static constexpr int gates = Cell::gates;
  using Blocks = UnitBlocks<T, gates>;
  static constexpr int64_t kRows = Blocks::kRows;

  const SequenceShape& shape;
  const Sequence<T>& s;
  Blocks blocks;
  TimeOrder order;
  const T* packed;
  T* masked;  // (B, H): h[t - 1] under the mask; null without one

  // The state before time step t, the i-th that is computed, of a sequence; null if that is zero.
  const T* before(const T* states, const T* first, int64_t i, int64_t t, int64_t row) const {
    if (i > 0) return states + (order.before(t) * shape.batch + row) * shape.hidden;
    return first ? first + row * shape.hidden : nullptr;
  }

  // Sequences [begin, end), all steps.
  void run(int64_t begin, int64_t end) const {
    for (int64_t i = 0; i < shape.steps; ++i) {
      const int64_t t = order.at(i);
      if (masked) apply_mask(i, t, begin, end);
      for (int64_t block = 0; block < blocks.count(); ++block)
        for (int64_t row = begin; row < end; row += kRows)
          step(i, t, block, row, static_cast<int>(smaller(kRows, end - row)));
      if (s.valid) keep_states(i, t, begin, end);
    }
  }

  void apply_mask(int64_t i, int64_t t, int64_t begin, int64_t end) const {
    for (int64_t row = begin; row < end; ++row) {
      const T* h = before(s.h, s.h0, i, t, row);
      for (int64_t j = 0; j < shape.hidden; ++j)
        masked[row * shape.hidden + j] = h ? h[j] * s.mask[row * shape.hidden + j] : T(0);
    }
  }
  const T* operand(int64_t i, int64_t t, int64_t row) const {
    return masked ? masked + row * shape.hidden : before(s.h, s.h0, i, t, row);
  }

  // A block of units of up to kRows sequences.
  void step(int64_t i, int64_t t, int64_t block, int64_t row, int rows) const {
    alignas(64) T recurrent[kRows * Blocks::kWidth];
    multiply_weights(i, t, block, row, rows, recurrent);
    for (int r = 0; r < rows; ++r)
      for (int u = 0; u < Blocks::kUnitVectors; ++u) {
        const int64_t unit = block * Blocks::kUnits + u * Vec<T>::size;
        if (unit < shape.hidden) finish(i, t, row + r, unit, recurrent + r * Blocks::kWidth + u * gates * Vec<T>::size);
      }
  }

  // recurrent[r] = h' U^T + b_h
  void multiply_weights(int64_t i, int64_t t, int64_t block, int64_t row, int rows, T* recurrent) const {
    const T *weights = blocks.block(packed, block), *bias = weights + shape.hidden * Blocks::kWidth;
    const Run run{0, 0, operand(i, t, row) ? shape.hidden : 0};
    const T *a[kMaxTileRows], *partial[kMaxTileRows];
    T* c[kMaxTileRows];
    for (int r = 0; r < kMaxTileRows; ++r) a[r] = run.length ? operand(i, t, row + (r < rows ? r : rows - 1)) : bias;
    for (int v = 0; v < Blocks::kVectors; v += Blocks::kPartVectors) {
      const int vectors = static_cast<int>(smaller(Blocks::kPartVectors, Blocks::kVectors - v));
      for (int r = 0; r < rows; ++r) {
        c[r] = recurrent + r * Blocks::kWidth + v * Vec<T>::size;
        partial[r] = bias + v * Vec<T>::size;
      }
      const TileJob<T> job{
          a, 1, weights + v * Vec<T>::size, Blocks::kWidth, &run, 1, c, rows, Vec<T>::size, partial, nullptr, nullptr};
      tile_for<T, false>(vectors, rows)(job);
    }
  }

  // One sequence's vector of units.
  void finish(int64_t i, int64_t t, int64_t row, int64_t unit, const T* recurrent) const {
    const int lanes = static_cast<int>(smaller(Vec<T>::size, shape.hidden - unit));
    const int64_t at = t * shape.batch + row;
    T* x = s.gates + at * gates * shape.hidden + unit;
    Vec<T> a[gates], r[gates], h;
    Kept<T, gates> kept;
    for (int g = 0; g < gates; ++g) {
      a[g] = Vec<T>::load(x + g * shape.hidden, lanes);
      r[g] = Vec<T>::load(recurrent + g * Vec<T>::size);
    }
    const T* state = operand(i, t, row);
    kept.h = state ? Vec<T>::load(state + unit, lanes) : Vec<T>(T(0));
    if (Cell::has_c) {
      const T* c = before(s.c, s.c0, i, t, row);
      kept.c = c ? Vec<T>::load(c + unit, lanes) : Vec<T>(T(0));
    }
    Cell::forward(a, r, kept, h);
    for (int g = 0; g < gates; ++g) kept.value[g].store(x + g * shape.hidden, lanes);
    h.store(s.h + at * shape.hidden + unit, lanes);
    if (Cell::has_c) kept.c_after.store(s.c + at * shape.hidden + unit, lanes);
    if (Cell::has_candidate) kept.candidate.store(s.candidate + at * shape.hidden + unit, lanes);
  }

  // States that a step must not change become those before it.
  void keep_states(int64_t i, int64_t t, int64_t begin, int64_t end) const {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t at = t * shape.batch + row;
      if (s.valid[at]) continue;
      const T *h = before(s.h, s.h0, i, t, row), *c = Cell::has_c ? before(s.c, s.c0, i, t, row) : nullptr;
      for (int64_t j = 0; j < shape.hidden; ++j) {
        s.h[at * shape.hidden + j] = h ? h[j] : T(0);
        if (Cell::has_c) s.c[at * shape.hidden + j] = c ? c[j] : T(0);
      }
    }
  }
};

}  // namespace tinydl::TINYDL_TIER
