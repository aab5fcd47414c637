// Walks channels-last rows in chunks on the threads, and a row in stretches of vectors.
#pragma once
#include "contract/norm.h"
#include "cpu/runtime/parallel.h"
#include "cpu/simd/integers.h"
#include "cpu/simd/stores.h"

namespace tinydl::TINYDL_TIER {

namespace {

constexpr int64_t kChunkElements = 16384;
constexpr int64_t kMinRows = 16;
constexpr int64_t kMaxRows = 128;
constexpr int64_t kMergeChannels = 64;

// The rows of each outer index in chunks.
struct Chunks {
  int64_t rows, count;  // of a chunk; chunks of an outer index

  explicit Chunks(const NormColumns& g) {
    const int64_t fitting = g.channels > 0 ? kChunkElements / g.channels : kMaxRows;
    rows = smaller(larger(fitting, kMinRows), kMaxRows);
    count = div_up(g.rows, rows);
  }
  int64_t rows_of(const NormColumns& g, int64_t chunk) const { return smaller(rows, g.rows - chunk * rows); }
};

// Calls body(o, rows, at, b) for every chunk: its outer index, rows, first element and number.
template <class Body>
void for_each_chunk(const NormColumns& g, const Body& body) {
  const Chunks chunks(g);
  parallel_for(g.outer * chunks.count, 2 * g.outer * g.rows * g.channels, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t o = b / chunks.count, chunk = b % chunks.count;
      body(o, chunks.rows_of(g, chunk), (o * g.rows + chunk * chunks.rows) * g.channels, b);
    }
  });
}

// Calls merge(o, from, to) for stretches of channels of every outer index, to add up the chunks.
template <class Merge>
void for_each_merge(const NormColumns& g, const Merge& merge) {
  const int64_t stretches = div_up(g.channels, kMergeChannels);
  const int64_t work = 4 * g.outer * Chunks(g).count * g.channels;
  parallel_for(g.outer * stretches, work, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t from = (b % stretches) * kMergeChannels;
      merge(b / stretches, from, smaller(from + kMergeChannels, g.channels));
    }
  });
}

// K vectors of columns, or the last `lanes` columns of a row.
template <class T, int K, bool tail>
struct Stretch {
  static_assert(!tail || K == 1);
  static constexpr int vectors = K, width = K * Vec<T>::size;
  int lanes;

  TINYDL_INLINE int count() const { return tail ? lanes : width; }
  TINYDL_INLINE Vec<T> load(const T* p, int k) const {
    if constexpr (tail) return Vec<T>::load(p, lanes);
    return Vec<T>::load(p + k * Vec<T>::size);
  }
  TINYDL_INLINE void store(Vec<T> v, T* p, int k, bool past = false) const {
    if constexpr (tail) return v.store(p, lanes);
    store_first(v, p + k * Vec<T>::size, Vec<T>::size, past);
  }
  // v with zeros in the lanes that do not count.
  TINYDL_INLINE Vec<T> keep(Vec<T> v) const {
    if constexpr (!tail) return v;
    T lane[Vec<T>::size];
    v.store(lane);
    return Vec<T>::load(lane, lanes);
  }
  // The lanes of all K vectors as doubles; `to` has room for `width`.
  TINYDL_INLINE void widen(const Vec<T> (&v)[K], double* to) const {
    T lane[width];
    for (int k = 0; k < K; ++k) v[k].store(lane + k * Vec<T>::size);
    for (int i = 0; i < width; ++i) to[i] = static_cast<double>(lane[i]);
  }
};

// Calls body(stretch, c) for stretches of columns that together are [0, channels).
template <class T, class Body>
TINYDL_INLINE void for_each_stretch(int64_t channels, const Body& body) {
  constexpr int64_t size = Vec<T>::size;
  int64_t c = 0;
  for (; c + 4 * size <= channels; c += 4 * size) body(Stretch<T, 4, false>{0}, c);
  for (; c + size <= channels; c += size) body(Stretch<T, 1, false>{0}, c);
  if (c < channels) body(Stretch<T, 1, true>{static_cast<int>(channels - c)}, c);
}

}  // namespace

}  // namespace tinydl::TINYDL_TIER
