// A recurrent layer forward, shared out as layer.h says:
//
//   for each time step, for some sequences
//     for each block of units   (its weights: from the first- or second-level cache)
//       r = h[t - 1] U^T        on the tiles of `Weights`
//       for each sequence       the cell's equations
//
// Every other time the blocks are taken from the last to the first: where the weights exceed the cache, those used last
// are still there.
#pragma once
#include "cpu/recurrent/cells.h"
#include "cpu/recurrent/weights.h"

namespace tinydl::TINYDL_TIER {

template <class T, template <class> class CellType, class Weights>
struct RecurrentForward {
  using Cell = CellType<T>;
  using Memory = typename Weights::Memory;
  static constexpr int gates = Cell::gates;

  const SequenceShape& shape;
  const Sequence<T>& s;
  Weights weights;
  TimeOrder order;
  T* masked;  // (B, H): h[t - 1] under the mask; null without one

  int64_t steps() const { return shape.steps; }
  int64_t blocks() const { return weights.blocks(); }

  // Work on whole sequences before and after the i-th step.
  void before(int64_t i, const Share& share) const {
    if (masked) apply_mask(i, share.begin, share.end);
  }
  void after(int64_t i, const Share& share) const {
    if (s.valid) keep_states(i, order.at(i), share.begin, share.end);
  }
  void step(int64_t i, const Share& share, Memory& memory) const {
    const int64_t at_once = weights.rows_at_once();
    int64_t sweep = i * div_up(share.end - share.begin, at_once);
    for (int64_t row = share.begin; row < share.end; row += at_once, ++sweep)
      step_at_once(i, row, smaller(at_once, share.end - row), {share, sweep % 2 != 0}, memory);
  }

  // A sequence's h before the i-th step, under the mask; null if it is zero.
  const T* operand(int64_t i, int64_t row) const {
    return masked ? masked + row * shape.hidden : order.state_before(i, row, s.h, s.h0);
  }
  void apply_mask(int64_t i, int64_t begin, int64_t end) const {
    for (int64_t row = begin; row < end; ++row) {
      const T* h = order.state_before(i, row, s.h, s.h0);
      for (int64_t j = 0; j < shape.hidden; ++j)
        masked[row * shape.hidden + j] = h ? h[j] * s.mask[row * shape.hidden + j] : T(0);
    }
  }

  // One time step of `count` sequences from `row` on.
  void step_at_once(int64_t i, int64_t row, int64_t count, const BlockOrder& blocks, Memory& memory) const {
    const bool has_state = operand(i, row) != nullptr;
    if (has_state) weights.load([&](int64_t r) { return operand(i, row + r); }, count, memory);
    for (int64_t b = 0; b < blocks.count(); ++b) {
      const int64_t block = blocks.at(b);
      if (has_state) weights.multiply(block, blocks.at(smaller(b + 1, blocks.count() - 1)), count, memory);
      for (int64_t r = 0; r < count; ++r)
        for (int u = 0; u < Weights::kUnitVectors; ++u) {
          const int64_t unit = block * Weights::kUnits + u * Vec<T>::size;
          if (unit >= shape.hidden) break;
          Vec<T> recurrent[gates];
          for (int g = 0; g < gates; ++g)
            recurrent[g] = has_state ? Vec<T>::load(Weights::part(memory, r, u, g)) : Vec<T>(T(0));
          finish(i, order.at(i), row + r, unit, recurrent);
        }
    }
  }

  // The cell of one sequence and one vector of units, given h' U^T.
  void finish(int64_t i, int64_t t, int64_t row, int64_t unit, Vec<T> (&r)[gates]) const {
    const int lanes = static_cast<int>(smaller(Vec<T>::size, shape.hidden - unit));
    const int64_t at = t * shape.batch + row;
    T* x = s.gates + at * gates * shape.hidden + unit;
    Vec<T> a[gates], h;
    Kept<T, gates> kept;
    for (int g = 0; g < gates; ++g) {
      a[g] = Vec<T>::load(x + g * shape.hidden, lanes);
      if (s.bias) r[g] = r[g] + Vec<T>::load(s.bias + g * shape.hidden + unit, lanes);
    }
    const T* state = operand(i, row);
    kept.h = state ? Vec<T>::load(state + unit, lanes) : Vec<T>(T(0));
    if (Cell::has_c) {
      const T* c = order.state_before(i, row, s.c, s.c0);
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
      const T *h = order.state_before(i, row, s.h, s.h0),
              *c = Cell::has_c ? order.state_before(i, row, s.c, s.c0) : nullptr;
      for (int64_t j = 0; j < shape.hidden; ++j) {
        s.h[at * shape.hidden + j] = h ? h[j] : T(0);
        if (Cell::has_c) s.c[at * shape.hidden + j] = c ? c[j] : T(0);
      }
    }
  }
};

}  // namespace tinydl::TINYDL_TIER
