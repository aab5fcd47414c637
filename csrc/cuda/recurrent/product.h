// A block's share of a recurrent product: 16 sequences, or twice as many, times 16 columns for each of `groups` groups
// of columns, summed over k by 8 warps, each of which takes an eighth of every chunk. Chunks of 256 bytes a row come to
// shared memory by asynchronous copies, two of them under way while one is multiplied; the warps' sums are added in a
// fixed order.
//
//   16-bit types       mma.sync: a warp's eighth is one step of k
//   float32, float64   4 x 2 elements a lane, for 16 sequences and a group, from packs of 16 bytes along k
#pragma once
#include "cuda/device/async_copy.h"
#include "cuda/device/mma.h"
#include "cuda/device/pack.h"

namespace tinydl::cuda {

constexpr int kTileRows = 16, kTileColumns = 16, kTileWarps = 8, kTileThreads = 256, kTileStages = 3;
static_assert(kTileThreads == kTileRows * kTileColumns && kTileThreads == kTileWarps * kLanes);

// Rows, side by side, of which those from `count` on count as zeros; each of `depth` elements.
template <class T>
struct Rows {
  const T* data;
  int count, depth;
  bool packs;  // every row is aligned to 16 bytes, and a multiple of them
};

template <class T, int groups, int row_groups>
struct TileProduct {
  using W = Wide<T>;
  static constexpr int kChunk = 256 / sizeof(T), kPacks = kChunk / kPack<T>, kPitch = kChunk + kPack<T>;
  static constexpr int kRows = row_groups * kTileRows, kOperandRows = kRows + groups * kTileColumns;
  static constexpr bool kTensor = sizeof(T) == 2;
  static_assert(kTileThreads == kTileRows * kPacks, "a thread copies a pack of each 16 rows");

  struct Storage {
    union {
      alignas(16) T chunk[kTileStages][kOperandRows][kPitch];
      W part[kTileWarps][groups][kRows][kTileColumns];
    };
  };

  // sum[r][g] of row threadIdx.x / 16 + 16 r of `a` and column threadIdx.x % 16 of group g, whose columns are the rows
  // of b[g].
  static __device__ void run(const Rows<T>& a, const Rows<T> (&b)[groups], Storage& shared,
                             W (&sum)[row_groups][groups]) {
    const int chunks = (a.depth + kChunk - 1) / kChunk;
    TileProduct product;
    for (int c = 0; c < kTileStages - 1; ++c) copy(a, b, c, chunks, shared);
    for (int c = 0; c < chunks; ++c) {
      wait_for_copies<kTileStages - 2>();
      __syncthreads();
      copy(a, b, c + kTileStages - 1, chunks, shared);
      product.multiply(shared.chunk[c % kTileStages]);
    }
    __syncthreads();
    product.lay_out(shared.part[threadIdx.x / kLanes]);
    __syncthreads();
#pragma unroll
    for (int r = 0; r < row_groups; ++r)
#pragma unroll
      for (int g = 0; g < groups; ++g) {
        const int row = static_cast<int>(threadIdx.x) / kTileColumns + r * kTileRows;
        sum[r][g] = 0;
#pragma unroll
        for (int w = 0; w < kTileWarps; ++w) sum[r][g] += shared.part[w][g][row][threadIdx.x % kTileColumns];
      }
  }

 private:
  // Elements of a lane: row lane / 8 + 4 i, column lane % 8 + 8 j of the plain product; fragments of 8 columns of the
  // other.
  struct Plain {
    W v[row_groups][groups][4][2];
  };
  struct Tensor {
    FragmentD v[row_groups][groups][2];
  };
  std::conditional_t<kTensor, Tensor, Plain> own = {};

  // Chunk c of all operands, as a group of copies (an empty one beyond the last chunk).
  static __device__ void copy(const Rows<T>& a, const Rows<T> (&b)[groups], int c, int chunks, Storage& shared) {
    if (c < chunks) {
      auto& to = shared.chunk[c % kTileStages];
      const int row = static_cast<int>(threadIdx.x) / kPacks, pack = static_cast<int>(threadIdx.x) % kPacks;
      const int k = c * kChunk + pack * kPack<T>;
#pragma unroll
      for (int r = 0; r < row_groups; ++r)
        copy_pack(a, row + r * kTileRows, k, &to[row + r * kTileRows][pack * kPack<T>]);
#pragma unroll
      for (int g = 0; g < groups; ++g) copy_pack(b[g], row, k, &to[kRows + g * kTileColumns + row][pack * kPack<T>]);
    }
    end_copy_group();
  }
  static __device__ void copy_pack(const Rows<T>& from, int row, int k, T* to) {
    const bool has_row = row < from.count;
    const T* at = from.data + int64_t(has_row ? row : 0) * from.depth + k;
    if (from.packs) {
      const bool valid = has_row && k < from.depth;
      copy_async<kAccessBytes>(to, valid ? at : from.data, valid);
    } else {
#pragma unroll
      for (int i = 0; i < kPack<T>; ++i) to[i] = has_row && k + i < from.depth ? at[i] : T(0.0f);
    }
  }

  __device__ void multiply(const T (&chunk)[kOperandRows][kPitch]) {
    const int lane = static_cast<int>(threadIdx.x) % kLanes, warp = static_cast<int>(threadIdx.x) / kLanes;
    if constexpr (kTensor) {
      // Matrices of ldmatrix: rows 0 to 7 and 8 to 15 of the first 8 elements of k, then of the last 8.
      const int k = warp * kMmaK + lane / 16 * 8, row = lane % 16;
      FragmentA a[row_groups];
#pragma unroll
      for (int r = 0; r < row_groups; ++r) load_matrices<false>(a[r].r, &chunk[r * kTileRows + row][k]);
#pragma unroll
      for (int g = 0; g < groups; ++g) {
        uint32_t b[4];
        load_matrices<false>(b, &chunk[kRows + g * kTileColumns + row][k]);
#pragma unroll
        for (int r = 0; r < row_groups; ++r) {
          multiply_add<T>(own.v[r][g][0], a[r], FragmentB{{b[0], b[2]}});
          multiply_add<T>(own.v[r][g][1], a[r], FragmentB{{b[1], b[3]}});
        }
      }
    } else {
      constexpr int width = kPack<T>;
#pragma unroll 1
      for (int step = 0; step < kPacks / kTileWarps; ++step) {
        const int k = (warp + step * kTileWarps) * width;
        Pack<T, width> a[4 * row_groups];
#pragma unroll
        for (int i = 0; i < 4 * row_groups; ++i) a[i] = load_pack<width>(&chunk[lane / 8 + 4 * i][k]);
#pragma unroll
        for (int g = 0; g < groups; ++g)
#pragma unroll
          for (int j = 0; j < 2; ++j) {
            const auto b = load_pack<width>(&chunk[kRows + g * kTileColumns + lane % 8 + 8 * j][k]);
#pragma unroll
            for (int i = 0; i < 4 * row_groups; ++i)
#pragma unroll
              for (int e = 0; e < width; ++e)
                own.v[i / 4][g][i % 4][j] = fma_of(a[i].v[e], b.v[e], own.v[i / 4][g][i % 4][j]);
          }
      }
    }
  }

  __device__ void lay_out(W (&part)[groups][kRows][kTileColumns]) const {
    const int lane = static_cast<int>(threadIdx.x) % kLanes;
#pragma unroll
    for (int g = 0; g < groups; ++g)
#pragma unroll
      for (int j = 0; j < 2; ++j)
#pragma unroll
        for (int i = 0; i < 4 * row_groups; ++i) {
          const int first = i / 4 * kTileRows;
          if constexpr (kTensor)
            part[g][first + lane / 4 + i % 4 / 2 * 8][8 * j + lane % 4 * 2 + i % 2] = own.v[i / 4][g][j].v[i % 4];
          else
            part[g][first + lane / 8 + 4 * (i % 4)][lane % 8 + 8 * j] = own.v[i / 4][g][i % 4][j];
        }
  }
};

}  // namespace tinydl::cuda
