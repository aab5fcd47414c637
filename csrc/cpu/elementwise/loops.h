// Walks a loop nest: blocks of about kBlock elements go to the threads, rows go to a vector loop.
#pragma once
#include "core/loop_nest.h"
#include "cpu/runtime/parallel.h"
#include "cpu/simd/stores.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kBlock = 8192;

// Where each operand stands at the start of a row (all axes of the nest but the innermost).
template <int N>
class RowCursor {
 public:
  RowCursor(const LoopNest& nest, int64_t row) : nest_(nest) {
    for (int d = nest.ndim - 2; d >= 0; --d) {
      index_[d] = row % nest.shape[d];
      row /= nest.shape[d];
      for (int k = 0; k < N; ++k) offset_[k] += index_[d] * nest.stride[k][d];
    }
  }

  void next() {
    for (int d = nest_.ndim - 2; d >= 0; --d) {
      for (int k = 0; k < N; ++k) offset_[k] += nest_.stride[k][d];
      if (++index_[d] < nest_.shape[d]) return;
      for (int k = 0; k < N; ++k) offset_[k] -= nest_.shape[d] * nest_.stride[k][d];
      index_[d] = 0;
    }
  }

  int64_t operator[](int operand) const { return offset_[operand]; }

 private:
  const LoopNest& nest_;
  int64_t index_[kMaxDims] = {};
  int64_t offset_[N] = {};
};

// Calls row(offsets, n) for stretches of n elements along the innermost axis that together cover the nest.
template <int N, class Row>
void for_each_row(const LoopNest& nest, const Row& row) {
  const int64_t inner = nest.inner();
  int64_t rows = 1;
  for (int d = 0; d < nest.ndim - 1; ++d) rows *= nest.shape[d];
  if (rows == 0 || inner == 0) return;

  if (rows == 1) {  // one long row: blocks are stretches of it
    parallel_for((inner + kBlock - 1) / kBlock, inner, [&](int64_t begin, int64_t end, int) {
      const int64_t from = begin * kBlock;
      const int64_t to = end * kBlock < inner ? end * kBlock : inner;
      int64_t offset[N];
      for (int k = 0; k < N; ++k) offset[k] = from * nest.inner_stride(k);
      row(offset, to - from);
    });
    return;
  }
  const int64_t rows_per_block = inner >= kBlock ? 1 : kBlock / inner;
  parallel_for((rows + rows_per_block - 1) / rows_per_block, rows * inner, [&](int64_t begin, int64_t end, int) {
    const int64_t last = end * rows_per_block < rows ? end * rows_per_block : rows;
    RowCursor<N> cursor(nest, begin * rows_per_block);
    for (int64_t r = begin * rows_per_block; r < last; ++r, cursor.next()) {
      int64_t offset[N];
      for (int k = 0; k < N; ++k) offset[k] = cursor[k];
      row(offset, inner);
    }
  });
}

// How an operand moves along a row. `any` covers every stride; `past` is one, with stores that leave the caches alone.
enum class Step { one, past, zero, any };

template <class T>
bool is_written_past(const LoopNest& nest, const T* y) {
  int64_t elements = 1;
  for (int d = 0; d < nest.ndim; ++d) elements *= nest.shape[d];
  return nest.ndim <= 1 && is_written_past(elements, y);
}

template <class T, Step step>
struct Operand {
  static constexpr bool kPast = step == Step::past;
  T* p;
  int64_t stride;

  TINYDL_INLINE Vec<T> load(int64_t i) const {
    if constexpr (step == Step::one || step == Step::past) return Vec<T>::load(p + i);
    if constexpr (step == Step::zero) return Vec<T>(*p);
    return Vec<T>::gather(p + i * stride, stride, Vec<T>::size);
  }
  TINYDL_INLINE Vec<T> load(int64_t i, int n) const {
    if constexpr (step == Step::one) return Vec<T>::load(p + i, n);
    if constexpr (step == Step::zero) return Vec<T>(*p);
    return Vec<T>::gather(p + i * stride, stride, n);
  }
  TINYDL_INLINE void store(int64_t i, Vec<T> v) const {
    if constexpr (step == Step::one) return v.store(p + i);
    if constexpr (step == Step::past) return v.stream(p + i);
    v.scatter(p + i * stride, stride, Vec<T>::size);
  }
  TINYDL_INLINE void store(int64_t i, Vec<T> v, int n) const {
    if constexpr (step == Step::one || step == Step::past) return v.store(p + i, n);
    v.scatter(p + i * stride, stride, n);
  }
};

// y[i] = f(x[i]...) for i < n.
template <class F, class Y, class... X>
TINYDL_INLINE void map_row(F f, int64_t n, Y y, X... x) {
  constexpr int size = decltype(y.load(0))::size;
  int64_t i = 0;
  for (; i + size <= n; i += size) y.store(i, f(x.load(i)...));
  if (i < n) {
    const int rest = static_cast<int>(n - i);
    y.store(i, f(x.load(i, rest)...), rest);
  }
  if constexpr (Y::kPast) stream_fence();
}

// Integers of 8, 16 and 32 bits, as many as a vector has lanes. (Spelled out like VecTypes.)
template <int N>
struct Integers;
#define TINYDL_INTEGERS(N)                                      \
  template <>                                                   \
  struct Integers<N> {                                          \
    typedef int8_t Bits8 __attribute__((vector_size(N)));       \
    typedef int16_t Bits16 __attribute__((vector_size(2 * N))); \
    typedef int32_t Bits32 __attribute__((vector_size(4 * N))); \
  }
TINYDL_INTEGERS(2);
TINYDL_INTEGERS(4);
TINYDL_INTEGERS(8);
TINYDL_INTEGERS(16);
#undef TINYDL_INTEGERS

// The lanes of a bool array as a mask.
template <class T, Step step>
struct Condition {
  using Int = typename VecTypes<T>::Int;
  const int8_t* p;  // not bool*: arrays that were cast to bool may hold other bytes than 0 and 1
  int64_t stride;

  TINYDL_INLINE Vec<Int> load(int64_t i) const {
    if constexpr (step != Step::one) return load(i, Vec<T>::size);
    using Lanes = Integers<Vec<T>::size>;
    typename Lanes::Bits8 bytes;
    __builtin_memcpy(&bytes, p + i, sizeof bytes);
    // Doubled step by step: GCC takes a wider conversion apart into single lanes.
    const auto bits16 = __builtin_convertvector(bytes, typename Lanes::Bits16);
    const auto bits32 = __builtin_convertvector(bits16, typename Lanes::Bits32);
    return Vec<Int>(__builtin_convertvector(bits32, typename Vec<Int>::Native)) != Vec<Int>(0);
  }
  TINYDL_INLINE Vec<Int> load(int64_t i, int n) const {
    Vec<Int> lanes(0);
    for (int k = 0; k < n; ++k) lanes.v[k] = p[(i + k) * stride];
    return lanes != Vec<Int>(0);
  }
};

// y = f(x). T* because Operand also stores; what is only loaded stays as it is.
template <class T, class F>
void map_unary(const LoopNest& nest, const T* x, T* y, F f) {
  const int64_t sx = nest.inner_stride(0), sy = nest.inner_stride(1);
  const bool past = is_written_past(nest, y);
  for_each_row<2>(nest, [=](const int64_t* at, int64_t n) {
    T* from = const_cast<T*>(x) + at[0];
    if (sx == 1 && sy == 1 && past)
      map_row(f, n, Operand<T, Step::past>{y + at[1], 1}, Operand<T, Step::one>{from, 1});
    else if (sx == 1 && sy == 1)
      map_row(f, n, Operand<T, Step::one>{y + at[1], 1}, Operand<T, Step::one>{from, 1});
    else
      map_row(f, n, Operand<T, Step::any>{y + at[1], sy}, Operand<T, Step::any>{from, sx});
  });
}

// y = f(a, b)
template <class T, class F>
void map_binary(const LoopNest& nest, const T* a, const T* b, T* y, F f) {
  const int64_t sa = nest.inner_stride(0), sb = nest.inner_stride(1), sy = nest.inner_stride(2);
  const bool past = is_written_past(nest, y);
  for_each_row<3>(nest, [=](const int64_t* at, int64_t n) {
    using One = Operand<T, Step::one>;
    using Zero = Operand<T, Step::zero>;
    using Any = Operand<T, Step::any>;
    T* from_a = const_cast<T*>(a) + at[0];
    T* from_b = const_cast<T*>(b) + at[1];
    T* to = y + at[2];
    if (sa == 1 && sb == 1 && sy == 1 && past)
      map_row(f, n, Operand<T, Step::past>{to, 1}, One{from_a, 1}, One{from_b, 1});
    else if (sa == 1 && sb == 1 && sy == 1)
      map_row(f, n, One{to, 1}, One{from_a, 1}, One{from_b, 1});
    else if (sa == 1 && sb == 0 && sy == 1)
      map_row(f, n, One{to, 1}, One{from_a, 1}, Zero{from_b, 0});
    else if (sa == 0 && sb == 1 && sy == 1)
      map_row(f, n, One{to, 1}, Zero{from_a, 0}, One{from_b, 1});
    else
      map_row(f, n, Any{to, sy}, Any{from_a, sa}, Any{from_b, sb});
  });
}

// y = f(a, b, c)
template <class T, class F>
void map_ternary(const LoopNest& nest, const T* a, const T* b, const T* c, T* y, F f) {
  const int64_t sa = nest.inner_stride(0), sb = nest.inner_stride(1), sc = nest.inner_stride(2);
  const int64_t sy = nest.inner_stride(3);
  for_each_row<4>(nest, [=](const int64_t* at, int64_t n) {
    using One = Operand<T, Step::one>;
    using Any = Operand<T, Step::any>;
    T* from_a = const_cast<T*>(a) + at[0];
    T* from_b = const_cast<T*>(b) + at[1];
    T* from_c = const_cast<T*>(c) + at[2];
    T* to = y + at[3];
    if (sa == 1 && sb == 1 && sc == 1 && sy == 1)
      map_row(f, n, One{to, 1}, One{from_a, 1}, One{from_b, 1}, One{from_c, 1});
    else
      map_row(f, n, Any{to, sy}, Any{from_a, sa}, Any{from_b, sb}, Any{from_c, sc});
  });
}

// y = f(mask of c, a, b)
template <class T, class F>
void map_condition(const LoopNest& nest, const bool* c, const T* a, const T* b, T* y, F f) {
  const int64_t sc = nest.inner_stride(0), sa = nest.inner_stride(1), sb = nest.inner_stride(2);
  const int64_t sy = nest.inner_stride(3);
  for_each_row<4>(nest, [=](const int64_t* at, int64_t n) {
    using One = Operand<T, Step::one>;
    using Zero = Operand<T, Step::zero>;
    using Any = Operand<T, Step::any>;
    const int8_t* bytes = reinterpret_cast<const int8_t*>(c) + at[0];
    const Condition<T, Step::one> mask{bytes, 1};
    T* from_a = const_cast<T*>(a) + at[1];
    T* from_b = const_cast<T*>(b) + at[2];
    T* to = y + at[3];
    const bool dense = sc == 1 && sy == 1;
    if (dense && sa == 1 && sb == 1)
      map_row(f, n, One{to, 1}, mask, One{from_a, 1}, One{from_b, 1});
    else if (dense && sa == 1 && sb == 0)
      map_row(f, n, One{to, 1}, mask, One{from_a, 1}, Zero{from_b, 0});
    else if (dense && sa == 0 && sb == 1)
      map_row(f, n, One{to, 1}, mask, Zero{from_a, 0}, One{from_b, 1});
    else
      map_row(f, n, Any{to, sy}, Condition<T, Step::any>{bytes, sc}, Any{from_a, sa}, Any{from_b, sb});
  });
}

// The entries of the table, from a functor on vectors.
template <class T, class F>
void unary(const LoopNest& nest, const T* x, T* y) {
  map_unary(nest, x, y, F());
}
template <class T, class F>
void binary(const LoopNest& nest, const T* a, const T* b, T* y) {
  map_binary(nest, a, b, y, F());
}
template <class T, class F>
void ternary(const LoopNest& nest, const T* a, const T* b, const T* c, T* y) {
  map_ternary(nest, a, b, c, y, F());
}
template <class T, class F>
void condition(const LoopNest& nest, const bool* c, const T* a, const T* b, T* y) {
  map_condition(nest, c, a, b, y, F());
}
template <class T, template <class> class F>
void unary_with(const LoopNest& nest, const T* x, T* y, const T* parameters) {
  map_unary(nest, x, y, F<T>(parameters));
}
template <class T, template <class> class F>
void binary_with(const LoopNest& nest, const T* a, const T* b, T* y, const T* parameters) {
  map_binary(nest, a, b, y, F<T>(parameters));
}

}  // namespace tinydl::TINYDL_TIER
