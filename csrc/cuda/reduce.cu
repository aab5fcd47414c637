// Reductions and their gradients. What is kept lies outermost (folds along rows) or innermost (folds along columns);
// every element is read once, which is the floor: 4 bytes for each float32.
#include "contract/reduce.h"

#include <type_traits>

#include "cuda/device/fold_columns.h"
#include "cuda/device/fold_rows.h"
#include "cuda/device/map.h"

namespace tinydl::cuda {

namespace {

// y = sum / divisor
template <class T, class W>
struct StoreQuotient {
  T* y;
  double divisor;
  __device__ void operator()(int64_t at, W sum) const {
    y[at] = static_cast<T>(divisor == 1 ? sum : static_cast<W>(static_cast<double>(sum) / divisor));
  }
};

template <class T, class W>
struct StoreValue {
  T* y;
  __device__ void operator()(int64_t at, W value) const { y[at] = static_cast<T>(value); }
};

template <class T>
struct StoreMoments {
  T *var, *mean;
  double divisor;
  __device__ void operator()(int64_t at, const MomentSums& m) const {
    using W = Wide<T>;
    const bool none = m.count == 0;
    mean[at] = static_cast<T>(static_cast<W>(none ? m.squares / m.count : m.mean));
    var[at] = static_cast<T>(static_cast<W>(m.squares / (none ? m.count : divisor)));
  }
};

template <class Fold, class T, class Store>
void fold(int64_t outer, int64_t reduce, int64_t inner, const T* x, const Store& store) {
  if (outer == 0 || inner == 0) return;
  const Elements<T> elements{x};
  const bool packs = rows_take_packs<T>(inner == 1 ? reduce : inner, x);
  if (inner == 1 && packs) return fold_rows<kPack<T>, Fold>(outer, reduce, elements, store);
  if (inner == 1) return fold_rows<1, Fold>(outer, reduce, elements, store);
  const ColumnsOf<Elements<T>> columns{elements};
  if (packs) return fold_columns<kFoldColumns<T, Fold>, Fold>(outer, reduce, inner, columns, store);
  fold_columns<1, Fold>(outer, reduce, inner, columns, store);
}

template <class From, class To>
void sum(int64_t outer, int64_t reduce, int64_t inner, const From* x, double divisor, To* y) {
  using W = Wide<From>;
  fold<SumFold<W>>(outer, reduce, inner, x, StoreQuotient<To, W>{y, divisor});
}

template <class T, template <class> class Fold>
void extreme(int64_t outer, int64_t reduce, int64_t inner, const T* x, T* y) {
  using W = Wide<T>;
  fold<Fold<W>>(outer, reduce, inner, x, StoreValue<T, W>{y});
}

template <class T>
void var(int64_t outer, int64_t reduce, int64_t inner, const T* x, double divisor, T* var, T* mean) {
  fold<MomentFold<Wide<T>>>(outer, reduce, inner, x, StoreMoments<T>{var, mean, divisor});
}

struct VarBackward {
  template <class W>
  __device__ W operator()(W x, W mean, W g) const {
    return (x - mean) * g;
  }
};
// Not 0 elsewhere, so that NaN and infinite gradients show.
struct ExtremeBackward {
  template <class W>
  __device__ W operator()(W x, W y, W g) const {
    return x == y ? g : g * W(0);
  }
};

template <class T, class F>
void gradient(const LoopNest& nest, const T* x, const T* y, const T* g, T* dx) {
  map(nest, F(), dx, x, y, g);
}

template <class T>
constexpr ReduceKernels<T> kernels = {
    sum<T, T>,
    sum<T, Wide<T>>,
    sum<Wide<T>, T>,
    extreme<T, LargestFold>,
    extreme<T, SmallestFold>,
    var<T>,
    gradient<T, VarBackward>,
    gradient<T, ExtremeBackward>,
};

}  // namespace

TINYDL_CUDA_TABLE(ReduceKernels, reduce, kernels);

}  // namespace tinydl::cuda
