// Products on tiles of 64 x 64 scores by fused multiply-adds, for operands of any type and length: 256 threads, of
// which thread (y, x) = (i / 16, i % 16) holds the scores of rows y + 16 i and columns x + 16 j, and of rows y + 16 i
// of results packs of neighbouring columns.
#pragma once
#include "cuda/attention/problem.h"
#include "cuda/device/async_copy.h"
#include "cuda/device/reduce.h"

namespace tinydl::cuda {

constexpr int kSide = 64, kPlainThreads = 256, kEach = 4;  // kEach x kEach scores a thread

__device__ __forceinline__ int plain_row(int i) { return static_cast<int>(threadIdx.x) / 16 + 16 * i; }
__device__ __forceinline__ int plain_column(int j) { return static_cast<int>(threadIdx.x) % 16 + 16 * j; }

// Features `first` to `first + columns` of 64 rows; zeros where there are none. To be followed by end_copy_group.
template <int columns, int pitch, class T, class W>
__device__ void stage(const HeadRows<T>& from, int first, W (&to)[kSide][pitch]) {
  constexpr int width = kPack<W>, packs = columns / width;
  static_assert(kSide * packs % kPlainThreads == 0, "every thread stages as many packs");
#pragma unroll 2
  for (int n = 0; n < kSide * packs / kPlainThreads; ++n) {
    const int i = static_cast<int>(threadIdx.x) + n * kPlainThreads, row = i / packs, column = i % packs * width;
    const bool has_row = row < from.count;
    const T* at = from.data + (has_row ? row : 0) * from.stride + first + column;
    if constexpr (std::is_same_v<T, W>) {
      if (from.packs) {
        const bool valid = has_row && first + column < from.depth;
        copy_async<kAccessBytes>(&to[row][column], valid ? at : from.data, valid);
        continue;
      }
    }
#pragma unroll
    for (int e = 0; e < width; ++e) to[row][column + e] = has_row && first + column + e < from.depth ? W(at[e]) : W(0);
  }
}

// Chunks of 128 bytes of features, one of which comes while another is multiplied.
template <class W>
struct ScoreStorage {
  static constexpr int kDepth = 128 / sizeof(W), kPitch = kDepth + kPack<W>;
  W a[2][kSide][kPitch], b[2][kSide][kPitch];
};

// scores[i][j] = a_row . b_column. All copies that were under way before have arrived on return.
template <class T, class W>
__device__ void score_tile(const HeadRows<T>& a, const HeadRows<T>& b, ScoreStorage<W>& shared,
                           W (&scores)[kEach][kEach]) {
  constexpr int depth = ScoreStorage<W>::kDepth, width = kPack<W>;
#pragma unroll
  for (int i = 0; i < kEach; ++i)
#pragma unroll
    for (int j = 0; j < kEach; ++j) scores[i][j] = 0;
  const int chunks = (a.depth + depth - 1) / depth;
  for (int c = 0; c <= chunks; ++c) {
    if (c < chunks) {
      stage<depth>(a, c * depth, shared.a[c % 2]);
      stage<depth>(b, c * depth, shared.b[c % 2]);
    }
    end_copy_group();
    wait_for_copies<1>();
    __syncthreads();
    if (c > 0) {
#pragma unroll 2
      for (int f = 0; f < depth; f += width) {
        Pack<W, width> x[kEach];
#pragma unroll
        for (int i = 0; i < kEach; ++i) x[i] = load_pack<width>(&shared.a[(c - 1) % 2][plain_row(i)][f]);
#pragma unroll
        for (int j = 0; j < kEach; ++j) {
          const auto y = load_pack<width>(&shared.b[(c - 1) % 2][plain_column(j)][f]);
#pragma unroll
          for (int i = 0; i < kEach; ++i)
#pragma unroll
            for (int e = 0; e < width; ++e) scores[i][j] = fma_of(x[i].v[e], y.v[e], scores[i][j]);
        }
      }
    }
    __syncthreads();
  }
}

// Of results: rows plain_row(i), packs of columns from result_column(p) on.
template <class W, int columns>
struct Results {
  static constexpr int kWidth = kPack<W>, kPacks = columns / 16 / kWidth;
  Pack<W, kWidth> v[kEach][kPacks];
  static __device__ __forceinline__ int column(int p) { return (static_cast<int>(threadIdx.x) % 16 + 16 * p) * kWidth; }

  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < kEach; ++i) scale_row(i, W(0), true);
  }
  __device__ __forceinline__ void scale_row(int i, W factor, bool clears = false) {
#pragma unroll
    for (int p = 0; p < kPacks; ++p)
#pragma unroll
      for (int e = 0; e < kWidth; ++e) v[i][p].v[e] = clears ? W(0) : v[i][p].v[e] * factor;
  }

  // Adds the product of weights (64 x 64) and rows.
  template <int pitch>
  __device__ void add(const W (&weights)[kSide][pitch], const W (&rows)[kSide][columns]) {
#pragma unroll 1
    for (int k = 0; k < kSide; k += kWidth) {
      Pack<W, kWidth> x[kEach];
#pragma unroll
      for (int i = 0; i < kEach; ++i) x[i] = load_pack<kWidth>(&weights[plain_row(i)][k]);
#pragma unroll
      for (int s = 0; s < kWidth; ++s)
#pragma unroll
        for (int p = 0; p < kPacks; ++p) {
          const auto y = load_pack<kWidth>(&rows[k + s][column(p)]);
#pragma unroll
          for (int i = 0; i < kEach; ++i)
#pragma unroll
            for (int e = 0; e < kWidth; ++e) v[i][p].v[e] = fma_of(x[i].v[s], y.v[e], v[i][p].v[e]);
        }
    }
  }

  // Row i, times `factor`, to a row of `end` elements of which this block has those from `first` on.
  template <class T>
  __device__ void write_row(int i, W factor, T* to, int first, int end) const {
#pragma unroll
    for (int p = 0; p < kPacks; ++p)
#pragma unroll
      for (int e = 0; e < kWidth; ++e) {
        const int f = first + column(p) + e;
        if (f < end) to[f] = T(v[i][p].v[e] * factor);
      }
  }
};

// A thread's scores' places: query and key of its row i and column j.
struct ScorePlace {
  HeadPlace at;
  int query, key;  // the tile's first
  __device__ int query_of(int i) const { return query + plain_row(i); }
  __device__ int key_of(int j) const { return key + plain_column(j); }
};

// score = scale score + mask, minus infinity where it is hidden.
template <class T, class W>
__device__ void add_terms(const Problem<T>& x, const ScorePlace& tile, W (&scores)[kEach][kEach]) {
#pragma unroll
  for (int i = 0; i < kEach; ++i)
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      const int query = tile.query_of(i), key = tile.key_of(j);
      scores[i][j] *= x.scale;
      if (!is_seen(x, query, key))
        scores[i][j] = -kInfinity<W>;
      else if (has_mask(x) && query < x.queries)
        scores[i][j] += mask_term(x, tile.at, query, key);
    }
}

// Which of row i's four scores are kept, as bits. The scores of four neighbouring lanes share their random numbers: of
// the four columns of each, each lane draws one, and all exchange.
template <class T>
__device__ unsigned kept_of_row(const Problem<T>& x, const ScorePlace& tile, int i) {
  static_assert(kEach == 4, "four lanes draw for four columns");
  const int own = static_cast<int>(threadIdx.x) % 4;
  const unsigned drawn = kept_of_four(x, row_number(x, tile.at, tile.query_of(i)), tile.key_of(own) / 4);
  unsigned kept = 0;
#pragma unroll
  for (int other = 0; other < 4; ++other) {
    const unsigned bits = __shfl_xor_sync(kAllLanes, drawn, other);
    kept |= (bits >> own & 1) << (own ^ other);
  }
  return kept;
}

}  // namespace tinydl::cuda
