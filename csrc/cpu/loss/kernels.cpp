// A row's maximum and sum of exponentials are kept apart instead of being added to a log-sum-exp: adding them
// would round the gradient of large logits (at 1000, the softmax would be off by 3e-5 in float32).
#include "cpu/loss/loss.h"

#include "cpu/runtime/allocator.h"
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
  *s = static_cast<T>(sum_terms<T>(classes, [=](int64_t c, int lanes) { return exp_at(x, c, lanes, shift); }));
}

template <class T>
void cross_entropy(int64_t rows, int64_t classes, const T* x, const int64_t* label, T* loss, T* m, T* s) {
  for_each_row_block(rows, classes, [=](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      exp_sum_row(classes, x + r * classes, m + r, s + r);
      loss[r] = x[r * classes + label[r]] - m[r];
    }
    finish_rows<T>(first, last, s, nullptr, loss);
  });
}

template <class T>
void soft_cross_entropy(int64_t rows, int64_t classes, const T* x, const T* t, T* loss, T* m, T* s, T* mass) {
  using V = Vec<T>;
  for_each_row_block(rows, classes, [=](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const T* from = x + r * classes;
      const T* target = t + r * classes;
      exp_sum_row(classes, from, m + r, s + r);
      const V shift(m[r]);
      mass[r] =
          static_cast<T>(sum_terms<T>(classes, [=](int64_t c, int lanes) { return load_first(target + c, lanes); }));
      loss[r] = static_cast<T>(sum_terms<T>(classes, [=](int64_t c, int lanes) {
        return load_first(target + c, lanes) * (load_or(from + c, lanes, shift[0]) - shift);
      }));
    }
    finish_rows<T>(first, last, s, mass, loss);
  });
}

template <class T>
void cross_entropy_backward(int64_t rows, int64_t classes, const T* x, const int64_t* label, const T* m, const T* s,
                            const T* scale, int64_t scale_step, T* dx) {
  using V = Vec<T>;
  for_each_row_block(rows, classes, [=](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const T factor = scale[r * scale_step];
      const V shift(m[r]), part(factor / s[r]);
      T* to = dx + r * classes;
      map_run(classes, to, [=](V logit) { return exp_or_zero(logit - shift) * part; }, x + r * classes);
      to[label[r]] -= factor;
    }
  });
}

template <class T>
void soft_cross_entropy_backward(int64_t rows, int64_t classes, const T* x, const T* t, const T* m, const T* s,
                                 const T* mass, const T* scale, int64_t scale_step, T* dx) {
  using V = Vec<T>;
  for_each_row_block(rows, classes, [=](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const V shift(m[r]), part(mass[r] / s[r]), factor(scale[r * scale_step]);
      map_run(
          classes, dx + r * classes,
          [=](V logit, V target) { return (exp_or_zero(logit - shift) * part - target) * factor; }, x + r * classes,
          t + r * classes);
    }
  });
}

constexpr int64_t kChunksPerBlock = 4;

template <class T>
void squared_error(int64_t n, const T* x, const T* t, double divisor, T* y) {
  using V = Vec<T>;
  constexpr int64_t block = kChunksPerBlock * kRowChunk;
  const int64_t blocks = (n + block - 1) / block;
  Scratch scratch(static_cast<size_t>(blocks) * sizeof(double));
  double* partial = static_cast<double*>(scratch.data());
  parallel_for(blocks, n, [=](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      const T* from = x + b * block;
      const T* target = t + b * block;
      partial[b] = sum_terms<T>(smaller(block, n - b * block), [=](int64_t i, int lanes) {
        const V error = load_first(from + i, lanes) - load_first(target + i, lanes);
        return error * error;
      });
    }
  });
  double total = 0;
  for (int64_t b = 0; b < blocks; ++b) total += partial[b];
  *y = static_cast<T>(total / divisor);
}

template <class T>
void squared_error_backward(int64_t n, const T* x, const T* t, T factor, T* dx) {
  using V = Vec<T>;
  constexpr int64_t block = kChunksPerBlock * kRowChunk;
  parallel_for((n + block - 1) / block, n, [=](int64_t begin, int64_t end, int) {
    const int64_t from = begin * block;
    map_run(
        smaller(end * block, n) - from, dx + from, [=](V a, V b) { return (a - b) * V(factor); }, x + from, t + from);
  });
}

template <class T>
constexpr LossKernels<T> kernels = {
    cross_entropy<T>, cross_entropy_backward<T>, soft_cross_entropy<T>, soft_cross_entropy_backward<T>,
    squared_error<T>, squared_error_backward<T>,
};

}  // namespace

extern const ByType<LossKernels> loss_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
