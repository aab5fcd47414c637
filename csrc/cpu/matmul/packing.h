// Copies of operands laid out for the tile.
#pragma once
#include "cpu/matmul/depth.h"
#if defined(TINYDL_TIER_avx512)
#include "cpu/matmul/dense_block.h"
#endif
#include "cpu/matmul/tile.h"
#include "cpu/simd/integers.h"

namespace tinydl::TINYDL_TIER {

// How far ahead rows of B are fetched: short pieces of distant rows are beyond the hardware's own prefetching.
constexpr int kRowsAhead = 16;

// The columns of B cut into panels of 1 to kMaxVectors vectors, as equal as can be.
template <class T>
struct Panels {
  int64_t n, vectors, count;

  explicit Panels(int64_t n) : n(n), vectors(div_up(n, Vec<T>::size)), count(div_up(n, kPanel<T>)) {}

  int64_t column(int64_t panel) const { return vectors * panel / count * Vec<T>::size; }
  int64_t width(int64_t panel) const { return column(panel + 1) - column(panel); }  // in whole vectors
  int64_t padded() const { return vectors * Vec<T>::size; }
};

// to[k * pitch + j] = from[k * k_stride + j * n_stride] for k < count and j < n; zeros behind, up to `width`.
template <class T>
void pack_columns(const T* from, int64_t k_stride, int64_t n_stride, int64_t count, int64_t n, int64_t width,
                  int64_t pitch, T* to) {
#if defined(TINYDL_TIER_avx512)
  if constexpr (sizeof(T) == sizeof(float))
    if (k_stride == 1 && n_stride != 1) return transpose_columns(from, n_stride, count, n, width, pitch, to);
#endif
  for (int64_t k = 0; k < count; ++k, to += pitch, from += k_stride) {
    int64_t j = 0;
    if (n_stride == 1)
      for (; j < n; j += Vec<T>::size) {
        const int lanes = static_cast<int>(smaller(Vec<T>::size, n - j));
        __builtin_prefetch(from + j + kRowsAhead * k_stride);
        Vec<T>::load(from + j, lanes).store(to + j);
      }
    else
      for (; j < n; ++j) to[j] = from[j * n_stride];
    for (; j < width; ++j) to[j] = T(0);
  }
}

// to[i * pitch + k] = from[i * row_stride + k * k_stride] for i < rows and k < count; what lies behind is left
// undefined.
template <class T>
void pack_rows(const T* from, int64_t row_stride, int64_t k_stride, int64_t rows, int64_t count, int64_t pitch, T* to) {
#if defined(TINYDL_TIER_avx512)
  if constexpr (sizeof(T) == sizeof(float)) {
    for (int64_t i = 0; i < rows; i += 16)
      copy_block(from + i * row_stride, row_stride, k_stride, smaller(16, rows - i), count, to + i * pitch, pitch);
    return;
  }
#endif
  for (int64_t i = 0; i < rows; ++i, from += row_stride, to += pitch)
    for (int64_t k = 0; k < count; ++k) to[k] = from[k * k_stride];
}

// Packs one panel of one block of B. `columns.at(k, &from)` sets where column 0 of row k lies and returns for how many
// further rows, including k, the distance stays columns.k_stride; columns.n_stride separates columns.
template <class T, class Columns>
void pack_panel(const Columns& columns, const DepthBlock& block, const Panels<T>& panels, int64_t panel, T* to) {
  const int64_t column = panels.column(panel), width = panels.width(panel);
  for (int64_t k = 0; k < block.length;) {
    const T* from;
    const int64_t same = smaller(columns.at(block.first_k + k, &from), block.length - k);
    pack_columns(from + column * columns.n_stride, columns.k_stride, columns.n_stride, same,
                 smaller(width, panels.n - column), width, width, to + k * width);
    k += same;
  }
}

}  // namespace tinydl::TINYDL_TIER
