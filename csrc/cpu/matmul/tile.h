// The microkernel of every product: a tile of C in registers, kRows x NV vectors.
//
//   C[i, j] (+)= sum over runs, over k in the run, of A[i, k] * B[k, j]
//
// A is read through one pointer per row, so that rows of a matrix, pixels of an image and packed blocks all serve
// unchanged; B is read as NV vectors per k, packed or not. Each k costs kRows broadcasts and NV loads for kRows * NV
// fused multiply-adds: 0.42 loads per FMA for 6 x 4 on AVX-512, 0.58 for 4 x 3 on AVX2.
#pragma once
#include "contract/matmul.h"
#include "cpu/matmul/depth.h"
#include "cpu/simd/math.h"
#include "cpu/simd/vec.h"

namespace tinydl::TINYDL_TIER {

#if defined(TINYDL_TIER_avx512)
constexpr int kMaxVectors = 4;
constexpr int kTileRows[] = {0, 8, 8, 8, 6};
#elif defined(TINYDL_TIER_avx2)
constexpr int kMaxVectors = 3;
constexpr int kTileRows[] = {0, 6, 6, 4};
#else
constexpr int kMaxVectors = 2;
constexpr int kTileRows[] = {0, 4, 4};
#endif
constexpr int kMaxTileRows = 8;

template <class T>
constexpr int kPanel = kMaxVectors * Vec<T>::size;  // columns of a full tile

template <class T>
struct TileJob {
  const T* const* a;  // as many pointers as the tile has rows (past the last row they repeat it)
  int64_t a_step;     // from k to k + 1 in A
  const T* b;
  int64_t b_step;  // from k to k + 1 in B
  const Run* runs;
  int run_count;
  T* const* c;                  // `rows` pointers to the tile's first column
  int rows;                     // of C to write
  int tail;                     // lanes in use of the last vector of columns
  const T* const* partial;      // null, or `rows` pointers to sums so far, which are added
  const Epilogue<T>* epilogue;  // null unless this completes C
  const T* bias;                // epilogue's bias at the tile's first column, or null
};

template <class V>
TINYDL_INLINE V activate(V x, Activation activation) {
  switch (activation) {
    case Activation::relu:
      return select(x < V(0), V(0), x);
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::tanh:
      return tanh(x);
    case Activation::none:
      break;
  }
  return x;
}

template <class T, int NV, bool masked>
TINYDL_INLINE Vec<T> load_column(const T* p, int v, int tail) {
  if (masked && v == NV - 1) return Vec<T>::load(p + v * Vec<T>::size, tail);
  return Vec<T>::load(p + v * Vec<T>::size);
}

// acc[i][v] += sum over k < count of a[i][k * a_step] * b[k * b_step + v]
template <class T, int rows, int NV, bool masked>
TINYDL_INLINE void multiply(Vec<T> (&acc)[rows][NV], const T* const (&a)[rows], int64_t a_step, const T* b,
                            int64_t b_step, int64_t count, int tail) {
  const int64_t end = count * a_step;
  for (int64_t k = 0; k != end; k += a_step, b += b_step) {
    Vec<T> column[NV];
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) column[v] = load_column<T, NV, masked>(b, v, tail);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const Vec<T> value(a[i][k]);
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[i][v] = fma(value, column[v], acc[i][v]);
    }
  }
}

// Adds the bias to the stored tile and applies the activation; the tile is still in the first-level cache.
template <class T, int NV>
void finish_tile(const TileJob<T>& job) {
  for (int i = 0; i < job.rows; ++i)
    for (int v = 0; v < NV; ++v) {
      const int lanes = v == NV - 1 ? job.tail : Vec<T>::size;
      T* at = job.c[i] + v * Vec<T>::size;
      Vec<T> x = Vec<T>::load(at, lanes);
      if (job.bias) x = x + Vec<T>::load(job.bias + v * Vec<T>::size, lanes);
      activate(x, job.epilogue->activation).store(at, lanes);
    }
}

// `masked` reads B's last vector under the tail's mask; packed B is padded and needs none.
template <class T, int NV, int rows, bool masked>
void run_tile(const TileJob<T>& job) {
  Vec<T> acc[rows][NV];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) acc[i][v] = Vec<T>(T(0));
  if (job.partial)
    for (int i = 0; i < job.rows; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) __builtin_prefetch(job.partial[i] + v * Vec<T>::size, 1);
  for (int r = 0; r < job.run_count; ++r) {
    const Run run = job.runs[r];
    const T* a[rows];
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) a[i] = job.a[i] + run.a_offset;
    multiply<T, rows, NV, masked>(acc, a, job.a_step, job.b + run.k * job.b_step, job.b_step, run.length, job.tail);
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
    if (i >= job.rows) break;
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      const int lanes = v == NV - 1 ? job.tail : Vec<T>::size;
      T* at = job.c[i] + v * Vec<T>::size;
      if (job.partial) acc[i][v] = acc[i][v] + Vec<T>::load(job.partial[i] + v * Vec<T>::size, lanes);
      acc[i][v].store(at, lanes);
    }
  }
  if (job.epilogue) finish_tile<T, NV>(job);
}

template <class T>
using Tile = void (*)(const TileJob<T>&);

// The lowest tile of NV vectors that holds `rows` rows, or the highest.
template <class T, int NV, bool masked>
Tile<T> tile_of_height(int64_t rows) {
  if (rows == 1) return run_tile<T, NV, 1, masked>;
  if (rows == 2) return run_tile<T, NV, 2, masked>;
  if (rows <= 4) return run_tile<T, NV, 4, masked>;
  return run_tile<T, NV, kTileRows[NV], masked>;
}

// The tile for a panel of `vectors` vectors of columns and `rows` rows, or the first of them.
template <class T, bool masked>
Tile<T> tile_for(int vectors, int64_t rows) {
  switch (vectors) {
    case 1:
      return tile_of_height<T, 1, masked>(rows);
    case 2:
      return tile_of_height<T, 2, masked>(rows);
#if !defined(TINYDL_TIER_portable)
    case 3:
      return tile_of_height<T, 3, masked>(rows);
#endif
#if defined(TINYDL_TIER_avx512)
    case 4:
      return tile_of_height<T, 4, masked>(rows);
#endif
    default:
      return nullptr;
  }
}

}  // namespace tinydl::TINYDL_TIER
