// Losses of pairs of an input x and a target t: each is a struct of its value and its two derivatives, and the loops
// reduce the values, keep them, or scale a derivative, in one pass. p is the loss's parameter.
#pragma once
#include "contract/loss.h"
#include "cpu/loss/cross_entropy.h"
#include "cpu/runtime/allocator.h"
#include "cpu/softmax/rows.h"

namespace tinydl::TINYDL_TIER {

namespace {

// -- The losses ----------------------------------------------------------------------------------------------------

template <class V>
TINYDL_INLINE V absolute(V x) {
  return max(x, -x);
}

// ln(1 + y) for y >= -1: the logarithm of the rounded sum, and what the sum lost, to first order.
template <class V>
TINYDL_INLINE V log_one_plus(V y) {
  const V one(1), sum = one + y;
  const V lost = y - (sum - one);
  return select(lost == V(0), log(sum), log(sum) + lost / sum);
}

// ln(1 + e^-|x|), which ln(1 + e^x) exceeds by max(x, 0)
template <class V>
TINYDL_INLINE V softplus_tail(V x) {
  return log_one_plus(exp_or_zero(-absolute(x)));
}

// a if x >= limit, -a if x <= -limit, else inside
template <class V>
TINYDL_INLINE V clipped(V x, V limit, V a, V inside) {
  return select(x >= limit, a, select(x <= -limit, -a, inside));
}

struct SquaredError {
  static constexpr int64_t work = 1;
  template <class V>
  static V value(V x, V t, V) {
    return (x - t) * (x - t);
  }
  template <class V>
  static V dx(V x, V t, V) {
    return (x - t) * V(2);
  }
  template <class V>
  static V dt(V x, V t, V) {
    return (t - x) * V(2);
  }
};

struct AbsoluteError {
  static constexpr int64_t work = 1;
  template <class V>
  static V value(V x, V t, V) {
    return absolute(x - t);
  }
  template <class V>
  static V dx(V x, V t, V) {
    return select(x > t, V(1), select(x < t, V(-1), V(0)));
  }
  template <class V>
  static V dt(V x, V t, V) {
    return -dx(x, t, t);
  }
};

struct SmoothL1 {
  static constexpr int64_t work = 2;
  template <class V>
  static V value(V x, V t, V p) {
    const V size = absolute(x - t), half(0.5f);
    return select(size < p, half * size * size / p, size - half * p);
  }
  template <class V>
  static V dx(V x, V t, V p) {
    return clipped(x - t, p, V(1), (x - t) / p);
  }
  template <class V>
  static V dt(V x, V t, V p) {
    return -dx(x, t, p);
  }
};

struct Huber {
  static constexpr int64_t work = 2;
  template <class V>
  static V value(V x, V t, V p) {
    const V size = absolute(x - t), half(0.5f);
    return select(size <= p, half * size * size, p * (size - half * p));
  }
  template <class V>
  static V dx(V x, V t, V p) {
    return clipped(x - t, p, p, x - t);
  }
  template <class V>
  static V dt(V x, V t, V p) {
    return -dx(x, t, p);
  }
};

struct BinaryCrossEntropy {
  static constexpr int64_t work = 2 * kExpWork;
  template <class V>
  static V value(V x, V t, V) {
    const V least(-100);
    return (t - V(1)) * max(least, log_one_plus(-x)) - t * max(least, log(x));
  }
  template <class V>
  static V dx(V x, V t, V) {
    return (x - t) / max(V(static_cast<decltype(x[0])>(1e-12)), (V(1) - x) * x);
  }
  template <class V>
  static V dt(V x, V, V) {
    return log_one_plus(-x) - log(x);
  }
};

struct BinaryCrossEntropyWithLogits {
  static constexpr int64_t work = 2 * kExpWork;
  template <class V>
  static V value(V x, V t, V p) {
    const V tail = softplus_tail(x);
    return (V(1) - t) * (max(V(0), x) + tail) + p * t * (max(V(0), -x) + tail);
  }
  template <class V>
  static V dx(V x, V t, V p) {
    return (V(1) - t + p * t) * sigmoid(x) - p * t;
  }
  template <class V>
  static V dt(V x, V, V p) {
    const V tail = softplus_tail(x);
    return p * (max(V(0), -x) + tail) - (max(V(0), x) + tail);
  }
};

struct KlDiv {
  static constexpr int64_t work = kExpWork;
  template <class V>
  static V value(V x, V t, V) {
    return select(t == V(0), V(0), t * log(t)) - t * x;
  }
  template <class V>
  static V dx(V, V t, V) {
    return -t;
  }
  template <class V>
  static V dt(V x, V t, V) {
    return log(t) + t / t - x;  // t / t: as in PyTorch, no number at 0
  }
};

struct KlDivOfLogs {
  static constexpr int64_t work = kExpWork;
  template <class V>
  static V value(V x, V t, V) {
    return exp(t) * (t - x);
  }
  template <class V>
  static V dx(V, V t, V) {
    return -exp(t);
  }
  template <class V>
  static V dt(V x, V t, V) {
    return exp(t) * (t - x + V(1));
  }
};

struct SoftMargin {
  static constexpr int64_t work = 2 * kExpWork;
  template <class V>
  static V value(V x, V t, V) {
    return max(V(0), -t * x) + softplus_tail(t * x);
  }
  template <class V>
  static V dx(V x, V t, V) {
    return -t * sigmoid(-t * x);
  }
  template <class V>
  static V dt(V x, V t, V) {
    return -x * sigmoid(-t * x);
  }
};

// -- The loops -----------------------------------------------------------------------------------------------------

constexpr int64_t kPairBlock = 4 * kRowChunk;

template <class T>
TINYDL_INLINE Vec<T> series_at(const Series<T>& s, int64_t i, int lanes) {
  return s.p ? load_first(s.p + i, lanes) : Vec<T>(s.value);
}

// Calls body(block, from, n) for stretches [from, from + n) of at most kPairBlock elements, on the threads.
template <class Body>
void for_each_stretch(int64_t n, int64_t work, const Body& body) {
  parallel_for((n + kPairBlock - 1) / kPairBlock, n * work, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) body(b, b * kPairBlock, smaller(kPairBlock, n - b * kPairBlock));
  });
}

// y[i] = at(i, lanes) for i < n.
template <class T, class At>
void store_pairs(int64_t n, int64_t work, T* y, const At& at) {
  for_each_stretch(n, work, [=](int64_t, int64_t from, int64_t count) {
    const int64_t whole = from + count / Vec<T>::size * Vec<T>::size;
    for (int64_t i = from; i < whole; i += Vec<T>::size) at(i, Vec<T>::size).store(y + i);
    const int rest = static_cast<int>(from + count - whole);
    if (rest > 0) at(whole, rest).store(y + whole, rest);
  });
}

template <class T, class F>
void pair_total(int64_t n, const T* x, const T* t, Series<T> w, Series<T> p, double divisor, T* y) {
  using V = Vec<T>;
  Scratch scratch(static_cast<size_t>((n + kPairBlock - 1) / kPairBlock) * sizeof(double));
  double* partial = static_cast<double*>(scratch.data());
  for_each_stretch(n, F::work, [=](int64_t block, int64_t from, int64_t count) {
    partial[block] = sum_terms<T>(count, [=](int64_t k, int lanes) {
      const int64_t i = from + k;
      const V loss =
          series_at(w, i, lanes) * F::value(load_first(x + i, lanes), load_first(t + i, lanes), series_at(p, i, lanes));
      return lanes == V::size ? loss : select(first_lanes<T>(lanes), loss, V(T(0)));
    });
  });
  double total = 0;
  for (int64_t b = 0; b * kPairBlock < n; ++b) total += partial[b];
  *y = static_cast<T>(total / divisor);
}

template <class T, class F>
void pair_each(int64_t n, const T* x, const T* t, Series<T> w, Series<T> p, T* y) {
  store_pairs(n, F::work, y, [=](int64_t i, int lanes) {
    return series_at(w, i, lanes) *
           F::value(load_first(x + i, lanes), load_first(t + i, lanes), series_at(p, i, lanes));
  });
}

template <class T, class F>
void pair_input_grad(int64_t n, const T* x, const T* t, Series<T> w, Series<T> p, Upstream<T> scale, T* dx) {
  const Series<T> factors = factors_of(scale);
  store_pairs(n, F::work, dx, [=](int64_t i, int lanes) {
    return F::dx(load_first(x + i, lanes), load_first(t + i, lanes), series_at(p, i, lanes)) *
           (series_at(w, i, lanes) * series_at(factors, i, lanes));
  });
}

template <class T, class F>
void pair_target_grad(int64_t n, const T* x, const T* t, Series<T> w, Series<T> p, Upstream<T> scale, T* dt) {
  const Series<T> factors = factors_of(scale);
  store_pairs(n, F::work, dt, [=](int64_t i, int lanes) {
    return F::dt(load_first(x + i, lanes), load_first(t + i, lanes), series_at(p, i, lanes)) *
           (series_at(w, i, lanes) * series_at(factors, i, lanes));
  });
}

template <class T, class F>
constexpr PairLoss<T> pair_loss = {pair_total<T, F>, pair_each<T, F>, pair_input_grad<T, F>, pair_target_grad<T, F>};

template <class T>
bool are_probabilities(int64_t n, const T* x) {
  using V = Vec<T>;
  Scratch scratch(static_cast<size_t>((n + kPairBlock - 1) / kPairBlock) * sizeof(double));
  double* outside = static_cast<double*>(scratch.data());
  for_each_stretch(n, 1, [=](int64_t block, int64_t from, int64_t count) {
    outside[block] = sum_terms<T>(count, [=](int64_t k, int lanes) {
      const V a = load_first(x + from + k, lanes);
      return select(a >= V(T(0)), select(a <= V(T(1)), V(T(0)), V(T(1))), V(T(1)));
    });
  });
  bool all = true;
  for (int64_t b = 0; b * kPairBlock < n; ++b) all = all && outside[b] == 0;
  return all;
}

}  // namespace

}  // namespace tinydl::TINYDL_TIER
