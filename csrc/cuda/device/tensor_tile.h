// The sums of a block's tile of C in tensor-core fragments: 16-bit operands in shared memory, float32 sums.
#pragma once
#include "cuda/device/mma.h"
#include "cuda/device/tile_layout.h"

namespace tinydl::cuda {

// `warps_m` x `warps_n` warps share rows x columns of C. A warp of 64 x 64 reads 4 KB from shared memory for 65536
// multiply-adds; one of 64 x 32 three quarters of that for half as many.
template <class LayoutA, class LayoutB, int warps_m, int warps_n>
class TensorTile {
 public:
  using T = typename LayoutA::Element;
  using W = float;
  static constexpr int threads = warps_m * warps_n * kLanes, passes = warps_m;
  static constexpr int rows = LayoutA::lines, columns = LayoutB::lines, depth = LayoutA::depth;

  // Of the tile, `rows_left` x `columns_left` are wanted: a warp without any sums nothing.
  __device__ TensorTile(int rows_left, int columns_left)
      : row_(static_cast<int>(threadIdx.x) / kLanes / warps_n * kRows),
        column_(static_cast<int>(threadIdx.x) / kLanes % warps_n * kColumns),
        idle_(row_ >= rows_left || column_ >= columns_left) {
#pragma unroll
    for (int i = 0; i < kRowBlocks; ++i)
#pragma unroll
      for (int j = 0; j < kColumnBlocks; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) sums_[i][j].v[e] = 0.0f;
  }

  __device__ __forceinline__ void multiply(const T* a, const T* b) {
    if (idle_) return;
#pragma unroll
    for (int k = 0; k < depth; k += kMmaK) {
      FragmentA rows_of_a[kRowBlocks];
      FragmentB columns_of_b[kColumnBlocks];
#pragma unroll
      for (int i = 0; i < kRowBlocks; ++i) load<LayoutA>(rows_of_a[i].r, a, row_ + i * kMmaM, k);
#pragma unroll
      for (int j = 0; j < kColumnBlocks; j += 2) {
        uint32_t pair[4];
        load<LayoutB>(pair, b, column_ + j * kMmaN, k);
        columns_of_b[j] = {{pair[0], pair[2]}};
        columns_of_b[j + 1] = {{pair[1], pair[3]}};
      }
#pragma unroll
      for (int i = 0; i < kRowBlocks; ++i)
#pragma unroll
        for (int j = 0; j < kColumnBlocks; ++j) multiply_add<T>(sums_[i][j], rows_of_a[i], columns_of_b[j]);
    }
  }

  // Writes rows [pass, pass + 1) * rows / passes of the sums, `pitch` elements apart.
  __device__ __forceinline__ void write(int pass, float* to, int pitch) const {
    if (row_ != pass * kRows) return;
    const int lane = static_cast<int>(threadIdx.x) % kLanes, group = lane / 4, pair = lane % 4;
#pragma unroll
    for (int i = 0; i < kRowBlocks; ++i)
#pragma unroll
      for (int j = 0; j < kColumnBlocks; ++j)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          store_pack(to + (i * kMmaM + half * 8 + group) * pitch + column_ + j * kMmaN + 2 * pair,
                     Pack<float, 2>{{sums_[i][j].v[2 * half], sums_[i][j].v[2 * half + 1]}});
  }

 private:
  static constexpr int kRows = rows / warps_m, kColumns = columns / warps_n;
  static constexpr int kRowBlocks = kRows / kMmaM, kColumnBlocks = kColumns / kMmaN;
  static_assert(kRows % kMmaM == 0 && kColumns % (2 * kMmaN) == 0 && depth % kMmaK == 0, "whole fragments");

  // 16 lines by 16 steps: registers 0 and 1 hold the first 8 steps of 8 lines each, 2 and 3 the others.
  template <class Layout>
  __device__ __forceinline__ static void load(uint32_t (&to)[4], const T* tile, int line, int k) {
    const int lane = static_cast<int>(threadIdx.x) % kLanes, matrix = lane / 8, r = lane % 8;
    line += matrix % 2 * 8;
    k += matrix / 2 * 8;
    if constexpr (Layout::along == Along::sum)
      load_matrices<false>(to, tile + Layout::at(line + r, k / 8));
    else
      load_matrices<true>(to, tile + Layout::at(k + r, line / 8));
  }

  FragmentD sums_[kRowBlocks][kColumnBlocks];
  int row_, column_;
  bool idle_;
};

}  // namespace tinydl::cuda
