// The loops around the tile, for products whose right operand is packed.
//
//   B is packed once, in parallel, as [k block][panel][k][column]: a panel is kPanel columns, and a block's panel fits
//   in two thirds of the first-level cache. Tasks are blocks of kBlockRows rows x kBlockPanels panels of C:
//
//     for each k block            (B's block panel: 32 KB)
//       for each panel
//         for each tile of rows   (A's rows: streamed from the second-level cache)
//           tile of C += A rows * B panel
//
// Blocks depend on the problem's shape alone. A `Rows` source says where the rows of A and C start, and may copy a
// block of A to scratch memory first: stage() for each k block.
#pragma once
#include "cpu/matmul/depth.h"
#if defined(TINYDL_TIER_avx512)
#include "cpu/matmul/dense_block.h"
#endif
#include "cpu/matmul/tile.h"
#include "cpu/runtime/allocator.h"
#include "cpu/runtime/parallel.h"
#include "cpu/simd/integers.h"

namespace tinydl::TINYDL_TIER {

constexpr int kBlockRows = 96;  // a multiple of every kTileRows
constexpr int kBlockPanels = 8;

template <class T>
constexpr int64_t kBlockDepth = 32768 / (kPanel<T> * static_cast<int64_t>(sizeof(T)));

// Columns of a packed B, in whole vectors.
template <class T>
TINYDL_INLINE int64_t padded_columns(int64_t n) {
  return div_up(n, Vec<T>::size) * Vec<T>::size;
}

// to[k][j] = from[k * k_stride + j * n_stride] for k < count and j < width; zeros from column n on.
template <class T>
void pack_columns(const T* from, int64_t k_stride, int64_t n_stride, int64_t count, int64_t n, int64_t width, T* to) {
#if defined(TINYDL_TIER_avx512)
  if constexpr (sizeof(T) == sizeof(float))
    if (k_stride == 1 && n_stride != 1) return transpose_columns(from, n_stride, count, n, width, to);
#endif
  for (int64_t k = 0; k < count; ++k, to += width, from += k_stride) {
    int64_t j = 0;
    if (n_stride == 1)
      for (; j < n; j += Vec<T>::size) {
        const int lanes = static_cast<int>(smaller(Vec<T>::size, n - j));
        Vec<T>::load(from + j, lanes).store(to + j);
      }
    else
      for (; j < n; ++j) to[j] = from[j * n_stride];
    for (; j < width; ++j) to[j] = T(0);
  }
}

// Packs all of B. `columns.at(k, &from)` sets where column 0 of row k lies and returns for how many further rows,
// including k, the distance stays columns.k_stride; columns.n_stride separates columns.
template <class T, class Columns>
void pack_b(const Columns& columns, const Depth& depth, int64_t n, T* packed) {
  const int64_t panels = div_up(n, kPanel<T>), padded = padded_columns<T>(n);
  parallel_for(panels * depth.block_count(), depth.total() * padded / 2, [&](int64_t begin, int64_t end, int) {
    for (int64_t task = begin; task < end; ++task) {
      const DepthBlock& block = depth.block(static_cast<int>(task / panels));
      const int64_t column = task % panels * kPanel<T>;
      const int64_t width = smaller(kPanel<T>, padded - column);
      T* to = packed + block.first_k * padded + column * block.length;
      for (int64_t k = 0; k < block.length;) {
        const T* from;
        const int64_t same = smaller(columns.at(block.first_k + k, &from), block.length - k);
        pack_columns(from + column * columns.n_stride, columns.k_stride, columns.n_stride, same,
                     smaller(width, n - column), width, to + k * width);
        k += same;
      }
    }
  });
}

// One task: rows [first, first + count) x panels [panel, panel_end) of C.
template <class T, class Rows>
void gemm_block(const Rows& rows, const Depth& depth, const T* packed, int64_t n, int64_t first, int64_t count,
                int64_t panel, int64_t panel_end, const Epilogue<T>& epilogue, T* scratch) {
  const T* a[kBlockRows + kMaxTileRows];
  T* c[kBlockRows];
  T* tile_c[kMaxTileRows];
  rows.locate(first, count, a, c);
  const int64_t padded = padded_columns<T>(n);
  for (int b = 0; b < depth.block_count(); ++b) {
    const DepthBlock& block = depth.block(b);
    rows.stage(first, count, block, scratch, a);
    for (int i = 0; i < kMaxTileRows; ++i) a[count + i] = a[count - 1];
    for (int64_t p = panel; p < panel_end; ++p) {
      const int64_t column = p * kPanel<T>;
      const int64_t width = smaller(kPanel<T>, n - column);
      const int vectors = static_cast<int>(div_up(width, Vec<T>::size));
      const bool last = b + 1 == depth.block_count();
      TileJob<T> job;
      job.a_step = rows.step();
      job.b = packed + block.first_k * padded + column * block.length;
      job.b_step = vectors * Vec<T>::size;
      job.runs = depth.runs(block);
      job.run_count = block.run_count;
      job.c = tile_c;
      job.tail = static_cast<int>(width - (vectors - 1) * Vec<T>::size);
      job.accumulate = b > 0;
      job.epilogue = last && (epilogue.bias || epilogue.activation != Activation::none) ? &epilogue : nullptr;
      job.bias = epilogue.bias ? epilogue.bias + column : nullptr;
      const int step = kTileRows[vectors];
      for (int64_t i = 0; i < count; i += step) {
        job.a = a + i;
        job.rows = static_cast<int>(smaller(step, count - i));
        for (int r = 0; r < job.rows; ++r) tile_c[r] = c[i + r] + column;
        tile_for<T, false>(vectors, job.rows)(job);
      }
    }
  }
}

// C (m, n) = activation(A B + bias) for packed B. rows.scratch_elements() of scratch go to each worker.
template <class T, class Rows>
void gemm(const Rows& rows, const Depth& depth, const T* packed, int64_t m, int64_t n, const Epilogue<T>& epilogue) {
  const int64_t panels = div_up(n, kPanel<T>);
  const int64_t row_blocks = div_up(m, kBlockRows), panel_blocks = div_up(panels, kBlockPanels);
  const int64_t tasks = row_blocks * panel_blocks;
  const int64_t work = m * padded_columns<T>(n) / Vec<T>::size * (depth.total() + 8) / 2;
  const size_t share = static_cast<size_t>(rows.scratch_elements()) * sizeof(T);
  const int workers = workers_for(tasks, work);
  Scratch scratch(share * static_cast<size_t>(workers));
  char* memory = static_cast<char*>(scratch.data());
  parallel_for_workers(tasks, workers, [&](int64_t begin, int64_t end, int worker) {
    const FlushDenormals flush;
    T* mine = reinterpret_cast<T*>(memory + share * static_cast<size_t>(worker));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task / panel_blocks * kBlockRows, panel = task % panel_blocks * kBlockPanels;
      gemm_block(rows, depth, packed, n, first, smaller(kBlockRows, m - first), panel,
                 smaller(panels, panel + kBlockPanels), epilogue, mine);
    }
  });
}

}  // namespace tinydl::TINYDL_TIER
