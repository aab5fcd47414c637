// Losses and their gradients, on dense row-major arrays.
#pragma once
#include <cstdint>

#include "contract/tables.h"

namespace tinydl {

// Targets from class indices: t[r, c] = weight[c] (hit [c == label[r]] + rest); no weights are ones, and then rest
// is 0. A row whose label is negative has no loss and no gradient.
template <class T>
struct LabelTargets {
  const int64_t* label;
  const T* weight;
  T hit, rest;
  T rest_mass;  // rest (sum_c weight[c])
};

// Targets from probabilities: t[r, c] = weight[c] (hit p[r, c] + rest); no weights: t = p.
template <class T>
struct SoftTargets {
  const T* p;
  const T* weight;
  T hit, rest;
};

// p[i * step]: an array, or one value for all (step 0).
template <class T>
struct Series {
  const T* p;
  int64_t step;
};

// A loss f(x, t, p) of pairs of an input and a target, with a parameter p and a weight w for each.
template <class T>
struct PairLoss {
  // y = (sum_i w[i] f(x[i], t[i], p[i])) / divisor
  void (*total)(int64_t n, const T* x, const T* t, Series<T> w, Series<T> p, double divisor, T* y);
  // y[i] = w[i] f(x[i], t[i], p[i])
  void (*each)(int64_t n, const T* x, const T* t, Series<T> w, Series<T> p, T* y);
  // dx[i] = w[i] df/dx scale[i];  dt[i] = w[i] df/dt scale[i]
  using Backward = void(int64_t n, const T* x, const T* t, Series<T> w, Series<T> p, Series<T> scale, T* dx);
  Backward* input_grad;
  Backward* target_grad;
};

template <class T>
struct LossKernels {
  // Cross-entropy of logits x (rows, classes). All four use m[r] = max_c x[r, c], s[r] = sum_c e^(x[r, c] - m[r]) and
  // mass[r] = sum_c t[r, c]; the forward kernels write them for the backward ones. A null mass stands for ones.

  // loss[r] = mass[r] log s[r] - sum_c t[r, c] (x[r, c] - m[r])
  void (*cross_entropy)(int64_t rows, int64_t classes, const T* x, LabelTargets<T> t, T* loss, T* m, T* s, T* mass);
  void (*soft_cross_entropy)(int64_t rows, int64_t classes, const T* x, SoftTargets<T> t, T* loss, T* m, T* s, T* mass);
  // dx[r, c] = (mass[r] e^(x[r, c] - m[r]) / s[r] - t[r, c]) scale[r]
  void (*cross_entropy_backward)(int64_t rows, int64_t classes, const T* x, LabelTargets<T> t, const T* m, const T* s,
                                 const T* mass, Series<T> scale, T* dx);
  void (*soft_cross_entropy_backward)(int64_t rows, int64_t classes, const T* x, SoftTargets<T> t, const T* m,
                                      const T* s, const T* mass, Series<T> scale, T* dx);

  // loss[r] = -weight[label[r]] x[r, label[r]], and its gradient
  void (*nll)(int64_t rows, int64_t classes, const T* x, LabelTargets<T> t, T* loss);
  void (*nll_backward)(int64_t rows, int64_t classes, LabelTargets<T> t, Series<T> scale, T* dx);

  // With e = x - t:
  PairLoss<T> squared_error;                     // e^2
  PairLoss<T> absolute_error;                    // |e|; its derivative at 0 is 0
  PairLoss<T> smooth_l1;                         // |e| < p ? e^2 / 2p : |e| - p/2
  PairLoss<T> huber;                             // |e| <= p ? e^2 / 2 : p (|e| - p/2)
  PairLoss<T> binary_cross_entropy;              // -t ln x - (1 - t) ln(1 - x), logarithms not below -100
  PairLoss<T> binary_cross_entropy_with_logits;  // p t ln(1 + e^-x) + (1 - t) ln(1 + e^x)
  PairLoss<T> kl_div;                            // t (ln t - x), 0 for t = 0
  PairLoss<T> kl_div_of_logs;                    // e^t (t - x)
  PairLoss<T> soft_margin;                       // ln(1 + e^(-t x))

  // Whether 0 <= x[i] <= 1 for all i.
  bool (*are_probabilities)(int64_t n, const T* x);
};

TINYDL_KERNELS(LossKernels, loss)

}  // namespace tinydl
