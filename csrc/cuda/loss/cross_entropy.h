// Cross-entropy of rows of logits. Forward reads the logits once, sizeof(T) bytes an element (soft targets twice);
// backward reads and writes 2 sizeof(T). The maximum and the sum of exponentials stay apart, as on the CPU.
#pragma once
#include "contract/loss.h"
#include "cuda/device/grid.h"
#include "cuda/device/math.h"
#include "cuda/device/split.h"
#include "cuda/loss/rows.h"

namespace tinydl::cuda {

namespace {

template <class T>
__device__ __forceinline__ Wide<T> weight_of(const T* weight, int64_t label) {
  return weight ? widen(weight[label]) : Wide<T>(1);
}

// The gradient's factor of a row or element.
template <class T>
class Factor {
 public:
  __device__ __forceinline__ explicit Factor(const Upstream<T>& u)
      : each_(u.each ? u.grad : nullptr),
        shared_(u.each ? Wide<T>(0) : widen(*u.grad) / static_cast<Wide<T>>(u.divisor.get())) {}
  __device__ __forceinline__ Wide<T> operator()(int64_t i) const { return each_ ? widen(each_[i]) : shared_; }

 private:
  const T* each_;
  Wide<T> shared_;
};

// What the forward kernels write for each row.
template <class W>
struct RowResults {
  W *loss, *m, *s, *mass;  // no mass is 1

  __device__ __forceinline__ void store(int64_t r, W largest, W sum, W whole, W dot) const {
    m[r] = largest;
    s[r] = sum;
    if (mass) mass[r] = whole;
    loss[r] = whole * log_of(sum) - dot;
  }
  __device__ __forceinline__ void store_ignored(int64_t r) const {
    loss[r] = m[r] = 0;
    s[r] = 1;
    if (mass) mass[r] = 0;
  }
};

template <class T, class Shape>
__global__ void cross_entropy_kernel(int64_t rows, int64_t classes, const T* x, LabelTargets<T> t,
                                     RowResults<Wide<T>> out) {
  using W = Wide<T>;
  TINYDL_SHARED(TeamStorage<W>, shared);
  const int lane = threadIdx.x % Shape::team;
  const int64_t r = int64_t(blockIdx.x) * (kThreads / Shape::team) + threadIdx.x / Shape::team;
  const int64_t label = r < rows ? t.label[r] : -1;
  const T* const from = x + (label < 0 ? 0 : r * classes);
  const Row<T, Shape::team, Shape::width, Shape::packs> row(from, label < 0 ? 0 : static_cast<int>(classes), lane);
  W m = -kInfinity<W>, s = 0, spread = 0;
  row.visit([&](int, W v) { m = larger(m, v); });
  m = reduce_team<Shape::team>(m, Largest(), shared);
  const bool smooth = t.rest != 0;
  row.visit([&](int c, W v) {
    s += exp_of(v - m);
    if (smooth) spread += widen(t.weight[c]) * (v - m);
  });
  s = reduce_team<Shape::team>(s, Sum(), shared);
  if (smooth) spread = reduce_team<Shape::team>(spread, Sum(), shared);
  if (lane != 0 || r >= rows) return;
  if (label < 0) return out.store_ignored(r);
  const W hit = t.hit * weight_of(t.weight, label), at_label = widen(from[label]) - m;
  const W rest_mass = smooth ? static_cast<W>(t.rest_mass.get()) : W(0);
  if (t.weight)
    out.store(r, m, s, hit + rest_mass, smooth ? hit * at_label + t.rest * spread : hit * at_label);
  else
    out.store(r, m, s, W(1), at_label);
}

template <class T, class Shape>
__global__ void soft_cross_entropy_kernel(int64_t rows, int64_t classes, const T* x, SoftTargets<T> t,
                                          RowResults<Wide<T>> out) {
  using W = Wide<T>;
  TINYDL_SHARED(TeamStorage<W>, shared);
  const int lane = threadIdx.x % Shape::team;
  const int64_t r = int64_t(blockIdx.x) * (kThreads / Shape::team) + threadIdx.x / Shape::team;
  const int64_t begin = r < rows ? r * classes : 0;
  const Row<T, Shape::team, Shape::width, Shape::packs> row(x + begin, r < rows ? static_cast<int>(classes) : 0, lane);
  W m = -kInfinity<W>, s = 0, mass = 0, dot = 0;
  row.visit([&](int, W v) { m = larger(m, v); });
  m = reduce_team<Shape::team>(m, Largest(), shared);
  row.visit_with(t.p + begin, [&](int c, W v, W p) {
    const W target = t.weight ? widen(t.weight[c]) * (p * t.hit + t.rest) : p;
    s += exp_of(v - m);
    mass += target;
    dot += target * (v - m);
  });
  s = reduce_team<Shape::team>(s, Sum(), shared);
  mass = reduce_team<Shape::team>(mass, Sum(), shared);
  dot = reduce_team<Shape::team>(dot, Sum(), shared);
  if (lane == 0 && r < rows) out.store(r, m, s, mass, dot);
}

template <class T>
bool rows_in_packs(int64_t classes, const T* x, const T* other) {
  return classes % kPack<T> == 0 && is_aligned(x, kPack<T>) && is_aligned(other, kPack<T>);
}

template <class T>
void cross_entropy(int64_t rows, int64_t classes, const T* x, LabelTargets<T> t, Wide<T>* loss, Wide<T>* m, Wide<T>* s,
                   Wide<T>* mass) {
  pick_rows<T>(classes, rows_in_packs(classes, x, x), [&](auto shape) {
    using Shape = decltype(shape);
    launch(cross_entropy_kernel<T, Shape>, blocks_for_rows<Shape::team>(rows), kThreads, rows, classes, x, t,
           RowResults<Wide<T>>{loss, m, s, mass});
  });
}

template <class T>
void soft_cross_entropy(int64_t rows, int64_t classes, const T* x, SoftTargets<T> t, Wide<T>* loss, Wide<T>* m,
                        Wide<T>* s, Wide<T>* mass) {
  pick_rows<T>(classes, rows_in_packs(classes, x, t.p), [&](auto shape) {
    using Shape = decltype(shape);
    launch(soft_cross_entropy_kernel<T, Shape>, blocks_for_rows<Shape::team>(rows), kThreads, rows, classes, x, t,
           RowResults<Wide<T>>{loss, m, s, mass});
  });
}

// -- Gradients, a thread for each pack of dx: dx[r, c] = grad.row(r, scale[r])(c, x[r, c], p[r, c]); null x or p is not
// read

// What the forward kernels left.
template <class W>
struct RowStatistics {
  const W *m, *s, *mass;
};

template <class T>
struct LabelGrad {
  using W = Wide<T>;
  LabelTargets<T> t;
  RowStatistics<W> saved;

  struct AtRow {
    const LabelGrad& of;
    int64_t label;
    W factor, m, part;
    __device__ __forceinline__ W operator()(int64_t c, W x, W) const {
      if (label < 0) return 0;
      W out = exp_of(x - m) * part;
      if (of.t.rest != 0) out -= widen(of.t.weight[c]) * (of.t.rest * factor);
      if (c == label) out -= of.t.hit * weight_of(of.t.weight, label) * factor;
      return out;
    }
  };
  __device__ __forceinline__ AtRow row(int64_t r, W factor) const {
    return {*this, t.label[r], factor, saved.m[r], (saved.mass ? saved.mass[r] : W(1)) * factor / saved.s[r]};
  }
};

template <class T>
struct SoftGrad {
  using W = Wide<T>;
  SoftTargets<T> t;
  RowStatistics<W> saved;

  struct AtRow {
    const SoftGrad& of;
    W factor, m, part;
    __device__ __forceinline__ W operator()(int64_t c, W x, W p) const {
      const W target = of.t.weight ? widen(of.t.weight[c]) * (p * of.t.hit + of.t.rest) : p;
      return (exp_of(x - m) * part - target) * factor;
    }
  };
  __device__ __forceinline__ AtRow row(int64_t r, W factor) const {
    return {*this, factor, saved.m[r], saved.mass[r] / saved.s[r]};
  }
};

template <class T>
struct NllGrad {
  using W = Wide<T>;
  LabelTargets<T> t;

  struct AtRow {
    int64_t label;
    W value;
    __device__ __forceinline__ W operator()(int64_t c, W, W) const { return c == label ? value : W(0); }
  };
  __device__ __forceinline__ AtRow row(int64_t r, W factor) const {
    const int64_t label = t.label[r];
    return {label, label < 0 ? W(0) : -weight_of(t.weight, label) * factor};
  }
};

template <int width, class T>
__device__ __forceinline__ Pack<T, width> load_unless_null(const T* from, int64_t at) {
  return from ? load_pack<width>(from + at) : Pack<T, width>();
}

template <int width, class T, class Grad>
__global__ void row_grad_kernel(int64_t packs, Split columns, Grad grad, Upstream<T> scale, const T* x, const T* p,
                                T* dx) {
  const Factor<T> factor(scale);
  for (int64_t k = thread_in_grid(); k < packs; k += threads_in_grid()) {
    const int64_t r = columns.quotient(k), c = (k - r * columns.size()) * width;
    const auto own = load_unless_null<width>(x, k * width), other = load_unless_null<width>(p, k * width);
    const auto at = grad.row(r, factor(r));
    Pack<T, width> out;
#pragma unroll
    for (int j = 0; j < width; ++j) out.v[j] = static_cast<T>(at(c + j, widen(own.v[j]), widen(other.v[j])));
    store_pack(dx + k * width, out);
  }
}

template <class T, class Grad>
void write_row_grads(int64_t rows, int64_t classes, const Grad& grad, const Upstream<T>& scale, const T* x, const T* p,
                     T* dx) {
  const auto run = [&](auto kernel, int width) {
    const int64_t packs = rows * (classes / width);
    launch(kernel, blocks_for(packs), kThreads, packs, Split(classes / width, packs), grad, scale, x, p, dx);
  };
  if (rows_in_packs(classes, x, p) && is_aligned(dx, kPack<T>))
    run(row_grad_kernel<kPack<T>, T, Grad>, kPack<T>);
  else
    run(row_grad_kernel<1, T, Grad>, 1);
}

template <class T>
void cross_entropy_backward(int64_t rows, int64_t classes, const T* x, LabelTargets<T> t, const Wide<T>* m,
                            const Wide<T>* s, const Wide<T>* mass, Upstream<T> scale, T* dx) {
  const T* const no_targets = nullptr;
  write_row_grads(rows, classes, LabelGrad<T>{t, {m, s, mass}}, scale, x, no_targets, dx);
}

template <class T>
void soft_cross_entropy_backward(int64_t rows, int64_t classes, const T* x, SoftTargets<T> t, const Wide<T>* m,
                                 const Wide<T>* s, const Wide<T>* mass, Upstream<T> scale, T* dx) {
  write_row_grads(rows, classes, SoftGrad<T>{t, {m, s, mass}}, scale, x, t.p, dx);
}

template <class T>
void nll_backward(int64_t rows, int64_t classes, LabelTargets<T> t, Upstream<T> scale, T* dx) {
  const T* const not_read = nullptr;
  write_row_grads(rows, classes, NllGrad<T>{t}, scale, not_read, not_read, dx);
}

template <class T>
__global__ void nll_kernel(int64_t rows, int64_t classes, const T* x, LabelTargets<T> t, Wide<T>* loss) {
  for (int64_t r = thread_in_grid(); r < rows; r += threads_in_grid()) {
    const int64_t label = t.label[r];
    loss[r] = label < 0 ? Wide<T>(0) : -weight_of(t.weight, label) * widen(x[r * classes + label]);
  }
}

template <class T>
void nll(int64_t rows, int64_t classes, const T* x, LabelTargets<T> t, Wide<T>* loss) {
  launch(nll_kernel<T>, blocks_for(rows), kThreads, rows, classes, x, t, loss);
}

}  // namespace

}  // namespace tinydl::cuda
