#include "cpu/optimizer/optimizer.h"

#include "cpu/runtime/parallel.h"
#include "cpu/simd/integers.h"
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

namespace {

constexpr int64_t kBlock = 8192;
static_assert(kBlock % kSegmentAlignment == 0);

// The last segment that begins at or before `element`.
template <class T>
int64_t segment_at(const Segment<T>* segments, int64_t count, int64_t element) {
  int64_t low = 0, high = count;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (segments[middle].begin <= element ? low : high) = middle;
  }
  return low;
}

// How a vector moves between memory and registers: whole, or its first n elements.
template <class T>
struct Whole {
  TINYDL_INLINE Vec<T> load(const T* p) const { return Vec<T>::load(p); }
  TINYDL_INLINE void store(T* p, Vec<T> v) const { v.store(p); }
};
template <class T>
struct First {
  int n;
  TINYDL_INLINE Vec<T> load(const T* p) const { return Vec<T>::load(p, n); }
  TINYDL_INLINE void store(T* p, Vec<T> v) const { v.store(p, n); }
};

// Calls update(segment, i, access) for every vector of every segment.
template <class T, class Update>
void for_each_vector(const Segment<T>* segments, int64_t count, const Update& update) {
  if (count == 0) return;
  constexpr int size = Vec<T>::size;
  const int64_t total = segments[count - 1].begin + segments[count - 1].count;
  parallel_for((total + kBlock - 1) / kBlock, total, [&](int64_t begin, int64_t end, int) {
    const FlushDenormals flush;
    const int64_t from = begin * kBlock, to = smaller(end * kBlock, total);
    for (int64_t s = segment_at(segments, count, from); s < count && segments[s].begin < to; ++s) {
      const Segment<T> segment = segments[s];
      const int64_t last = smaller(to - segment.begin, segment.count);
      int64_t i = larger(from - segment.begin, 0);
      for (; i + size <= last; i += size) update(segment, i, Whole<T>{});
      if (i < last) update(segment, i, First<T>{static_cast<int>(last - i)});
    }
  });
}

template <class T>
void sgd(const Segment<T>* segments, int64_t count, const SgdOptions& options) {
  using V = Vec<T>;
  const T lr = static_cast<T>(options.lr), decay = static_cast<T>(options.weight_decay);
  const T momentum = static_cast<T>(options.momentum), fresh = static_cast<T>(1 - options.dampening);
  const bool remember = options.momentum != 0, first = options.first;
  const bool maximize = options.maximize, nesterov = options.nesterov;
  for_each_vector(segments, count, [=](const Segment<T>& s, int64_t i, auto access) {
    const V p = access.load(s.p + i);
    V g = access.load(s.g + i);
    if (maximize) g = -g;
    if (decay != 0) g = fma(V(decay), p, g);
    if (remember) {
      T* state = s.state[0] + i;
      const V b = first ? g : fma(V(momentum), access.load(state), V(fresh) * g);
      access.store(state, b);
      g = nesterov ? fma(V(momentum), b, g) : b;
    }
    access.store(s.p + i, fma(V(-lr), g, p));
  });
}

// base^exponent, exactly the same on every tier.
double power(double base, int64_t exponent) {
  double out = 1;
  for (; exponent > 0; exponent /= 2, base *= base)
    if (exponent % 2) out *= base;
  return out;
}

template <class T>
void adam(const Segment<T>* segments, int64_t count, const AdamOptions& options) {
  using V = Vec<T>;
  const T beta1 = static_cast<T>(options.beta1), beta2 = static_cast<T>(options.beta2);
  const T fresh1 = static_cast<T>(1 - options.beta1), fresh2 = static_cast<T>(1 - options.beta2);
  const T eps = static_cast<T>(options.eps), decay = static_cast<T>(options.weight_decay);
  const T rate = static_cast<T>(options.lr / (1 - power(options.beta1, options.step)));
  const T unbias = static_cast<T>(1 / __builtin_sqrt(1 - power(options.beta2, options.step)));
  const bool maximize = options.maximize, amsgrad = options.amsgrad;
  for_each_vector(segments, count, [=](const Segment<T>& s, int64_t i, auto access) {
    const V p = access.load(s.p + i);
    V g = access.load(s.g + i);
    if (maximize) g = -g;
    if (decay != 0) g = fma(V(decay), p, g);
    V m = access.load(s.state[0] + i), v = access.load(s.state[1] + i);
    m = fma(V(fresh1), g, V(beta1) * m);  // not m + fresh1 (g - m), which cancels for small beta1
    v = fma(V(fresh2) * g, g, V(beta2) * v);
    access.store(s.state[0] + i, m);
    access.store(s.state[1] + i, v);
    if (amsgrad) {
      v = max(access.load(s.state[2] + i), v);
      access.store(s.state[2] + i, v);
    }
    access.store(s.p + i, fma(V(-rate), m / fma(sqrt(v), V(unbias), V(eps)), p));
  });
}

template <class T>
constexpr OptimizerKernels<T> kernels = {sgd<T>, adam<T>};

}  // namespace

extern const ByType<OptimizerKernels> optimizer_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
