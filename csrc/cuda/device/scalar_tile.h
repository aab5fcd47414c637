// The sums of a block's tile of C in registers, by multiply-adds in the operands' own type: float32 and float64.
#pragma once
#include "cuda/device/math.h"
#include "cuda/device/reduce.h"
#include "cuda/device/tile_layout.h"

namespace tinydl::cuda {

// Each thread has `own_m` x `own_n` sums; the lanes of a warp lie 4 x 8, so that a warp reads 4 and 8 lines at a time,
// each from banks of its own.
template <class LayoutA, class LayoutB, int own_m, int own_n>
class ScalarTile {
 public:
  using T = typename LayoutA::Element;
  using W = T;
  static constexpr int rows = LayoutA::lines, columns = LayoutB::lines, depth = LayoutA::depth;
  static constexpr int threads = rows / own_m * (columns / own_n), passes = 2;

  // Of the tile, `rows_left` x `columns_left` are wanted: a thread without any sums nothing.
  __device__ ScalarTile(int rows_left, int columns_left) {
    constexpr int warps_n = kAcross / 8;
    const int lane = static_cast<int>(threadIdx.x) % kLanes, warp = static_cast<int>(threadIdx.x) / kLanes;
    down_ = warp / warps_n * 4 + lane / 8;
    across_ = warp % warps_n * 8 + lane % 8;
    idle_ = line<LayoutA, kDown>(down_, 0) >= rows_left || line<LayoutB, kAcross>(across_, 0) >= columns_left;
#pragma unroll
    for (int i = 0; i < own_m; ++i)
#pragma unroll
      for (int j = 0; j < own_n; ++j) sums_[i][j] = T(0);
  }

  __device__ __forceinline__ void multiply(const T* a, const T* b) {
    if (idle_) return;
#pragma unroll 1
    for (int k = 0; k < depth; k += kPack<T>)
#pragma unroll
      for (int part = 0; part < kPack<T>; part += kSteps) multiply(a, b, k, part);
  }

  // Writes rows [pass, pass + 1) * rows / passes of the sums, `pitch` elements apart.
  __device__ __forceinline__ void write(int pass, T* to, int pitch) const {
#pragma unroll
    for (int i = 0; i < own_m; ++i) {
      if (i / (own_m / passes) != pass) continue;
      const int row = line<LayoutA, kDown>(down_, i) - pass * (rows / passes);
#pragma unroll
      for (int j = 0; j < own_n; ++j) to[row * pitch + line<LayoutB, kAcross>(across_, j)] = sums_[i][j];
    }
  }

 private:
  static constexpr int kSteps = 2;                                       // that are in registers at a time
  static constexpr int kDown = rows / own_m, kAcross = columns / own_n;  // threads
  static_assert(kDown % 4 == 0 && kAcross % 8 == 0, "whole warps");
  static_assert(own_m % (passes * kPack<T>) == 0 && own_n % kPack<T> == 0, "whole packs");

  // The i-th line of a thread: neighbouring threads have neighbouring rows of the shared tile, or packs of one.
  template <class Layout, int parties>
  __device__ __forceinline__ static int line(int party, int i) {
    if (Layout::along == Along::sum) return party + parties * i;
    return (party + parties * (i / kPack<T>)) * kPack<T> + i % kPack<T>;
  }
  // kSteps steps of the sum, from k + part on.
  __device__ __forceinline__ void multiply(const T* a, const T* b, int k, int part) {
    T of_a[kSteps][own_m], of_b[kSteps][own_n];
    load<LayoutA, kDown>(of_a, a, down_, k, part);
    load<LayoutB, kAcross>(of_b, b, across_, k, part);
#pragma unroll
    for (int e = 0; e < kSteps; ++e)
#pragma unroll
      for (int i = 0; i < own_m; ++i)
#pragma unroll
        for (int j = 0; j < own_n; ++j) sums_[i][j] = fma_of(of_a[e][i], of_b[e][j], sums_[i][j]);
  }
  template <class Layout, int parties, int own>
  __device__ __forceinline__ static void load(T (&to)[kSteps][own], const T* tile, int party, int k, int part) {
    if constexpr (Layout::along == Along::sum) {
#pragma unroll
      for (int i = 0; i < own; ++i) {
        const T* row = tile + Layout::at(line<Layout, parties>(party, i), k / kPack<T>);
        const auto steps = load_pack<kSteps>(row + part);
#pragma unroll
        for (int e = 0; e < kSteps; ++e) to[e][i] = steps.v[e];
      }
    } else {
#pragma unroll
      for (int e = 0; e < kSteps; ++e)
#pragma unroll
        for (int i = 0; i < own; i += kPack<T>) {
          const T* row = tile + Layout::at(k + part + e, party + parties * (i / kPack<T>));
          const auto lines = load_pack<kPack<T>>(row);
#pragma unroll
          for (int j = 0; j < kPack<T>; ++j) to[e][i + j] = lines.v[j];
        }
    }
  }

  T sums_[own_m][own_n];
  int down_, across_;
  bool idle_;
};

}  // namespace tinydl::cuda
