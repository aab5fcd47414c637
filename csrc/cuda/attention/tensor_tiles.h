// Products on tensor cores for heads of up to 128 features of 16-bit types: 4 warps, each with 16 rows of scores in the
// layout of FragmentD, whose pairs of neighbours become the left operand of the next product without leaving the
// registers. Rows lie in shared memory padded with zeros to `head` features, and by 16 bytes so that the eight rows of
// a matrix spread over all banks.
#pragma once
#include "cuda/attention/problem.h"
#include "cuda/device/async_copy.h"
#include "cuda/device/mma.h"

namespace tinydl::cuda {

constexpr int kTensorWarps = 4, kTensorThreads = kTensorWarps * kLanes, kTensorRows = 64;
static_assert(kTensorRows == kTensorWarps * kMmaM, "a warp takes the rows of a fragment");

template <int head>
constexpr int kRowPitch = head + 8;

template <class T, int head>
using HeadTile = T[kTensorRows][kRowPitch<head>];

struct Lane {
  int group, pair;  // of rows, and of columns in a group's row
  __device__ Lane() {
    const int lane = static_cast<int>(threadIdx.x) % kLanes;
    group = lane / 4;
    pair = lane % 4;
  }
  __device__ int row(int e) const { return group + e / 2 * 8; }
  __device__ int column(int n, int e) const { return n * kMmaN + 2 * pair + e % 2; }
};
__device__ __forceinline__ int first_row_of_warp() { return static_cast<int>(threadIdx.x) / kLanes * kMmaM; }

// 64 rows of a head; to be followed by end_copy_group.
template <int head, class T>
__device__ __forceinline__ void copy_rows(const HeadRows<T>& from, HeadTile<T, head>& to) {
  constexpr int width = kPack<T>, packs = head / width;
#pragma unroll 2
  for (int i = static_cast<int>(threadIdx.x); i < kTensorRows * packs; i += kTensorThreads) {
    const int row = i / packs, column = i % packs * width;
    const bool has_row = row < from.count;
    const T* at = from.data + (has_row ? row : 0) * from.stride + column;
    if (from.packs) {
      const bool valid = has_row && column < from.depth;
      copy_async<kAccessBytes>(&to[row][column], valid ? at : from.data, valid);
    } else {
#pragma unroll
      for (int e = 0; e < width; ++e) to[row][column + e] = has_row && column + e < from.depth ? at[e] : T(0.0f);
    }
  }
}

// Two elements in a register, the first in its lower half.
template <class T>
__device__ __forceinline__ uint32_t pair_of(float low, float high) {
#ifdef __CUDACC__
  uint32_t pair;
  if constexpr (std::is_same_v<T, Bfloat16>)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  else
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return uint32_t(T(low).bits) | uint32_t(T(high).bits) << 16;
#endif
}

// The warp's own 16 rows of results, by way of its rows of a tile that no other warp reads any more, to be written
// again only after a __syncwarp.
template <int head, class T>
__device__ void write_rows(const FragmentD (&results)[head / kMmaN], const float (&factor)[2], HeadTile<T, head>& tile,
                           T* to, int64_t stride, int rows, int depth, bool packs) {
  constexpr int width = kPack<T>;
  const Lane lane;
  const int first = first_row_of_warp();
#pragma unroll
  for (int n = 0; n < head / kMmaN; ++n)
#pragma unroll
    for (int e = 0; e < 4; e += 2)
      store_pack(&tile[first + lane.row(e)][lane.column(n, e)],
                 Pack<T, 2>{{T(results[n].v[e] * factor[e / 2]), T(results[n].v[e + 1] * factor[e / 2])}});
  __syncwarp();
  for (int i = static_cast<int>(threadIdx.x) % kLanes; i < kMmaM * (head / width); i += kLanes) {
    const int row = first + i / (head / width), column = i % (head / width) * width;
    if (row >= rows || column >= depth) continue;
    T* at = to + row * stride + column;
    if (packs) {
      store_pack(at, load_pack<width>(&tile[row][column]));
    } else {
      for (int e = 0; e < width && column + e < depth; ++e) at[e] = tile[row][column + e];
    }
  }
}

// e^x to 2^-22, and 0 where that is denormal.
__device__ __forceinline__ float fast_exp(float x) {
  const float y = x * 1.4426950408889634f;
#ifdef __CUDACC__
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(y));
  return power;
#else
  return std::exp2(y);
#endif
}

// 16 rows of a tile, 16 features of them: a left operand.
template <int pitch, class T>
__device__ __forceinline__ FragmentA left_operand(const T (&tile)[kTensorRows][pitch], int row, int feature) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  FragmentA a;
  load_matrices<false>(a.r, &tile[row + lane % 16][feature + lane / 16 * 8]);
  return a;
}

// The warp's rows as left operands: in registers, or read again each time.
template <class T, int head, bool kept>
struct LeftRows;
template <class T, int head>
struct LeftRows<T, head, true> {
  FragmentA a[head / kMmaK];
  __device__ explicit LeftRows(const HeadTile<T, head>& tile) {
#pragma unroll
    for (int k = 0; k < head / kMmaK; ++k) a[k] = left_operand(tile, first_row_of_warp(), k * kMmaK);
  }
  __device__ __forceinline__ FragmentA operator[](int k) const { return a[k]; }
};
template <class T, int head>
struct LeftRows<T, head, false> {
  const HeadTile<T, head>& tile;
  __device__ explicit LeftRows(const HeadTile<T, head>& tile) : tile(tile) {}
  __device__ __forceinline__ FragmentA operator[](int k) const {
    return left_operand(tile, first_row_of_warp(), k * kMmaK);
  }
};

// scores = the warp's rows times 8 tiles rows of `tile` from `first` on.
template <class T, int head, bool kept, int tiles>
__device__ __forceinline__ void score(const LeftRows<T, head, kept>& rows, const HeadTile<T, head>& tile, int first,
                                      FragmentD (&scores)[tiles]) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
#pragma unroll
  for (int n = 0; n < tiles; ++n) scores[n] = FragmentD{};
#pragma unroll
  for (int k = 0; k < head / kMmaK; ++k) {
    const FragmentA a = rows[k];
#pragma unroll
    for (int n = 0; n < tiles; n += 2) {
      uint32_t b[4];
      load_matrices<false>(b, &tile[first + n * kMmaN + lane % 16][k * kMmaK + lane / 16 * 8]);
      multiply_add<T>(scores[n], a, FragmentB{{b[0], b[2]}});
      multiply_add<T>(scores[n + 1], a, FragmentB{{b[1], b[3]}});
    }
  }
}

// results += weights times rows of `tile` from `first` on.
template <class T, int head, int tiles>
__device__ __forceinline__ void add_rows(const FragmentD (&weights)[tiles], const HeadTile<T, head>& tile, int first,
                                         FragmentD (&results)[head / kMmaN]) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
#pragma unroll
  for (int k = 0; k < tiles / 2; ++k) {
    const FragmentD &left = weights[2 * k], &right = weights[2 * k + 1];
    const FragmentA a{{pair_of<T>(left.v[0], left.v[1]), pair_of<T>(left.v[2], left.v[3]),
                       pair_of<T>(right.v[0], right.v[1]), pair_of<T>(right.v[2], right.v[3])}};
#pragma unroll
    for (int n = 0; n < head / kMmaN; n += 2) {
      uint32_t b[4];
      load_matrices<true>(b, &tile[first + k * kMmaK + lane % 16][n * kMmaN + lane / 16 * 8]);
      multiply_add<T>(results[n], a, FragmentB{{b[0], b[1]}});
      multiply_add<T>(results[n + 1], a, FragmentB{{b[2], b[3]}});
    }
  }
}

// The place of a warp's scores: its rows are queries, or keys where `transposed`.
template <bool transposed>
struct FragmentPlace {
  HeadPlace at;
  int row, column;  // the first
  __device__ int query(const Lane& lane, int n, int e) const {
    return transposed ? column + lane.column(n, e) : row + lane.row(e);
  }
  __device__ int key(const Lane& lane, int n, int e) const {
    return transposed ? row + lane.row(e) : column + lane.column(n, e);
  }
};

// score = scale score + mask, minus infinity where it is hidden.
template <bool transposed, class T, int tiles>
__device__ __forceinline__ void add_terms(const Problem<T>& x, const FragmentPlace<transposed>& place,
                                          FragmentD (&scores)[tiles]) {
  const int query = transposed ? place.column : place.row, key = transposed ? place.row : place.column;
  const int keys = transposed ? kMmaM : tiles * kMmaN;
  const bool whole = !has_mask(x) && key + keys <= x.keys && (!x.causal || key + keys - 1 <= query);
  const Lane lane;
#pragma unroll
  for (int n = 0; n < tiles; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      float& s = scores[n].v[e];
      s *= x.scale;
      if (whole) continue;
      const int i = place.query(lane, n, e), j = place.key(lane, n, e);
      if (!is_seen(x, i, j))
        s = -kInfinity<float>;
      else if (has_mask(x) && i < x.queries)
        s += mask_term(x, place.at, i, j);
    }
}

// Which of a fragment's four scores are kept, as bits. Four neighbouring keys of a query share their random numbers,
// which one lane draws for others: where rows are queries, a pair of lanes for two rows, and where they are keys, four
// groups of lanes for the four scores of each.
template <bool transposed, class T>
__device__ __forceinline__ unsigned kept_of_fragment(const Problem<T>& x, const FragmentPlace<transposed>& place,
                                                     const Lane& lane, int n) {
  if constexpr (transposed) {
    const int own = lane.group % 4;
    const int query = place.query(lane, n, own), key = place.row + lane.group / 4 * 4 + own / 2 * 8;
    const unsigned drawn = kept_of_four(x, row_number(x, place.at, query), key / 4);
    unsigned kept = 0;
#pragma unroll
    for (int other = 0; other < 4; ++other) {
      const unsigned bits = __shfl_xor_sync(kAllLanes, drawn, other * 4);
      kept |= (bits >> own & 1) << (own ^ other);
    }
    return kept;
  } else {
    const bool lower = lane.pair % 2 != 0;  // draws for row group + 8
    const int query = place.row + lane.group + (lower ? 8 : 0), key = place.column + n * kMmaN + lane.pair / 2 * 4;
    const unsigned drawn = kept_of_four(x, row_number(x, place.at, query), key / 4);
    const unsigned bits = __shfl_xor_sync(kAllLanes, drawn, 1);
    const unsigned upper_row = lower ? bits : drawn, lower_row = lower ? drawn : bits;
    const int shift = lane.pair % 2 * 2;
    return (upper_row >> shift & 3) | (lower_row >> shift & 3) << 2;
  }
}

}  // namespace tinydl::cuda
