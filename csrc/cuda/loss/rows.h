// Rows of classes as the threads of a team hold them: some lanes of a warp, a warp, or a block. Rows of up to
// kHeld elements a thread stay in registers, so that memory is read once; longer ones are read again, from the cache.
#pragma once
#include "cuda/device/pack.h"
#include "cuda/device/partials.h"

namespace tinydl::cuda {

constexpr int kHeld = 16;

// A row of `classes` elements in packs of `width` (which divides classes); packs = 0: it is not held.
template <class T, int team, int width, int packs>
class Row {
 public:
  __device__ __forceinline__ Row(const T* from, int classes, int lane) : from_(from), classes_(classes), lane_(lane) {
#pragma unroll
    for (int k = 0; k < packs; ++k)
      if (place(k) < classes_) held_[k] = load_pack<width>(from_ + place(k));
  }

  // Calls f(c, x[c]) for this thread's elements.
  template <class F>
  __device__ __forceinline__ void visit(const F& f) const {
    if constexpr (packs > 0) {
#pragma unroll
      for (int k = 0; k < packs; ++k)
        if (place(k) < classes_) visit_pack(place(k), held_[k], f);
    } else {
#pragma unroll 4
      for (int c = lane_ * width; c < classes_; c += team * width) visit_pack(c, load_pack<width>(from_ + c), f);
    }
  }

  // Calls f(c, x[c], y[c]) for the same of another row.
  template <class F>
  __device__ __forceinline__ void visit_with(const T* other, const F& f) const {
    if constexpr (packs > 0) {
#pragma unroll
      for (int k = 0; k < packs; ++k)
        if (place(k) < classes_) visit_pair(place(k), held_[k], load_pack<width>(other + place(k)), f);
    } else {
#pragma unroll 4
      for (int c = lane_ * width; c < classes_; c += team * width)
        visit_pair(c, load_pack<width>(from_ + c), load_pack<width>(other + c), f);
    }
  }

 private:
  __device__ __forceinline__ int place(int k) const { return (k * team + lane_) * width; }

  template <class F>
  __device__ __forceinline__ void visit_pack(int c, const Pack<T, width>& x, const F& f) const {
#pragma unroll
    for (int j = 0; j < width; ++j) f(c + j, widen(x.v[j]));
  }
  template <class F>
  __device__ __forceinline__ void visit_pair(int c, const Pack<T, width>& x, const Pack<T, width>& y,
                                             const F& f) const {
#pragma unroll
    for (int j = 0; j < width; ++j) f(c + j, widen(x.v[j]), widen(y.v[j]));
  }

  const T* from_;
  int classes_, lane_;
  Pack<T, width> held_[packs > 0 ? packs : 1];
};

template <class W>
struct TeamStorage {
  W of_warp[kThreads / kLanes];
};

// Every thread of the team gets the result; all teams of the block take part.
template <int team, class W, class Op>
__device__ __forceinline__ W reduce_team(W x, const Op& op, TeamStorage<W>& shared) {
  if constexpr (team <= kLanes)
    return reduce_warp<team>(x, op);
  else
    return reduce_block<kThreads>(x, op, shared.of_warp);
}

template <int team_, int width_, int packs_>
struct RowShape {
  static constexpr int team = team_, width = width_, packs = packs_;
};

// Calls run(a RowShape) for the way in which rows of `classes` elements are held; in packs where they lie so.
template <class T, class Run>
void pick_rows(int64_t classes, bool in_packs, const Run& run) {
  constexpr int width = kPack<T>;
  if (classes <= 32) return run(RowShape<8, 1, 4>());
  if (classes <= kLanes * kHeld)
    return in_packs ? run(RowShape<kLanes, width, kHeld / width>()) : run(RowShape<kLanes, 1, kHeld>());
  if (!in_packs) return run(RowShape<kThreads, 1, 0>());
  if (classes <= kThreads * kHeld) return run(RowShape<kThreads, width, kHeld / width>());
  run(RowShape<kThreads, width, 0>());
}

template <int team>
dim3 blocks_for_rows(int64_t rows) {
  constexpr int each = kThreads / team;
  return grid_of((rows + each - 1) / each);
}

}  // namespace tinydl::cuda
