// Recurrent cells over whole sequences: what is left to do once the input's products of all time steps are there.
#pragma once
#include <cstdint>

#include "contract/tables.h"

namespace tinydl {

// The gates of a cell lie side by side, as blocks of `hidden` columns. With the input's part a (x W^T + b, given), and
// the recurrent part r = h' U^T + b_h, where h' = mask h[t - 1]:
//
//   rnn_tanh   h = tanh(a + r)
//   rnn_relu   h = max(a + r, 0)
//   lstm       i, f, o = sigmoid(a + r), g = tanh(a + r), in the order i f g o
//              c = f c[t - 1] + i g
//              h = o tanh(c)
//   gru        s, z = sigmoid(a + r), n = tanh(a_n + s r_n), in the order s z n
//              h = (1 - z) n + z h'
enum class Cell { rnn_tanh, rnn_relu, lstm, gru };

constexpr int gates_of(Cell cell) { return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1; }

struct SequenceShape {
  int64_t steps, batch, hidden;
  bool reverse;  // from the last time step to the first
};

// Dense row-major arrays; T steps, B sequences, H hidden units, G gates.
template <class T>
struct Sequence {
  const T *weight, *bias;  // U (G H, H), b_h (G H,) or null
  const T *h0, *c0;        // (B, H), null for zeros; c of lstm only
  const T* mask;           // (B, H) or null
  const bool* valid;       // (T, B) or null: where it is 0 the state stays as it was
  T* gates;                // (T, B, G H): for forward a, which the gates' values replace
  T *h, *c;                // (T, B, H): the states
  T* candidate;            // (T, B, H): r_n, of gru only
};

// Gradients of a scalar L: given dh (T, B, H), dh_last and dc_last (B, H), any of them null; wanted the others.
template <class T>
struct SequenceGrad {
  const T *dh, *dh_last, *dc_last;
  T *dgates, *drecurrent;  // (T, B, G H): dL/da and dL/dr, one array unless the cell is gru
  T *dh0, *dc0;            // (B, H); dc0 of lstm only
};

template <class T>
struct RecurrentKernels {
  void (*forward)(Cell cell, const SequenceShape& shape, const Sequence<T>& sequence);
  void (*backward)(Cell cell, const SequenceShape& shape, const Sequence<T>& sequence, const SequenceGrad<T>& grad);
};

TINYDL_PRODUCT_KERNELS(RecurrentKernels, recurrent)

}  // namespace tinydl
