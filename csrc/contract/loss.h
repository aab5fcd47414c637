// Losses and their gradients, on dense row-major arrays.
#pragma once
#include <cstdint>

#include "contract/tables.h"
#include "core/half.h"

namespace tinydl {

// A number that the host has, or one that earlier kernels leave in the device's memory.
struct Scalar {
  double value;
  const double* at;  // null: value

  TINYDL_ANYWHERE double get() const { return at ? *at : value; }
};

// Targets from class indices: t[r, c] = weight[c] (hit [c == label[r]] + rest); no weights are ones, and then hit is 1
// and rest 0. A row whose label is negative has no loss and no gradient.
template <class T>
struct LabelTargets {
  const int64_t* label;
  const T* weight;
  Wide<T> hit, rest;
  Scalar rest_mass;  // rest (sum_c weight[c])
};

// Targets from probabilities: t[r, c] = weight[c] (hit p[r, c] + rest); no weights: t = p.
template <class T>
struct SoftTargets {
  const T* p;
  const T* weight;
  Wide<T> hit, rest;
};

// p[i], or one value for all where p is null.
template <class T>
struct Series {
  const T* p;
  Wide<T> value;
};

// The gradient of a loss, as a factor of each row or element: grad[i], or grad[0] / divisor for all.
template <class T>
struct Upstream {
  const T* grad;
  bool each;
  Scalar divisor;
};

// A loss f(x, t, p) of pairs of an input and a target, with a parameter p and a weight w for each.
template <class T>
struct PairLoss {
  // y = (sum_i w[i] f(x[i], t[i], p[i])) / divisor
  void (*total)(int64_t n, const T* x, const T* t, Series<T> w, Series<T> p, double divisor, T* y);
  // y[i] = w[i] f(x[i], t[i], p[i])
  void (*each)(int64_t n, const T* x, const T* t, Series<T> w, Series<T> p, T* y);
  // dx[i] = w[i] df/dx scale[i];  dt[i] = w[i] df/dt scale[i]
  using Backward = void(int64_t n, const T* x, const T* t, Series<T> w, Series<T> p, Upstream<T> scale, T* dx);
  Backward* input_grad;
  Backward* target_grad;
};

template <class T>
struct LossKernels {
  // What all rows share, to a Scalar's memory, rounded to Wide<T>:
  // sum = rest (sum_c weight[c])
  void (*rest_mass)(int64_t classes, const T* weight, Wide<T> rest, double* sum);
  // sum = sum_r weight[label[r]] over the labels that are not negative; no weights are ones
  void (*label_mass)(int64_t rows, const int64_t* label, const T* weight, double* sum);

  void (*ones)(int64_t n, T* y);  // y[i] = 1

  // Losses of rows are wide until they are rounded once: y = (sum_r loss[r]) / divisor, or y[r] = loss[r]
  void (*total)(int64_t rows, const Wide<T>* loss, Scalar divisor, T* y);
  void (*each)(int64_t rows, const Wide<T>* loss, T* y);

  // Cross-entropy of logits x (rows, classes). All four use m[r] = max_c x[r, c], s[r] = sum_c e^(x[r, c] - m[r]) and
  // mass[r] = sum_c t[r, c]; the forward kernels write them for the backward ones. A null mass stands for ones.

  // loss[r] = mass[r] log s[r] - sum_c t[r, c] (x[r, c] - m[r])
  void (*cross_entropy)(int64_t rows, int64_t classes, const T* x, LabelTargets<T> t, Wide<T>* loss, Wide<T>* m,
                        Wide<T>* s, Wide<T>* mass);
  void (*soft_cross_entropy)(int64_t rows, int64_t classes, const T* x, SoftTargets<T> t, Wide<T>* loss, Wide<T>* m,
                             Wide<T>* s, Wide<T>* mass);
  // dx[r, c] = (mass[r] e^(x[r, c] - m[r]) / s[r] - t[r, c]) scale[r]
  void (*cross_entropy_backward)(int64_t rows, int64_t classes, const T* x, LabelTargets<T> t, const Wide<T>* m,
                                 const Wide<T>* s, const Wide<T>* mass, Upstream<T> scale, T* dx);
  void (*soft_cross_entropy_backward)(int64_t rows, int64_t classes, const T* x, SoftTargets<T> t, const Wide<T>* m,
                                      const Wide<T>* s, const Wide<T>* mass, Upstream<T> scale, T* dx);

  // loss[r] = -weight[label[r]] x[r, label[r]], and its gradient
  void (*nll)(int64_t rows, int64_t classes, const T* x, LabelTargets<T> t, Wide<T>* loss);
  void (*nll_backward)(int64_t rows, int64_t classes, LabelTargets<T> t, Upstream<T> scale, T* dx);

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

  // Whether 0 <= x[i] <= 1 for all i. Waits for a GPU.
  bool (*are_probabilities)(int64_t n, const T* x);
};

TINYDL_KERNELS(LossKernels, loss)

}  // namespace tinydl
