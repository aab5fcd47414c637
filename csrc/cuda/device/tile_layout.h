// Tiles of operands in shared memory: `lines` (rows of A, or columns of B) by `depth` steps of the sum, stored either
// along the sum, one row for each line, or along the lines, one row for each step. A row is cut into chunks of 16
// bytes, which an XOR with the row's number permutes, so that chunks of one column, in eight neighbouring rows, lie in
// different banks.
#pragma once
#include "cuda/device/pack.h"

namespace tinydl::cuda {

enum class Along { sum, lines };  // the axis whose neighbours are neighbours in memory

template <class T, int lines_, int depth_, Along along_>
struct TileLayout {
  using Element = T;
  static constexpr int lines = lines_, depth = depth_;
  static constexpr Along along = along_;
  static constexpr int rows = along == Along::sum ? lines : depth, columns = along == Along::sum ? depth : lines;
  static constexpr int chunks = columns / kPack<T>, elements = lines * depth;
  // Wider types are read along a row of lines, never down a column of chunks.
  static constexpr bool permuted = along == Along::sum || sizeof(T) == 2;
  static_assert(chunks > 0 && (chunks & (chunks - 1)) == 0 && columns % kPack<T> == 0, "rows are whole chunks");

  // The first element of a chunk.
  __device__ static __forceinline__ int at(int row, int chunk) {
    constexpr unsigned rows_in_banks = chunks < 8 ? 8 / chunks : 1, mask = chunks < 8 ? chunks - 1 : 7;
    if (permuted) chunk ^= static_cast<int>(static_cast<unsigned>(row) / rows_in_banks & mask);
    return (row * chunks + chunk) * kPack<T>;
  }
};

}  // namespace tinydl::cuda
