// Small products, where packing and waking threads would cost more than the product: tiles straight from A and B.
//
// The sums run over k in the same order as in gemm.h, so that both give the same bits.
#pragma once
#include "cpu/matmul/gemm.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kSmallProduct = 48 * 48 * 48;  // multiply-adds

// A repeated column would have the tile's loop over k end before it begins.
template <class T>
bool is_small(int64_t m, int64_t n, int64_t k, const MatrixBatch<T>& a) {
  return m * n * k <= kSmallProduct && a.column_stride != 0;
}

// Whether B's rows must be copied: the tile reads vectors of columns.
template <class T>
bool needs_copy(const MatrixBatch<T>& b, int64_t n) {
  return b.column_stride != 1 && n > 1;
}

// C (m, n) = activation(A B + bias) for B whose columns are neighbours and whose rows lie `b_step` apart.
template <class T>
void small_product(int64_t m, int64_t n, int64_t k, const T* a, const MatrixBatch<T>& a_form, const T* b,
                   int64_t b_step, const Epilogue<T>& epilogue, T* c) {
  const Run all{0, 0, k};
  const T* rows[kMaxTileRows];
  T* targets[kMaxTileRows];
  TileJob<T> job;
  job.a = rows;
  job.a_step = a_form.column_stride;
  job.b_step = b_step;
  job.runs = &all;
  job.run_count = 1;
  job.c = targets;
  job.accumulate = false;
  job.epilogue = epilogue.bias || epilogue.activation != Activation::none ? &epilogue : nullptr;
  for (int64_t column = 0; column < n; column += kPanel<T>) {
    const int64_t width = smaller(kPanel<T>, n - column);
    const int vectors = static_cast<int>(div_up(width, Vec<T>::size));
    job.b = b + column;
    job.bias = epilogue.bias ? epilogue.bias + column : nullptr;
    job.tail = static_cast<int>(width - (vectors - 1) * Vec<T>::size);
    const auto tile = job.tail == Vec<T>::size ? tile_for<T, false>(vectors) : tile_for<T, true>(vectors);
    const int step = kTileRows[vectors];
    for (int64_t i = 0; i < m; i += step) {
      job.rows = static_cast<int>(smaller(step, m - i));
      for (int r = 0; r < step; ++r) {
        const int64_t row = i + smaller(r, job.rows - 1);
        rows[r] = a + row * a_form.row_stride;
        targets[r] = c + row * n + column;
      }
      tile(job);
    }
  }
}

// A batch of small products, shared among the threads.
template <class T>
void small_products(int64_t batch, int64_t m, int64_t n, int64_t k, const MatrixBatch<T>& a, const MatrixBatch<T>& b,
                    const Epilogue<T>& epilogue, T* c) {
  const bool copied = needs_copy(b, n);
  const int64_t work = batch * m * div_up(n, Vec<T>::size) * (k + 8) / 2;
  const size_t share = copied ? static_cast<size_t>(k * n) * sizeof(T) : 0;
  Scratch scratch(share * static_cast<size_t>(workers_for(batch, work)));
  char* memory = static_cast<char*>(scratch.data());
  parallel_for(batch, work, [&](int64_t begin, int64_t end, int worker) {
    const FlushDenormals flush;
    T* copy = reinterpret_cast<T*>(memory + share * static_cast<size_t>(worker));
    for (int64_t i = begin; i < end; ++i) {
      const T* ai = a.data + (a.offsets ? a.offsets[i] : 0);
      const T* bi = b.data + (b.offsets ? b.offsets[i] : 0);
      if (copied) pack_columns(bi, b.row_stride, b.column_stride, k, n, n, copy);
      small_product(m, n, k, ai, a, copied ? copy : bi, copied ? n : b.row_stride, epilogue, c + i * m * n);
    }
  });
}

}  // namespace tinydl::TINYDL_TIER
