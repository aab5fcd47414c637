// Reductions by chunks of the reduced axis (chunks.h), and the gradients of those that read their input again.
#include "contract/reduce.h"
#include "cpu/elementwise/loops.h"
#include "cpu/reduce/extremes.h"
#include "cpu/reduce/sum.h"
#include "cpu/reduce/variance.h"

namespace tinydl::TINYDL_TIER {

namespace {

struct Deviation {
  template <class V>
  V operator()(V x, V mean, V g) const {
    return (x - mean) * g;
  }
};
struct Ties {
  template <class V>
  V operator()(V x, V y, V g) const {
    return select(x == y, g, g * V(0));
  }
};

// dx = F(x, y, g) along a row: y and g stand still where the reduced axis is innermost, and move with x elsewhere.
template <class T, class F>
void map_gradient(const LoopNest& nest, const T* x, const T* y, const T* g, T* dx) {
  const int64_t s[4] = {nest.inner_stride(0), nest.inner_stride(1), nest.inner_stride(2), nest.inner_stride(3)};
  for_each_row<4>(nest, [=](const int64_t* at, int64_t n) {
    using One = Operand<T, Step::one>;
    using Zero = Operand<T, Step::zero>;
    using Any = Operand<T, Step::any>;
    T* from_x = const_cast<T*>(x) + at[0];
    T* from_y = const_cast<T*>(y) + at[1];
    T* from_g = const_cast<T*>(g) + at[2];
    T* to = dx + at[3];
    if (s[0] == 1 && s[1] == 0 && s[2] == 0 && s[3] == 1)
      map_row(F(), n, One{to, 1}, One{from_x, 1}, Zero{from_y, 0}, Zero{from_g, 0});
    else if (s[0] == 1 && s[1] == 1 && s[2] == 1 && s[3] == 1)
      map_row(F(), n, One{to, 1}, One{from_x, 1}, One{from_y, 1}, One{from_g, 1});
    else
      map_row(F(), n, Any{to, s[3]}, Any{from_x, s[0]}, Any{from_y, s[1]}, Any{from_g, s[2]});
  });
}

template <class T>
constexpr ReduceKernels<T> kernels = {sum<T>,
                                      sum<T>,
                                      sum<T>,
                                      extreme<T, Largest>,
                                      extreme<T, Smallest>,
                                      var<T>,
                                      map_gradient<T, Deviation>,
                                      map_gradient<T, Ties>};

}  // namespace

extern const ByType<ReduceKernels> reduce_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
