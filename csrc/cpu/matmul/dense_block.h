// Blocks of a strided matrix of floats, copied so that neighbours lie in a vector of 16.
#pragma once
#include "cpu/matmul/depth.h"
#include "cpu/simd/integers.h"

namespace tinydl::TINYDL_TIER {

// rows[i][j] and rows[j][i] change places: four rounds that each swap the off-diagonal blocks, of 8, 4, 2 and 1.
TINYDL_INLINE void transpose16(Vec<float> (&rows)[16]) {
  typedef int32_t Index __attribute__((vector_size(64)));
  const Index low[] = {{0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23},
                       {0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27},
                       {0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29},
                       {0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30}};
  const Index high[] = {{8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31},
                        {4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31},
                        {2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31},
                        {1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31}};
#pragma GCC unroll 4
  for (int round = 0; round < 4; ++round) {
    const int distance = 8 >> round;
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      if (i & distance) continue;
      const Vec<float>::Native a = rows[i].v, b = rows[i + distance].v;
      rows[i] = __builtin_shuffle(a, b, low[round]);
      rows[i + distance] = __builtin_shuffle(a, b, high[round]);
    }
  }
}

// to[i * pitch + j] = from[i * row_stride + j * column_stride] for i < rows <= 16, j < columns; zeros in the columns up
// to the next multiple of 16.
inline void copy_block(const float* from, int64_t row_stride, int64_t column_stride, int64_t rows, int64_t columns,
                       float* to, int64_t pitch) {
  const int row_lanes = static_cast<int>(rows);
  for (int64_t j = 0; j < columns; j += 16, from += 16 * column_stride, to += 16) {
    const int lanes = static_cast<int>(smaller(16, columns - j));
    if (row_stride == 1) {
      Vec<float> block[16];
      for (int i = 0; i < 16; ++i)
        block[i] = i < lanes ? Vec<float>::load(from + i * column_stride, row_lanes) : Vec<float>(0.0f);
      transpose16(block);
      for (int i = 0; i < row_lanes; ++i) block[i].store(to + i * pitch);
      continue;
    }
    for (int i = 0; i < row_lanes; ++i) {
      const float* row = from + i * row_stride;
      const Vec<float> values =
          column_stride == 1 ? Vec<float>::load(row, lanes) : Vec<float>::gather(row, column_stride, lanes);
      values.store(to + i * pitch);
    }
  }
}

// to[k * pitch + j] = from[k + j * n_stride] for k < count and j < width, a multiple of 16; zeros from column n on.
inline void transpose_columns(const float* from, int64_t n_stride, int64_t count, int64_t n, int64_t width,
                              int64_t pitch, float* to) {
  for (int64_t k = 0; k < count; k += 16) {
    const int64_t rows = smaller(16, count - k);
    copy_block(from + k, 1, n_stride, rows, n, to + k * pitch, pitch);
    for (int64_t j = div_up(n, 16) * 16; j < width; j += 16)
      for (int64_t i = 0; i < rows; ++i) Vec<float>(0.0f).store(to + (k + i) * pitch + j);
  }
}

// to[i * pitch + k] = rows[i][k] over the runs of a block of k, for i < count; zeros behind, up to a multiple of 16.
inline void copy_runs(const float* const* rows, int64_t count, const DepthBlock& block, const Run* runs, float* to,
                      int64_t pitch) {
  for (int64_t i = 0; i < count; ++i, to += pitch)
    for (int r = 0; r < block.run_count; ++r)
      for (int64_t k = 0; k < runs[r].length; k += 16) {
        const int lanes = static_cast<int>(smaller(16, runs[r].length - k));
        Vec<float>::load(rows[i] + runs[r].a_offset + k, lanes).store(to + runs[r].k + k);
      }
}

}  // namespace tinydl::TINYDL_TIER
