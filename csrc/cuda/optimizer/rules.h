// The steps as functors on wide values: rule(p, g, state) returns the new p and changes the states, in the order of the
// contract's comments. uses(k) says whether there is a state k, reads(k) whether its old value is needed.
#pragma once
#include "contract/optimizer.h"
#include "cuda/device/math.h"

namespace tinydl::cuda {

template <class W>
struct Decay {
  W weight_decay, keep;
  bool maximize;

  explicit Decay(const DecayOptions& o)
      : weight_decay(static_cast<W>(o.weight_decay)), keep(static_cast<W>(o.keep)), maximize(o.maximize) {}

  __device__ __forceinline__ void apply(W& p, W& g) const {
    if (maximize) g = -g;
    if (weight_decay != 0) g = fma_of(weight_decay, p, g);
    if (keep != 1) p *= keep;
  }
};

// The moving average that keeps `share` of what it was.
template <class W>
struct Average {
  W share, fresh;

  explicit Average(double s) : share(static_cast<W>(s)), fresh(static_cast<W>(1 - s)) {}

  __device__ __forceinline__ W of(W x, W y) const { return fma_of(fresh, y, share * x); }
  __device__ __forceinline__ W of_square(W x, W y) const { return fma_of(fresh * y, y, share * x); }
};

// A rule with a gradient and `states` states, all of them used.
template <class W, int states>
struct Rule {
  static constexpr bool kTakesGradient = true;
  Decay<W> decay;

  explicit Rule(const DecayOptions& o) : decay(o) {}
  __device__ __forceinline__ bool uses(int k) const { return k < states; }
  __device__ __forceinline__ bool reads(int k) const { return k < states; }
};

template <class W>
struct Sgd : Rule<W, 1> {
  W lr, scale, momentum, fresh;
  bool nesterov, first;

  explicit Sgd(const SgdOptions& o)
      : Rule<W, 1>(o.decay),
        lr(static_cast<W>(o.lr)),
        scale(static_cast<W>(o.scale)),
        momentum(static_cast<W>(o.momentum)),
        fresh(static_cast<W>(1 - o.dampening)),
        nesterov(o.nesterov),
        first(o.first) {}

  __device__ __forceinline__ bool uses(int k) const { return k == 0 && momentum != 0; }
  __device__ __forceinline__ bool reads(int k) const { return uses(k) && !first; }
  __device__ __forceinline__ W operator()(W p, W g, W (&state)[kMaxStates]) const {
    this->decay.apply(p, g);
    if (scale != 1) g *= scale;
    if (momentum != 0) {
      state[0] = first ? g : fma_of(momentum, state[0], fresh * g);
      g = nesterov ? fma_of(momentum, state[0], g) : state[0];
    }
    return fma_of(-lr, g, p);
  }
};

template <class W>
struct Adam : Rule<W, 3> {
  Average<W> first, second;
  W avg_rate, grad_rate, root_scale, eps;
  bool amsgrad;

  explicit Adam(const AdamOptions& o)
      : Rule<W, 3>(o.decay),
        first(o.beta1),
        second(o.beta2),
        avg_rate(static_cast<W>(o.avg_rate)),
        grad_rate(static_cast<W>(o.grad_rate)),
        root_scale(static_cast<W>(o.root_scale)),
        eps(static_cast<W>(o.eps)),
        amsgrad(o.amsgrad) {}

  __device__ __forceinline__ bool uses(int k) const { return k < 2 || amsgrad; }
  __device__ __forceinline__ bool reads(int k) const { return uses(k); }
  __device__ __forceinline__ W operator()(W p, W g, W (&state)[kMaxStates]) const {
    this->decay.apply(p, g);
    state[0] = first.of(state[0], g);
    state[1] = second.of_square(state[1], g);
    if (amsgrad) state[2] = larger(state[2], state[1]);
    const W v = amsgrad ? state[2] : state[1];
    const W root = root_scale == 0 ? eps : fma_of(sqrt_of(v), root_scale, eps);
    if (grad_rate != 0) p = fma_of(-grad_rate, g / root, p);
    return fma_of(-avg_rate, state[0] / root, p);
  }
};

template <class W>
struct Adamax : Rule<W, 2> {
  Average<W> first;
  W lr, beta2, inner, eps;

  explicit Adamax(const AdamaxOptions& o)
      : Rule<W, 2>(o.decay),
        first(o.beta1),
        lr(static_cast<W>(o.lr)),
        beta2(static_cast<W>(o.beta2)),
        inner(static_cast<W>(o.inner_eps)),
        eps(static_cast<W>(o.eps)) {}

  __device__ __forceinline__ W operator()(W p, W g, W (&state)[kMaxStates]) const {
    this->decay.apply(p, g);
    state[0] = first.of(state[0], g);
    state[1] = larger(beta2 * state[1], abs_of(g) + inner);
    return fma_of(-lr, state[0] / (state[1] + eps), p);
  }
};

template <class W>
struct Adagrad : Rule<W, 1> {
  W lr, inner, eps;

  explicit Adagrad(const AdagradOptions& o)
      : Rule<W, 1>(o.decay), lr(static_cast<W>(o.lr)), inner(static_cast<W>(o.inner_eps)), eps(static_cast<W>(o.eps)) {}

  __device__ __forceinline__ W operator()(W p, W g, W (&state)[kMaxStates]) const {
    this->decay.apply(p, g);
    state[0] = fma_of(g, g, state[0]);
    return fma_of(-lr, g / (sqrt_of(state[0] + inner) + eps), p);
  }
};

template <class W>
struct Rmsprop : Rule<W, 3> {
  Average<W> average;
  W lr, scale, inner, eps, momentum;
  bool centered;

  explicit Rmsprop(const RmspropOptions& o)
      : Rule<W, 3>(o.decay),
        average(o.alpha),
        lr(static_cast<W>(o.lr)),
        scale(static_cast<W>(o.scale)),
        inner(static_cast<W>(o.inner_eps)),
        eps(static_cast<W>(o.eps)),
        momentum(static_cast<W>(o.momentum)),
        centered(o.centered) {}

  __device__ __forceinline__ bool uses(int k) const { return k < 1 + int(centered) + int(momentum != 0); }
  __device__ __forceinline__ bool reads(int k) const { return uses(k); }
  __device__ __forceinline__ W operator()(W p, W g, W (&state)[kMaxStates]) const {
    this->decay.apply(p, g);
    state[0] = average.of_square(state[0], g);
    W v = state[0];
    if (centered) {
      state[1] = average.of(state[1], g);
      v = larger(W(0), fma_of(-state[1], state[1], v));  // a variance, which rounding can push below 0
    }
    W d = scale * g / (sqrt_of(v + inner) + eps);
    if (momentum != 0) {
      d = fma_of(momentum, centered ? state[2] : state[1], d);
      if (centered)
        state[2] = d;
      else
        state[1] = d;
    }
    return fma_of(-lr, d, p);
  }
};

template <class W>
struct Adadelta : Rule<W, 2> {
  Average<W> average;
  W lr, eps;

  explicit Adadelta(const AdadeltaOptions& o)
      : Rule<W, 2>(o.decay), average(o.rho), lr(static_cast<W>(o.lr)), eps(static_cast<W>(o.eps)) {}

  __device__ __forceinline__ W operator()(W p, W g, W (&state)[kMaxStates]) const {
    this->decay.apply(p, g);
    state[0] = average.of_square(state[0], g);
    const W d = sqrt_of(state[1] + eps) / sqrt_of(state[0] + eps) * g;
    state[1] = average.of_square(state[1], d);
    return fma_of(-lr, d, p);
  }
};

template <class W>
struct Asgd : Rule<W, 1> {
  W lr, share;

  explicit Asgd(const AsgdOptions& o) : Rule<W, 1>(o.decay), lr(static_cast<W>(o.lr)), share(static_cast<W>(o.share)) {}

  __device__ __forceinline__ W operator()(W p, W g, W (&state)[kMaxStates]) const {
    this->decay.apply(p, g);
    const W next = fma_of(-lr, g, p);
    state[0] = share == 1 ? next : fma_of(share, next - state[0], state[0]);
    return next;
  }
};

template <class W>
struct Rprop : Rule<W, 2> {
  W shrink, grow, smallest, largest;

  explicit Rprop(const RpropOptions& o)
      : Rule<W, 2>(o.decay),
        shrink(static_cast<W>(o.shrink)),
        grow(static_cast<W>(o.grow)),
        smallest(static_cast<W>(o.smallest)),
        largest(static_cast<W>(o.largest)) {}

  __device__ __forceinline__ W operator()(W p, W g, W (&state)[kMaxStates]) const {
    this->decay.apply(p, g);
    const W product = g * state[0];
    const W still = product == 0 ? W(1) : product;  // NaN stays visible
    const W factor = product > 0 ? grow : product < 0 ? shrink : still;
    state[1] = larger(smallest, smaller(largest, state[1] * factor));
    if (product < 0) g = 0;
    state[0] = g;
    const W sign = g > 0 ? W(1) : g < 0 ? W(-1) : g;
    return p - sign * state[1];
  }
};

// p alone
struct Alone {
  static constexpr bool kTakesGradient = false;
  __device__ __forceinline__ bool uses(int) const { return false; }
  __device__ __forceinline__ bool reads(int) const { return false; }
};
template <class W>
struct ScaleBy : Alone {
  W factor;
  explicit ScaleBy(double f) : factor(static_cast<W>(f)) {}
  __device__ __forceinline__ W operator()(W p, W, W (&)[kMaxStates]) const { return factor * p; }
};
template <class W>
struct ClampTo : Alone {
  W most;
  explicit ClampTo(double limit) : most(static_cast<W>(limit)) {}
  __device__ __forceinline__ W operator()(W p, W, W (&)[kMaxStates]) const { return smaller(most, larger(-most, p)); }
};

}  // namespace tinydl::cuda
