// Products whose B is not packed: small ones, and flat ones of a few rows, where packing costs more than it saves.
//
// A task is a panel of columns of one product; panels are narrower where there are fewer of them than workers. Sums run
// over k in order; those of a large B are cut every kSweptRows. Up to four rows times a B whose columns are contiguous
// are dot products, summed in vectors along k.
#pragma once
#include "cpu/matmul/batch.h"
#include "cpu/matmul/gemm.h"

namespace tinydl::TINYDL_TIER {

// Multiply-adds of a tiny product; of a small one, with the rows that are too few for each packed element to be used
// often, and the longest sum in one piece. Tiny ones alone: 32 x 64 x 576 0.84 to 0.91 of now, 96^3 to 112^3 0.87 to
// 0.93, 20 x 256 x 256 0.77 (one thread); 2560 rows by 65 x 16 are the faster for being packed (0.91).
constexpr int64_t kTinyProduct = 80 * 80 * 80;
constexpr int64_t kSmallProduct = 160 * 160 * 160;
constexpr int64_t kSmallRows = 144;
constexpr int64_t kSmallDepth = 1024;
constexpr int64_t kFlatRows = 12;
constexpr int kDotRows = 4;
constexpr int64_t kSweptRows = 32;
constexpr int64_t kSweptElements = 256 * 1024;  // of B, beyond which it comes from the third-level cache or memory

// A stride of 0 would have the tile's loop over k end before it begins.
template <class T>
bool is_unpacked(int64_t m, int64_t n, int64_t k, const MatrixBatch<T>& a) {
  const int64_t work = m * n * k;
  const bool small = work <= kSmallProduct && m <= kSmallRows && k <= kSmallDepth;
  return (work <= kTinyProduct || small || m <= kFlatRows) && a.column_stride != 0;
}

// One matrix of the batch, and what becomes of it.
template <class T>
struct Unpacked {
  int64_t m, n, k;
  const T* a;
  int64_t a_row, a_column;
  const T* b;
  int64_t b_row, b_column;
  const Epilogue<T>& epilogue;
  const Panels<T>& panels;
  T* c;

  int64_t width(int64_t panel) const { return smaller(panels.width(panel), n - panels.column(panel)); }

  // C's columns [column, column + width) from B's, whose neighbours are `from` + 1 and whose rows lie `b_step` apart,
  // over k from `first_k`; later parts of k add to C, and the last one completes it.
  void panel(int64_t column, int64_t width, const T* from, int64_t b_step, int64_t first_k, int64_t count) const {
    const Run part{first_k * a_column, 0, count};
    const T* rows[kMaxTileRows];
    T* targets[kMaxTileRows];
    const int vectors = static_cast<int>(div_up(width, Vec<T>::size));
    const int tail = static_cast<int>(width - (vectors - 1) * Vec<T>::size);
    const bool last = first_k + count == k;
    TileJob<T> job{};
    job.a = rows;
    job.a_step = a_column;
    job.b = from;
    job.b_step = b_step;
    job.runs = &part;
    job.run_count = 1;
    job.c = targets;
    job.partial = first_k > 0 ? targets : nullptr;
    job.tail = tail;
    job.epilogue = last && (epilogue.bias || epilogue.activation != Activation::none) ? &epilogue : nullptr;
    job.bias = epilogue.bias ? epilogue.bias + column : nullptr;
    const int step = kTileRows[vectors];
    for (int64_t i = 0; i < m; i += step) {
      job.rows = static_cast<int>(smaller(step, m - i));
      for (int r = 0; r < step; ++r) {
        const int64_t row = i + smaller(r, job.rows - 1);
        rows[r] = a + row * a_row;
        targets[r] = c + row * n + column;
      }
      const bool whole = tail == Vec<T>::size;
      (whole ? tile_for<T, false>(vectors, job.rows) : tile_for<T, true>(vectors, job.rows))(job);
    }
  }
  void panel(int64_t column, int64_t width, const T* from, int64_t b_step) const {
    panel(column, width, from, b_step, 0, k);
  }

  // Panels [begin, end) of a large B of contiguous rows: a few rows at a time, whose panels the hardware fetches ahead.
  void sweep(int64_t begin, int64_t end) const {
    for (int64_t first = 0; first < k; first += kSweptRows)
      for (int64_t p = begin; p < end; ++p) {
        const int64_t column = panels.column(p);
        panel(column, width(p), b + first * b_row + column, b_row, first, smaller(kSweptRows, k - first));
      }
  }
  bool is_swept() const { return !sums_along_k() && b_column == 1 && k > 2 * kSweptRows && n * k > kSweptElements; }

  // The same from contiguous columns of B: sums over lanes.
  void dots(int64_t column, int64_t width) const {
    for (int64_t j = column; j < column + width; ++j)
      for (int64_t i = 0; i < m; ++i) c[i * n + j] = dot(a + i * a_row, b + j * b_column);
    for (int64_t i = 0; i < m; ++i) finish(column, width, c + i * n + column);
  }
  T dot(const T* x, const T* y) const {
    Vec<T> sums[4] = {Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0))};
    constexpr int64_t kStep = 4 * Vec<T>::size;
    int64_t at = 0;
    for (; at + kStep <= k; at += kStep)
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v)
        sums[v] = fma(Vec<T>::load(x + at + v * Vec<T>::size), Vec<T>::load(y + at + v * Vec<T>::size), sums[v]);
    for (; at < k; at += Vec<T>::size) {
      const int lanes = static_cast<int>(smaller(Vec<T>::size, k - at));
      sums[0] = fma(Vec<T>::load(x + at, lanes), Vec<T>::load(y + at, lanes), sums[0]);
    }
    return sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
  }
  void finish(int64_t column, int64_t width, T* row) const {
    for (int64_t j = 0; j < width; j += Vec<T>::size) {
      const int lanes = static_cast<int>(smaller(Vec<T>::size, width - j));
      Vec<T> x = Vec<T>::load(row + j, lanes);
      if (epilogue.bias) x = x + Vec<T>::load(epilogue.bias + column + j, lanes);
      activate(x, epilogue.activation).store(row + j, lanes);
    }
  }
  bool sums_along_k() const { return m <= kDotRows && b_row == 1 && (b_column != 1 || n == 1) && a_column == 1; }
};

// The panels of a batch of products: so narrow that one tile holds all rows of a few, and B is read once; and enough
// for all workers, where columns are enough.
template <class T>
Panels<T> unpacked_panels(int64_t batch, int64_t m, int64_t n, int64_t work) {
  Panels<T> panels(n);
  int vectors = kMaxVectors;
  while (vectors > 1 && kTileRows[vectors] < m && m <= kTileRows[vectors - 1]) --vectors;
  panels.count = div_up(panels.vectors, vectors);
  const int64_t workers = workers_for(batch * panels.vectors, work);
  if (batch * panels.count < workers) panels.count = smaller(panels.vectors, div_up(workers, batch));
  return panels;
}

template <class T>
void unpacked_products(int64_t batch, int64_t m, int64_t n, int64_t k, const MatrixBatch<T>& a, const MatrixBatch<T>& b,
                       const Epilogue<T>& epilogue, T* c) {
  const int64_t work = batch * product_work<T>(m, n, k);
  const Panels<T> panels = unpacked_panels<T>(batch, m, n, work);
  const int64_t tasks = batch * panels.count;
  const bool copied = b.column_stride != 1;
  const size_t share = copied ? static_cast<size_t>(k * kPanel<T>) * sizeof(T) : 0;
  const int workers = workers_for(tasks, work);
  Scratch scratch(share * static_cast<size_t>(workers));
  char* memory = static_cast<char*>(scratch.data());
  parallel_for_workers(tasks, workers, [&](int64_t begin, int64_t end, int worker) {
    const FlushDenormals flush;
    T* copy = reinterpret_cast<T*>(memory + share * static_cast<size_t>(worker));
    for (int64_t t = begin, next; t < end; t = next) {
      next = t + 1;
      const int64_t i = t / panels.count, panel = t % panels.count, column = panels.column(panel);
      const Unpacked<T> one{m,
                            n,
                            k,
                            a.data + (a.offsets ? a.offsets[i] : 0),
                            a.row_stride,
                            a.column_stride,
                            b.data + (b.offsets ? b.offsets[i] : 0),
                            b.row_stride,
                            b.column_stride,
                            epilogue,
                            panels,
                            c + i * m * n};
      const T* from = one.b + column * b.column_stride;
      const int64_t width = one.width(panel), padded = panels.width(panel);
      if (one.is_swept()) {
        next = smaller(end, (i + 1) * panels.count);
        one.sweep(panel, next - i * panels.count);
      } else if (one.sums_along_k()) {
        one.dots(column, width);
      } else if (copied) {
        pack_columns(from, b.row_stride, b.column_stride, k, width, padded, padded, copy);
        one.panel(column, width, copy, padded);
      } else {
        one.panel(column, width, from, b.row_stride);
      }
    }
  });
}

}  // namespace tinydl::TINYDL_TIER
