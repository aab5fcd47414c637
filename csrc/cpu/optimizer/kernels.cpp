#include "contract/optimizer.h"
#include "cpu/optimizer/clip.h"
#include "cpu/optimizer/segments.h"

namespace tinydl::TINYDL_TIER {

namespace {

// The gradient and the parameter with which a step begins.
template <class T>
struct Decay {
  T weight_decay, keep;
  bool maximize;

  explicit Decay(const DecayOptions& options)
      : weight_decay(static_cast<T>(options.weight_decay)),
        keep(static_cast<T>(options.keep)),
        maximize(options.maximize) {}

  TINYDL_INLINE void apply(Vec<T>& p, Vec<T>& g) const {
    if (maximize) g = -g;
    if (weight_decay != 0) g = fma(Vec<T>(weight_decay), p, g);
    if (keep != 1) p = Vec<T>(keep) * p;
  }
};

// The moving average that keeps `share` of what it was. (Not x + (1 - share)(y - x), which cancels for small shares.)
template <class T>
struct Average {
  T share, fresh;

  explicit Average(double share_) : share(static_cast<T>(share_)), fresh(static_cast<T>(1 - share_)) {}

  TINYDL_INLINE Vec<T> of(Vec<T> x, Vec<T> y) const { return fma(Vec<T>(fresh), y, Vec<T>(share) * x); }
  TINYDL_INLINE Vec<T> of_square(Vec<T> x, Vec<T> y) const { return fma(Vec<T>(fresh) * y, y, Vec<T>(share) * x); }
};

// Calls update(p, g, load, store) for every vector, with the decay applied; load(k) and store(k, x) reach state k.
// What update returns is the new p.
template <class T, class Update>
void for_each_step(const Segment<T>* segments, int64_t count, const DecayOptions& options, const Update& update) {
  const Decay<T> decay(options);
  for_each_vector(segments, count, [=](const Segment<T>& s, int64_t i, auto access) {
    Vec<T> p = access.load(s.p + i), g = access.load(s.g + i);
    decay.apply(p, g);
    const auto load = [&](int k) __attribute__((always_inline)) { return access.load(s.state[k] + i); };
    const auto store = [&](int k, Vec<T> x) __attribute__((always_inline)) { access.store(s.state[k] + i, x); };
    access.store(s.p + i, update(p, g, load, store));
  });
}

template <class T>
void sgd(const Segment<T>* segments, int64_t count, const SgdOptions& options) {
  using V = Vec<T>;
  const T lr = static_cast<T>(options.lr), scale = static_cast<T>(options.scale);
  const T momentum = static_cast<T>(options.momentum), fresh = static_cast<T>(1 - options.dampening);
  const bool remember = options.momentum != 0, first = options.first, nesterov = options.nesterov;
  for_each_step(segments, count, options.decay, [=](V p, V g, const auto& load, const auto& store) {
    if (scale != 1) g = V(scale) * g;
    if (remember) {
      const V b = first ? g : fma(V(momentum), load(0), V(fresh) * g);
      store(0, b);
      g = nesterov ? fma(V(momentum), b, g) : b;
    }
    return fma(V(-lr), g, p);
  });
}

template <class T>
void adam(const Segment<T>* segments, int64_t count, const AdamOptions& options) {
  using V = Vec<T>;
  const Average<T> first(options.beta1), second(options.beta2);
  const T avg_rate = static_cast<T>(options.avg_rate), grad_rate = static_cast<T>(options.grad_rate);
  const T root_scale = static_cast<T>(options.root_scale), eps = static_cast<T>(options.eps);
  const bool amsgrad = options.amsgrad;
  for_each_step(segments, count, options.decay, [=](V p, V g, const auto& load, const auto& store) {
    const V m = first.of(load(0), g);
    V v = second.of_square(load(1), g);
    store(0, m);
    store(1, v);
    if (amsgrad) {
      v = max(load(2), v);
      store(2, v);
    }
    const V root = root_scale == 0 ? V(eps) : fma(sqrt(v), V(root_scale), V(eps));
    if (grad_rate != 0) p = fma(V(-grad_rate), g / root, p);
    return fma(V(-avg_rate), m / root, p);
  });
}

template <class T>
void adamax(const Segment<T>* segments, int64_t count, const AdamaxOptions& options) {
  using V = Vec<T>;
  const Average<T> first(options.beta1);
  const T lr = static_cast<T>(options.lr), beta2 = static_cast<T>(options.beta2);
  const T inner = static_cast<T>(options.inner_eps), eps = static_cast<T>(options.eps);
  for_each_step(segments, count, options.decay, [=](V p, V g, const auto& load, const auto& store) {
    const V m = first.of(load(0), g), u = max(V(beta2) * load(1), max(g, -g) + V(inner));
    store(0, m);
    store(1, u);
    return fma(V(-lr), m / (u + V(eps)), p);
  });
}

template <class T>
void adagrad(const Segment<T>* segments, int64_t count, const AdagradOptions& options) {
  using V = Vec<T>;
  const T lr = static_cast<T>(options.lr);
  const T inner = static_cast<T>(options.inner_eps), eps = static_cast<T>(options.eps);
  for_each_step(segments, count, options.decay, [=](V p, V g, const auto& load, const auto& store) {
    const V s = fma(g, g, load(0));
    store(0, s);
    return fma(V(-lr), g / (sqrt(s + V(inner)) + V(eps)), p);
  });
}

template <class T>
void rmsprop(const Segment<T>* segments, int64_t count, const RmspropOptions& options) {
  using V = Vec<T>;
  const Average<T> average(options.alpha);
  const T lr = static_cast<T>(options.lr), scale = static_cast<T>(options.scale);
  const T inner = static_cast<T>(options.inner_eps), eps = static_cast<T>(options.eps);
  const T momentum = static_cast<T>(options.momentum);
  const bool centered = options.centered, remember = options.momentum != 0;
  for_each_step(segments, count, options.decay, [=](V p, V g, const auto& load, const auto& store) {
    V v = average.of_square(load(0), g);
    store(0, v);
    if (centered) {
      const V a = average.of(load(1), g);
      store(1, a);
      v = max(V(T(0)), fma(-a, a, v));  // a variance, which rounding can push below 0
    }
    V d = V(scale) * g / (sqrt(v + V(inner)) + V(eps));
    if (remember) {
      const int k = centered ? 2 : 1;
      d = fma(V(momentum), load(k), d);
      store(k, d);
    }
    return fma(V(-lr), d, p);
  });
}

template <class T>
void adadelta(const Segment<T>* segments, int64_t count, const AdadeltaOptions& options) {
  using V = Vec<T>;
  const Average<T> average(options.rho);
  const T lr = static_cast<T>(options.lr), eps = static_cast<T>(options.eps);
  for_each_step(segments, count, options.decay, [=](V p, V g, const auto& load, const auto& store) {
    const V v = average.of_square(load(0), g), u = load(1);
    const V d = sqrt(u + V(eps)) / sqrt(v + V(eps)) * g;
    store(0, v);
    store(1, average.of_square(u, d));
    return fma(V(-lr), d, p);
  });
}

template <class T>
void asgd(const Segment<T>* segments, int64_t count, const AsgdOptions& options) {
  using V = Vec<T>;
  const T lr = static_cast<T>(options.lr), share = static_cast<T>(options.share);
  for_each_step(segments, count, options.decay, [=](V p, V g, const auto& load, const auto& store) {
    const V next = fma(V(-lr), g, p);
    store(0, share == 1 ? next : fma(V(share), next - load(0), load(0)));
    return next;
  });
}

template <class T>
void rprop(const Segment<T>* segments, int64_t count, const RpropOptions& options) {
  using V = Vec<T>;
  const T shrink = static_cast<T>(options.shrink), grow = static_cast<T>(options.grow);
  const T smallest = static_cast<T>(options.smallest), largest = static_cast<T>(options.largest);
  for_each_step(segments, count, options.decay, [=](V p, V g, const auto& load, const auto& store) {
    const V zero(T(0)), one(T(1)), product = g * load(0);
    // the last choice is for NaN, which must stay visible
    const V still = select(product == zero, one, product);
    const V factor = select(product > zero, V(grow), select(product < zero, V(shrink), still));
    const V step = max(V(smallest), min(V(largest), load(1) * factor));
    g = select(product < zero, zero, g);
    store(0, g);
    store(1, step);
    const V sign = select(g > zero, one, select(g < zero, -one, g));
    return p - sign * step;
  });
}

template <class T>
constexpr OptimizerKernels<T> kernels = {sgd<T>,  adam<T>,  adamax<T>, adagrad<T>, rmsprop<T>, adadelta<T>,
                                         asgd<T>, rprop<T>, norm<T>,   scale<T>,   clamp<T>};

}  // namespace

extern const ByType<OptimizerKernels> optimizer_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
