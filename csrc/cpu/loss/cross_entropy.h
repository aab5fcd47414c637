// Cross-entropy of rows of logits.
//
// A row's maximum and sum of exponentials are kept apart instead of being added to a log-sum-exp: adding them
// would round the gradient of large logits (at 1000, the softmax would be off by 3e-5 in float32).
#pragma once
#include "contract/loss.h"
#include "cpu/reduce/sum.h"
#include "cpu/softmax/rows.h"

namespace tinydl::TINYDL_TIER {

namespace {

// loss[r] = mass[r] log s[r] - loss[r]; one log for each vector of rows. No mass means 1.
template <class T>
void finish_rows(int64_t first, int64_t last, const T* s, const T* mass, T* loss) {
  using V = Vec<T>;
  for (int64_t r = first; r < last; r += V::size) {
    const int lanes = static_cast<int>(smaller(V::size, last - r));
    const V log_sum = log(load_or(s + r, lanes, T(1)));
    const V whole = mass ? V::load(mass + r, lanes) * log_sum : log_sum;
    (whole - V::load(loss + r, lanes)).store(loss + r, lanes);
  }
}

// Writes the row's maximum m and the sum s of e^(x - m).
template <class T>
void exp_sum_row(int64_t classes, const T* x, T* m, T* s) {
  const T top = max_run(x, classes);
  const Vec<T> shift(top);
  *m = top;
  *s = static_cast<T>(sum_terms<T>(classes, [=](int64_t c, int lanes) {
    __builtin_prefetch(x + classes + c);  // the next row: its maximum takes less time than its way from memory
    return exp_at(x, c, lanes, shift);
  }));
}

// sum_c t[c] (x[c] - m), t(c, lanes) being 0 in the lanes after the row's end.
template <class T, class Target>
T weighted_sum(int64_t classes, const T* x, T m, const Target& t) {
  const Vec<T> shift(m);
  return static_cast<T>(
      sum_terms<T>(classes, [=](int64_t c, int lanes) { return t(c, lanes) * (load_or(x + c, lanes, m) - shift); }));
}

template <class T>
TINYDL_INLINE T weight_of(const LabelTargets<T>& t, int64_t label) {
  return t.weight ? t.weight[label] : T(1);
}

template <class T>
void rest_mass(int64_t classes, const T* weight, T rest, double* sum) {
  double mass = 0;
  for (int64_t c = 0; c < classes; ++c) mass += static_cast<double>(weight[c]);
  *sum = static_cast<double>(static_cast<T>(mass * static_cast<double>(rest)));
}

template <class T>
void label_mass(int64_t rows, const int64_t* label, const T* weight, double* sum) {
  double mass = 0;
  for (int64_t r = 0; r < rows; ++r)
    if (label[r] >= 0) mass += weight ? static_cast<double>(weight[label[r]]) : 1.0;
  *sum = static_cast<double>(static_cast<T>(mass));
}

template <class T>
void ones(int64_t n, T* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = T(1);
}

template <class T>
void loss_total(int64_t rows, const T* loss, Scalar divisor, T* y) {
  sum(1, rows, 1, loss, static_cast<T>(divisor.get()), y);
}

template <class T>
void loss_each(int64_t rows, const T* loss, T* y) {
  for (int64_t r = 0; r < rows; ++r) y[r] = loss[r];
}

// The factors of rows or elements. (The quotient in double, rounded, is that of T.)
template <class T>
Series<T> factors_of(const Upstream<T>& u) {
  if (u.each) return {u.grad, T(0)};
  return {nullptr, static_cast<T>(static_cast<double>(*u.grad) / u.divisor.get())};
}
template <class T>
TINYDL_INLINE T value_at(const Series<T>& s, int64_t i) {
  return s.p ? s.p[i] : s.value;
}

template <class T>
void cross_entropy(int64_t rows, int64_t classes, const T* x, LabelTargets<T> t, T* loss, T* m, T* s, T* mass) {
  const T rest_mass = t.rest == T(0) ? T(0) : static_cast<T>(t.rest_mass.get());
  for_each_row_block(rows, classes, [=](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t label = t.label[r];
      loss[r] = m[r] = T(0);
      s[r] = T(1);  // so that finish_rows leaves 0 where the row is ignored
      if (mass) mass[r] = T(0);
      if (label < 0) continue;
      const T* from = x + r * classes;
      exp_sum_row(classes, from, m + r, s + r);
      loss[r] = from[label] - m[r];
      if (!t.weight) continue;
      const T hit = t.hit * t.weight[label];
      mass[r] = hit + rest_mass;
      loss[r] *= hit;
      if (t.rest != T(0))
        loss[r] += t.rest * weighted_sum(classes, from, m[r],
                                         [=](int64_t c, int lanes) { return load_first(t.weight + c, lanes); });
    }
    finish_rows<T>(first, last, s, mass, loss);
  });
}

template <class T>
void cross_entropy_backward(int64_t rows, int64_t classes, const T* x, LabelTargets<T> t, const T* m, const T* s,
                            const T* mass, Upstream<T> scale, T* dx) {
  using V = Vec<T>;
  const Series<T> factors = factors_of(scale);
  for_each_row_block(rows, classes, [=](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      T* to = dx + r * classes;
      if (t.label[r] < 0) {
        map_run(classes, to, [] { return V(T(0)); });
        continue;
      }
      const T* from = x + r * classes;
      const T factor = value_at(factors, r);
      const V shift(m[r]), part((mass ? mass[r] : T(1)) * factor / s[r]), rest(t.rest * factor);
      if (t.rest == T(0))
        map_run(classes, to, [=](V logit) { return exp_or_zero(logit - shift) * part; }, from);
      else
        map_run(
            classes, to, [=](V logit, V weight) { return exp_or_zero(logit - shift) * part - weight * rest; }, from,
            t.weight);
      to[t.label[r]] -= t.hit * weight_of(t, t.label[r]) * factor;
    }
  });
}

// The target's values at a vector of classes.
template <class T>
TINYDL_INLINE Vec<T> soft_target(const SoftTargets<T>& t, Vec<T> p, Vec<T> weight) {
  return weight * (p * Vec<T>(t.hit) + Vec<T>(t.rest));
}

template <class T>
void soft_cross_entropy(int64_t rows, int64_t classes, const T* x, SoftTargets<T> t, T* loss, T* m, T* s, T* mass) {
  for_each_row_block(rows, classes, [=](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const T* from = x + r * classes;
      const T* p = t.p + r * classes;
      const auto target = [=](int64_t c, int lanes) {
        const Vec<T> plain = load_first(p + c, lanes);
        return t.weight ? soft_target(t, plain, load_first(t.weight + c, lanes)) : plain;
      };
      exp_sum_row(classes, from, m + r, s + r);
      mass[r] = static_cast<T>(sum_terms<T>(classes, target));
      loss[r] = weighted_sum(classes, from, m[r], target);
    }
    finish_rows<T>(first, last, s, mass, loss);
  });
}

template <class T>
void soft_cross_entropy_backward(int64_t rows, int64_t classes, const T* x, SoftTargets<T> t, const T* m, const T* s,
                                 const T* mass, Upstream<T> scale, T* dx) {
  using V = Vec<T>;
  const Series<T> factors = factors_of(scale);
  for_each_row_block(rows, classes, [=](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const T *from = x + r * classes, *p = t.p + r * classes;
      T* to = dx + r * classes;
      const V shift(m[r]), part(mass[r] / s[r]), factor(value_at(factors, r));
      const auto grad = [=](V logit, V target) { return (exp_or_zero(logit - shift) * part - target) * factor; };
      if (t.weight)
        map_run(
            classes, to, [=](V logit, V plain, V weight) { return grad(logit, soft_target(t, plain, weight)); }, from,
            p, t.weight);
      else
        map_run(classes, to, grad, from, p);
    }
  });
}

template <class T>
void nll(int64_t rows, int64_t classes, const T* x, LabelTargets<T> t, T* loss) {
  constexpr int64_t block = 1024;
  parallel_for((rows + block - 1) / block, rows, [=](int64_t begin, int64_t end, int) {
    for (int64_t r = begin * block; r < smaller(end * block, rows); ++r) {
      const int64_t label = t.label[r];
      loss[r] = label < 0 ? T(0) : -weight_of(t, label) * x[r * classes + label];
    }
  });
}

template <class T>
void nll_backward(int64_t rows, int64_t classes, LabelTargets<T> t, Upstream<T> scale, T* dx) {
  const Series<T> factors = factors_of(scale);
  for_each_row_block(rows, classes, [=](int64_t first, int64_t last) {
    map_run((last - first) * classes, dx + first * classes, [] { return Vec<T>(T(0)); });
    for (int64_t r = first; r < last; ++r)
      if (t.label[r] >= 0) dx[r * classes + t.label[r]] = -weight_of(t, t.label[r]) * value_at(factors, r);
  });
}

}  // namespace

}  // namespace tinydl::TINYDL_TIER
