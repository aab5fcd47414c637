// The equations of the cells for one hidden unit of one sequence, forward and backward.
#pragma once
#include "contract/recurrent.h"
#include "cuda/device/math.h"

namespace tinydl::cuda {

template <Cell cell>
constexpr int kGates = gates_of(cell);

template <class W>
__device__ __forceinline__ W sigmoid_grad(W y) {
  return y * (W(1) - y);
}
template <class W>
__device__ __forceinline__ W tanh_grad(W y) {
  return fma_of(-y, y, W(1));
}

// Of one step: the gates' values, the states before (h under the mask), and r_n of gru.
template <class W, int gates>
struct Kept {
  W value[gates];
  W h, c, c_after, candidate;
};

// From the gates' input and recurrent parts a and r, and the states before in `kept`: h, and what backward needs in
// `kept`.
template <Cell cell, class W, int gates>
__device__ __forceinline__ W cell_forward(const W (&a)[gates], const W (&r)[gates], Kept<W, gates>& kept) {
  if constexpr (cell == Cell::rnn_tanh) {
    return kept.value[0] = tanh_of(a[0] + r[0]);
  } else if constexpr (cell == Cell::rnn_relu) {
    const W x = a[0] + r[0];
    return kept.value[0] = x < 0 ? W(0) : x;  // NaN stays
  } else if constexpr (cell == Cell::lstm) {
    const W i = sigmoid_of(a[0] + r[0]), f = sigmoid_of(a[1] + r[1]), g = tanh_of(a[2] + r[2]),
            o = sigmoid_of(a[3] + r[3]);
    kept.value[0] = i, kept.value[1] = f, kept.value[2] = g, kept.value[3] = o;
    kept.c_after = fma_of(f, kept.c, i * g);
    return o * tanh_of(kept.c_after);
  } else {
    const W s = sigmoid_of(a[0] + r[0]), z = sigmoid_of(a[1] + r[1]), n = tanh_of(fma_of(s, r[2], a[2]));
    kept.value[0] = s, kept.value[1] = z, kept.value[2] = n;
    kept.candidate = r[2];
    return fma_of(z, kept.h - n, n);
  }
}

// From dh and dc after the step: da and dr; leaves in dh what reaches the state before other than through r, in dc the
// gradient of the c before.
template <Cell cell, class W, int gates>
__device__ __forceinline__ void cell_backward(const Kept<W, gates>& kept, W& dh, W& dc, W (&da)[gates],
                                              W (&dr)[gates]) {
  if constexpr (cell == Cell::rnn_tanh) {
    da[0] = dr[0] = dh * tanh_grad(kept.value[0]);
    dh = 0;
  } else if constexpr (cell == Cell::rnn_relu) {
    da[0] = dr[0] = kept.value[0] > 0 ? dh : W(0);
    dh = 0;
  } else if constexpr (cell == Cell::lstm) {
    const W i = kept.value[0], f = kept.value[1], g = kept.value[2], o = kept.value[3], y = tanh_of(kept.c_after);
    dc = fma_of(dh * o, tanh_grad(y), dc);
    da[0] = dr[0] = dc * g * sigmoid_grad(i);
    da[1] = dr[1] = dc * kept.c * sigmoid_grad(f);
    da[2] = dr[2] = dc * i * tanh_grad(g);
    da[3] = dr[3] = dh * y * sigmoid_grad(o);
    dc *= f;
    dh = 0;
  } else {
    const W s = kept.value[0], z = kept.value[1], n = kept.value[2];
    da[2] = dh * (W(1) - z) * tanh_grad(n);
    da[0] = dr[0] = da[2] * kept.candidate * sigmoid_grad(s);
    da[1] = dr[1] = dh * (kept.h - n) * sigmoid_grad(z);
    dr[2] = da[2] * s;
    dh *= z;
  }
}

}  // namespace tinydl::cuda
