// Folds of many elements into one value: sums, extremes, moments. A fold is a struct of
//   Item, Acc           what it takes, and what it has made of those taken (both trivial),
//   fill()              an item for where there is none,
//   start()             of no items,
//   take(acc, v, count) takes the first `count` of n items, the others of which are fill(),
//   merge(a, b)         of two sets of items.
#pragma once
#include <cstring>

#include "cuda/device/math.h"
#include "cuda/device/reduce.h"

namespace tinydl::cuda {

// op over v, as a tree: short chains, and errors that grow with the depth alone. Overwrites v.
template <int n, class V, class Op>
__device__ __forceinline__ V fold_tree(V (&v)[n], const Op& op) {
#pragma unroll
  for (int distance = 1; distance < n; distance *= 2)
#pragma unroll
    for (int i = 0; i + distance < n; i += 2 * distance) v[i] = op(v[i], v[i + distance]);
  return v[0];
}

template <class W>
struct SumFold {
  using Item = W;
  using Acc = W;
  __device__ static W fill() { return 0; }
  __device__ static W start() { return 0; }
  template <int n>
  __device__ static void take(W& acc, W (&v)[n], int) {
    acc += fold_tree(v, Sum());
  }
  __device__ static W merge(W a, W b) { return a + b; }
};

template <class W>
struct LargestFold {
  using Item = W;
  using Acc = W;
  __device__ static W fill() { return -kInfinity<W>; }
  __device__ static W start() { return fill(); }
  template <int n>
  __device__ static void take(W& acc, W (&v)[n], int) {
    acc = larger(acc, fold_tree(v, Largest()));
  }
  __device__ static W merge(W a, W b) { return larger(a, b); }
};

template <class W>
struct SmallestFold {
  using Item = W;
  using Acc = W;
  __device__ static W fill() { return kInfinity<W>; }
  __device__ static W start() { return fill(); }
  template <int n>
  __device__ static void take(W& acc, W (&v)[n], int) {
    acc = smaller(acc, fold_tree(v, [](W a, W b) { return smaller(a, b); }));
  }
  __device__ static W merge(W a, W b) { return smaller(a, b); }
};

// The number of elements, their mean, and the sum of squared deviations from it.
struct MomentSums {
  double count, mean, squares;
};

// One pass: each handful of items gets its own mean and deviations, and handfuls are merged in double (Chan, Golub and
// LeVeque 1983), so that nothing cancels where the mean is large beside the deviation.
template <class W>
struct MomentFold {
  using Item = W;
  using Acc = MomentSums;
  __device__ static W fill() { return 0; }
  __device__ static MomentSums start() { return {0, 0, 0}; }

  template <int n>
  __device__ static void take(MomentSums& acc, W (&v)[n], int count) {
    const W share = count == n ? W(1) / W(n) : W(1) / W(count > 0 ? count : 1);
    W copy[n];
#pragma unroll
    for (int i = 0; i < n; ++i) copy[i] = v[i];
    const W pivot = fold_tree(copy, Sum()) * share;
    W first = 0, second = 0;  // the sums of deviations from the pivot, which is rounded, and of their squares
#pragma unroll
    for (int i = 0; i < n; ++i) {
      const W d = i < count ? v[i] - pivot : W(0);
      first += d;
      second += d * d;
    }
    const double off = double(first) * double(share);
    acc = merge(acc, {double(count), double(pivot) + off, double(second) - double(first) * off});
  }

  __device__ static MomentSums merge(const MomentSums& a, const MomentSums& b) {
    if (b.count == 0) return a;
    if (a.count == 0) return b;
    const double count = a.count + b.count, share = b.count / count, d = b.mean - a.mean;
    return {count, a.mean + d * share, a.squares + b.squares + d * d * a.count * share};
  }
};

// The values of another fold as items: the second stage, over what the blocks of the first left.
template <class Fold>
struct MergeOf {
  using Item = typename Fold::Acc;
  using Acc = Item;
  __device__ static Acc fill() { return Fold::start(); }
  __device__ static Acc start() { return Fold::start(); }
  template <int n>
  __device__ static void take(Acc& acc, Item (&v)[n], int) {
    acc = Fold::merge(acc, fold_tree(v, [](const Acc& a, const Acc& b) { return Fold::merge(a, b); }));
  }
  __device__ static Acc merge(const Acc& a, const Acc& b) { return Fold::merge(a, b); }
};

template <class Fold>
struct MergeFoldOf {
  using type = MergeOf<Fold>;
};
template <class Fold>
struct MergeFoldOf<MergeOf<Fold>> {
  using type = MergeOf<Fold>;
};
template <class Fold>
using MergeFold = typename MergeFoldOf<Fold>::type;

// Another lane's value of any trivial type.
template <class A>
__device__ __forceinline__ A value_of_lane_across(const A& value, int distance) {
  static_assert(sizeof(A) % 4 == 0, "lanes exchange whole words");
  uint32_t words[sizeof(A) / 4];
  memcpy(words, &value, sizeof value);
#pragma unroll
  for (uint32_t& word : words) word = __shfl_xor_sync(kAllLanes, word, distance);
  A other;
  memcpy(&other, words, sizeof other);
  return other;
}

// Folds the values of `lanes` neighbours; the first of them gets the result.
template <class Fold, int lanes>
__device__ __forceinline__ typename Fold::Acc merge_lanes(typename Fold::Acc acc) {
#pragma unroll
  for (int distance = lanes / 2; distance > 0; distance /= 2)
    acc = Fold::merge(acc, value_of_lane_across(acc, distance));
  return acc;
}

}  // namespace tinydl::cuda
