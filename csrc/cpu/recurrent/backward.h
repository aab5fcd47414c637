// A recurrent layer backward, shared out as layer.h says:
//
//   for each time step, from the last
//     dh[t] += dL/dr[t + 1] U   on the tiles of `Weights`, for some units
//     for each sequence         dL/da and dL/dr of these units by the cell's equations
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

  int64_t steps() const { return shape.steps + 1; }
  int64_t blocks() const { return weights.blocks(); }

  void before(int64_t, const Share&) const {}
  void after(int64_t, const Share&) const {}
  // d.dh0 and d.dc0 hold the states' gradients on the way. After the last step comes the first state.
  void step(int64_t i, const Share& share, Memory& memory) const {
    const int64_t unit = weights.column(share.first_block), end = weights.column(share.end_block);
    if (i == 0)
      begin(share, unit, end);
    else
      add_products(order.at(shape.steps - i), share, unit, end, i % 2 != 0, memory);
    if (i == shape.steps) return;
    const int64_t before_last = shape.steps - 1 - i;
    for (int64_t row = share.begin; row < share.end; ++row)
      gates_of_row(before_last, order.at(before_last), row, unit, end);
  }

  void begin(const Share& share, int64_t unit, int64_t end) const {
    for (int64_t row = share.begin; row < share.end; ++row)
      for (int64_t j = row * shape.hidden + unit; j < row * shape.hidden + end; ++j) {
        d.dh0[j] = d.dh_last ? d.dh_last[j] : T(0);
        if (Cell::has_c) d.dc0[j] = d.dc_last ? d.dc_last[j] : T(0);
      }
  }
  void add_products(int64_t t, const Share& share, int64_t unit, int64_t end, bool from_last, Memory& memory) const {
    const T* dr = d.drecurrent + (t * shape.batch + share.begin) * gates * shape.hidden;
    weights.add_products(dr, share.end - share.begin, {share, from_last}, d.dh0 + share.begin * shape.hidden, memory);
    for (int64_t row = share.begin; s.mask && row < share.end; ++row)
      if (is_valid(t, row))
        for (int64_t j = row * shape.hidden + unit; j < row * shape.hidden + end; ++j) d.dh0[j] *= s.mask[j];
  }

  bool is_valid(int64_t t, int64_t row) const { return !s.valid || s.valid[t * shape.batch + row]; }

  void gates_of_row(int64_t i, int64_t t, int64_t row, int64_t unit, int64_t end) const {
    const int64_t at = t * shape.batch + row;
    for (; unit < end; unit += Vec<T>::size) {
      const int lanes = static_cast<int>(smaller(Vec<T>::size, end - unit));
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
};

}  // namespace tinydl::TINYDL_TIER
