// A recurrent layer backward, sequences shared out as forward:
//
//   for each time step, from the last
//     for each sequence       dL/da and dL/dr by the cell's equations
//     dh[t - 1] += dL/dr U    on the tiles of `Weights`
//
// The gradients of the weights are products over all time steps, which the caller computes from dL/da and dL/dr.
#pragma once
#include "cpu/recurrent/cells.h"
#include "cpu/recurrent/weights.h"

namespace tinydl::TINYDL_TIER {

template <class T, template <class> class CellType, class Weights>
struct RecurrentBackward {
  using Cell = CellType<T>;
  using Memory = typename Weights::Memory;
  static constexpr int gates = Cell::gates;

  const SequenceShape& shape;
  const Sequence<T>& s;
  const SequenceGrad<T>& d;
  Weights weights;
  TimeOrder order;

  // Sequences [begin, end), all steps. d.dh0 and d.dc0 hold the states' gradients on the way.
  void run(int64_t begin, int64_t end, Memory& memory) const {
    const int64_t hidden = shape.hidden;
    for (int64_t j = begin * hidden; j < end * hidden; ++j) {
      d.dh0[j] = d.dh_last ? d.dh_last[j] : T(0);
      if (Cell::has_c) d.dc0[j] = d.dc_last ? d.dc_last[j] : T(0);
    }
    for (int64_t i = shape.steps - 1; i >= 0; --i) {
      const int64_t t = order.at(i);
      for (int64_t row = begin; row < end; ++row) gates_of_row(i, t, row);
      const T* dr = d.drecurrent + (t * shape.batch + begin) * gates * hidden;
      weights.add_products(dr, end - begin, d.dh0 + begin * hidden, memory);
      if (s.mask) apply_mask(t, begin, end);
    }
  }

  bool is_valid(int64_t t, int64_t row) const { return !s.valid || s.valid[t * shape.batch + row]; }

  void gates_of_row(int64_t i, int64_t t, int64_t row) const {
    const int64_t at = t * shape.batch + row;
    for (int64_t unit = 0; unit < shape.hidden; unit += Vec<T>::size) {
      const int lanes = static_cast<int>(smaller(Vec<T>::size, shape.hidden - unit));
      T* dh_row = d.dh0 + row * shape.hidden + unit;
      Vec<T> dh = Vec<T>::load(dh_row, lanes), dc(T(0)), da[gates], dr[gates];
      if (d.dh) dh = dh + Vec<T>::load(d.dh + at * shape.hidden + unit, lanes);
      if (is_valid(t, row)) {
        if (Cell::has_c) dc = Vec<T>::load(d.dc0 + row * shape.hidden + unit, lanes);
        Cell::backward(kept(i, t, row, unit, lanes), dh, dc, da, dr);
        if (Cell::has_c) dc.store(d.dc0 + row * shape.hidden + unit, lanes);
      } else {
        for (int g = 0; g < gates; ++g) da[g] = dr[g] = Vec<T>(T(0));
      }
      dh.store(dh_row, lanes);
      for (int g = 0; g < gates; ++g) {
        const int64_t to = (at * gates + g) * shape.hidden + unit;
        da[g].store(d.dgates + to, lanes);
        if (Cell::has_candidate) dr[g].store(d.drecurrent + to, lanes);
      }
    }
  }

  Kept<T, gates> kept(int64_t i, int64_t t, int64_t row, int64_t unit, int lanes) const {
    const int64_t at = t * shape.batch + row;
    Kept<T, gates> out;
    for (int g = 0; g < gates; ++g)
      out.value[g] = Vec<T>::load(s.gates + (at * gates + g) * shape.hidden + unit, lanes);
    if (Cell::has_c) {
      const T* c = order.state_before(i, row, s.c, s.c0);
      out.c = c ? Vec<T>::load(c + unit, lanes) : Vec<T>(T(0));
      out.c_after = Vec<T>::load(s.c + at * shape.hidden + unit, lanes);
    }
    if (Cell::has_candidate) {
      const T* h = order.state_before(i, row, s.h, s.h0);
      out.h = h ? Vec<T>::load(h + unit, lanes) : Vec<T>(T(0));
      if (s.mask) out.h = out.h * Vec<T>::load(s.mask + row * shape.hidden + unit, lanes);
      out.candidate = Vec<T>::load(s.candidate + at * shape.hidden + unit, lanes);
    }
    return out;
  }

  void apply_mask(int64_t t, int64_t begin, int64_t end) const {
    for (int64_t row = begin; row < end; ++row)
      if (is_valid(t, row))
        for (int64_t j = row * shape.hidden; j < (row + 1) * shape.hidden; ++j) d.dh0[j] *= s.mask[j];
  }
};

}  // namespace tinydl::TINYDL_TIER
