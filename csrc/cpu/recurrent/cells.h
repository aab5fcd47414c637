// The equations of the cells on vectors of hidden units, forward and backward.
//
//   forward(a, r, kept, h)            from the gates' input and recurrent parts a and r, and the states before in
//                                     `kept`: h, and what backward needs in `kept`
//   backward(kept, dh, dc, da, dr)    from dh and dc after the step: da and dr; leaves in dh what reaches the state
//                                     before other than through r, in dc the gradient of the c before
#pragma once
#include "contract/recurrent.h"
#include "cpu/simd/math.h"
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

// The time steps in the order of their computation.
struct TimeOrder {
  const SequenceShape& shape;

  int64_t at(int64_t i) const { return shape.reverse ? shape.steps - 1 - i : i; }
  // A sequence's state before the i-th step, out of all steps' and the first ones; null if it is zero.
  template <class T>
  const T* state_before(int64_t i, int64_t row, const T* states, const T* first) const {
    if (i > 0) return states + (at(i - 1) * shape.batch + row) * shape.hidden;
    return first ? first + row * shape.hidden : nullptr;
  }
};

// What a step of one vector of units keeps for backward.
template <class T, int gates>
struct Kept {
  Vec<T> value[gates];
  Vec<T> h, c;       // before the step; h under the mask
  Vec<T> c_after;    // of lstm
  Vec<T> candidate;  // r_n of gru
};

template <class T>
TINYDL_INLINE Vec<T> sigmoid_grad(Vec<T> y) {
  return y * (Vec<T>(T(1)) - y);
}
template <class T>
TINYDL_INLINE Vec<T> tanh_grad(Vec<T> y) {
  return fma(-y, y, Vec<T>(T(1)));
}

// The cells' own sigmoid and tanh: a third fewer operations than those of simd/math.h, and up to 2.9 ulp off instead of
// 1.7. Both take one e^-x = 2^n (1 + t), w = 2^n, without cases. The limits lie where the result is 0 but for a
// denormal, or 1 or -1; they let a NaN through.
//
//   sigmoid x = 1 / (1 + e^-x)
//   tanh x = (1 - e^-2x) / (1 + e^-2x), of which 1 - w - w t loses nothing near zero, where w = 1
TINYDL_INLINE Vec<float> gate_sigmoid(Vec<float> x) {
  const Vec<float> one(1.0f);
  const ExpParts e = exp_parts(-max(Vec<float>(-88.0f), min(Vec<float>(30.0f), x)));
  return one / (one + scale_by_power(one + e.t, e.n));
}
TINYDL_INLINE Vec<float> gate_tanh(Vec<float> x) {
  const Vec<float> one(1.0f), a = max(Vec<float>(-10.0f), min(Vec<float>(10.0f), x));
  const ExpParts e = exp_parts(Vec<float>(-2.0f) * a);
  const Vec<float> w = scale_by_power(one, e.n);
  return fma(-w, e.t, one - w) / fma(w, e.t, one + w);
}
TINYDL_INLINE Vec<double> gate_sigmoid(Vec<double> x) { return sigmoid(x); }
TINYDL_INLINE Vec<double> gate_tanh(Vec<double> x) { return tanh(x); }

template <class T>
struct TanhCell {
  static constexpr int gates = 1;
  static constexpr bool has_c = false, has_candidate = false;
  static TINYDL_INLINE void forward(const Vec<T> (&a)[1], const Vec<T> (&r)[1], Kept<T, 1>& kept, Vec<T>& h) {
    h = kept.value[0] = gate_tanh(a[0] + r[0]);
  }
  static TINYDL_INLINE void backward(const Kept<T, 1>& kept, Vec<T>& dh, Vec<T>&, Vec<T> (&da)[1], Vec<T> (&dr)[1]) {
    da[0] = dr[0] = dh * tanh_grad(kept.value[0]);
    dh = Vec<T>(T(0));
  }
};

template <class T>
struct ReluCell {
  static constexpr int gates = 1;
  static constexpr bool has_c = false, has_candidate = false;
  static TINYDL_INLINE void forward(const Vec<T> (&a)[1], const Vec<T> (&r)[1], Kept<T, 1>& kept, Vec<T>& h) {
    const Vec<T> x = a[0] + r[0];
    h = kept.value[0] = select(x < Vec<T>(T(0)), Vec<T>(T(0)), x);  // NaN stays
  }
  static TINYDL_INLINE void backward(const Kept<T, 1>& kept, Vec<T>& dh, Vec<T>&, Vec<T> (&da)[1], Vec<T> (&dr)[1]) {
    da[0] = dr[0] = select(Vec<T>(T(0)) < kept.value[0], dh, Vec<T>(T(0)));
    dh = Vec<T>(T(0));
  }
};

template <class T>
struct LstmCell {
  static constexpr int gates = 4;
  static constexpr bool has_c = true, has_candidate = false;
  static TINYDL_INLINE void forward(const Vec<T> (&a)[4], const Vec<T> (&r)[4], Kept<T, 4>& kept, Vec<T>& h) {
    const Vec<T> i = gate_sigmoid(a[0] + r[0]), f = gate_sigmoid(a[1] + r[1]);
    const Vec<T> g = gate_tanh(a[2] + r[2]), o = gate_sigmoid(a[3] + r[3]);
    kept.c_after = fma(f, kept.c, i * g);
    h = o * gate_tanh(kept.c_after);
    kept.value[0] = i, kept.value[1] = f, kept.value[2] = g, kept.value[3] = o;
  }
  static TINYDL_INLINE void backward(const Kept<T, 4>& kept, Vec<T>& dh, Vec<T>& dc, Vec<T> (&da)[4], Vec<T> (&dr)[4]) {
    const Vec<T> i = kept.value[0], f = kept.value[1], g = kept.value[2], o = kept.value[3],
                 y = gate_tanh(kept.c_after);
    dc = fma(dh * o, tanh_grad(y), dc);
    da[0] = dr[0] = dc * g * sigmoid_grad(i);
    da[1] = dr[1] = dc * kept.c * sigmoid_grad(f);
    da[2] = dr[2] = dc * i * tanh_grad(g);
    da[3] = dr[3] = dh * y * sigmoid_grad(o);
    dc = dc * f;
    dh = Vec<T>(T(0));
  }
};

template <class T>
struct GruCell {
  static constexpr int gates = 3;
  static constexpr bool has_c = false, has_candidate = true;
  static TINYDL_INLINE void forward(const Vec<T> (&a)[3], const Vec<T> (&r)[3], Kept<T, 3>& kept, Vec<T>& h) {
    const Vec<T> reset = gate_sigmoid(a[0] + r[0]), z = gate_sigmoid(a[1] + r[1]),
                 n = gate_tanh(fma(reset, r[2], a[2]));
    kept.candidate = r[2];
    h = fma(z, kept.h - n, n);
    kept.value[0] = reset, kept.value[1] = z, kept.value[2] = n;
  }
  static TINYDL_INLINE void backward(const Kept<T, 3>& kept, Vec<T>& dh, Vec<T>&, Vec<T> (&da)[3], Vec<T> (&dr)[3]) {
    const Vec<T> reset = kept.value[0], z = kept.value[1], n = kept.value[2];
    da[2] = dh * (Vec<T>(T(1)) - z) * tanh_grad(n);
    da[0] = dr[0] = da[2] * kept.candidate * sigmoid_grad(reset);
    da[1] = dr[1] = dh * (kept.h - n) * sigmoid_grad(z);
    dr[2] = da[2] * reset;
    dh = dh * z;
  }
};

}  // namespace tinydl::TINYDL_TIER
