// Blocks of the score matrix, and the products on them.
//
// A block is kBlock queries x kBlock keys. What the tile reads as its right operand is packed in panels [panel][k]
// [column] of 32 KB at most, two thirds of the first-level cache; scores and the other operands (some 200 KB forward,
// 400 KB backward) stay in the second-level cache.
#pragma once
#include "contract/attention.h"
#include "cpu/matmul/packing.h"
#include "cpu/random/philox.h"
#include "cpu/softmax/rows.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kBlock = 128;

// Between rows of scores, which are also read by columns: an odd number of cache lines, so that a column's elements
// spread over all sets of the first-level cache.
template <class T>
constexpr int64_t kScorePitch = kBlock + 64 / static_cast<int64_t>(sizeof(T));

template <class T>
constexpr int64_t padded(int64_t n) {
  return (n + Vec<T>::size - 1) / Vec<T>::size * Vec<T>::size;
}

template <class T>
TINYDL_INLINE T* row_of(const Heads<T>& x, int64_t batch, int64_t head, int64_t row) {
  return x.data + batch * x.batch_stride + head * x.head_stride + row * x.row_stride;
}

// to[f] = function(from[f]) for f < n, in whole vectors whose rest is computed from zeros.
template <class T, class F>
TINYDL_INLINE void map_padded(const T* from, int64_t n, T* to, const F& function) {
  for (int64_t f = 0; f < n; f += Vec<T>::size)
    function(load_first(from + f, static_cast<int>(smaller(Vec<T>::size, n - f)))).store(to + f);
}

// to[i][f] = factor * from[i * stride + f] for f < n; zeros behind, up to the pitch.
template <class T>
void stage_rows(const T* from, int64_t stride, int64_t rows, int64_t n, T factor, T* to) {
  for (int64_t i = 0; i < rows; ++i, from += stride, to += padded<T>(n))
    map_padded(from, n, to, [=](Vec<T> x) { return x * Vec<T>(factor); });
}

// Rows as the right operand of a product over rows: [panel][row][column].
template <class T>
void pack_as_rows(const T* from, int64_t stride, int64_t rows, int64_t n, T* to) {
  const Panels<T> panels(n);
  for (int64_t p = 0; p < panels.count; ++p) {
    const int64_t column = panels.column(p), width = panels.width(p);
    pack_columns(from + column, stride, 1, rows, smaller(width, n - column), width, width, to + column * rows);
  }
}

// Rows as the right operand of a product over features, their transpose: [panel][feature][row].
template <class T>
void pack_as_columns(const T* from, int64_t stride, int64_t rows, int64_t n, T* to) {
  const Panels<T> panels(rows);
  for (int64_t p = 0; p < panels.count; ++p) {
    const int64_t row = panels.column(p), width = panels.width(p);
    pack_columns(from + row * stride, 1, stride, n, smaller(width, rows - row), width, width, to + row * n);
  }
}

// Which part of a product a tile of rows needs: the others are hidden, and their factors zero.
struct Part {
  int64_t first_k, end_k, columns;
};

// C (+)= A B, where A[i][k] = a[i * a_row + k * a_step], and B is packed with `depth` values of k, or lies in_rows
// that are b_row apart.
template <class T>
struct BlockProduct {
  const T* a;
  int64_t a_row, a_step;
  const T* b;
  int64_t depth;
  T* c;
  int64_t c_row, rows, columns;
  bool adds;
  int64_t b_row = 0;
  bool in_rows = false;

  // part(first, count) of rows first to first + count.
  template <class F>
  void run(const F& part) const {
    const Panels<T> panels(columns);
    for (int64_t p = 0; p < panels.count; ++p) {
      const int64_t width = panels.width(p), step = kTileRows[width / Vec<T>::size];
      for (int64_t i = 0; i < rows; i += step) {
        const int64_t count = smaller(step, rows - i);
        tile(panels.column(p), width, i, count, part(i, count));
      }
    }
  }

 private:
  void tile(int64_t column, int64_t width, int64_t first, int64_t count, const Part& part) const {
    const int64_t wanted = smaller(smaller(width, part.columns - column), columns - column);
    if (wanted <= 0) return;
    const T* a_rows[kMaxTileRows];
    T* c_rows[kMaxTileRows];
    for (int64_t r = 0; r < kMaxTileRows; ++r) {
      a_rows[r] = a + (first + smaller(r, count - 1)) * a_row;
      c_rows[r] = c + (first + smaller(r, count - 1)) * c_row + column;
    }
    const int vectors = static_cast<int>(div_up(wanted, Vec<T>::size));
    const Run run{part.first_k * a_step, part.first_k, larger(0, part.end_k - part.first_k)};
    const TileJob<T> job{a_rows,
                         a_step,
                         in_rows ? b + column : b + column * depth,
                         in_rows ? b_row : width,
                         &run,
                         1,
                         c_rows,
                         static_cast<int>(count),
                         static_cast<int>(wanted - (vectors - 1) * Vec<T>::size),
                         adds ? c_rows : nullptr,
                         nullptr,
                         nullptr};
    const bool masked = in_rows && wanted % Vec<T>::size != 0;
    (masked ? tile_for<T, true>(vectors, count) : tile_for<T, false>(vectors, count))(job);
  }
};

// A block of scores: queries from `query` on, keys from `key` on.
struct ScoreBlock {
  int64_t batch, head, query, rows, key, keys;
  bool causal;

  // How many of the block's keys row i sees.
  int64_t visible(int64_t i) const { return causal ? larger(0, smaller(keys, query + i + 1 - key)) : keys; }
  int64_t kv_head(const AttentionShape& shape) const { return head / (shape.heads / shape.kv_heads); }
  // The first row that sees key j.
  int64_t first_row(int64_t j) const { return causal ? smaller(rows, larger(0, key + j - query)) : 0; }
};

// What depends on the place of a score alone: mask and dropout, a row at a time.
template <class T>
struct ScoreTerms {
  const AttentionShape& shape;
  const AttentionMask<T>& mask;
  const AttentionDropout& dropout;
  Philox philox;
  alignas(64) T added[kBlock];
  alignas(64) uint32_t words[kBlock];
  const T* row_added = nullptr;

  ScoreTerms(const AttentionShape& shape, const AttentionInput<T>& in)
      : shape(shape), mask(in.mask), dropout(in.dropout), philox(in.dropout.seed) {}

  bool has_mask() const { return mask.added || mask.allowed; }
  bool drops() const { return dropout.p > 0; }

  // The terms of row i of the block, or null; row after row.
  const T* mask_row(const ScoreBlock& block, int64_t i) {
    if (!has_mask() || (i > 0 && mask.stride[2] == 0)) return row_added;
    const int64_t at = block.batch * mask.stride[0] + block.head * mask.stride[1] + (block.query + i) * mask.stride[2] +
                       block.key * mask.stride[3];
    if (mask.added && mask.stride[3] == 1) return row_added = mask.added + at;
    for (int64_t j = 0; j < block.keys; ++j)
      added[j] = mask.added ? mask.added[at] : mask.allowed[at + j * mask.stride[3]] ? T(0) : -kInfinity<T>;
    return row_added = added;
  }

  // Random words of the row; those of an element that is kept reach threshold().
  const uint32_t* words_of_row(const ScoreBlock& block, int64_t i) {
    const int64_t row = (block.batch * shape.heads + block.head) * shape.queries + block.query + i;
    const auto counter = static_cast<uint64_t>(row * div_up(shape.keys, 4) + block.key / 4);
    philox.fill(dropout.offset + counter, div_up(block.keys, Philox::kWords) * Philox::kWords, words);
    for (int64_t j = 0; j < block.keys; ++j) words[j] >>= 8;
    return words;
  }
  uint32_t threshold() const { return static_cast<uint32_t>(__builtin_ceil(dropout.p * 16777216.0)); }
  T keep_scale() const { return dropout.p < 1 ? static_cast<T>(1 / (1 - dropout.p)) : T(0); }
};
static_assert(kBlock % Philox::kWords == 0);

// Blocks of one side in the order in which workers take them. Causal blocks differ in work: long and short ones in
// turn, so that neighbouring stretches of the order cost the same.
struct BlockOrder {
  int64_t count;
  bool causal;
  int64_t at(int64_t i) const { return !causal || i % 2 == 0 ? (causal ? i / 2 : i) : count - 1 - i / 2; }
};

// The key blocks that a block of queries sees, and the first query block that sees a block of keys.
inline int64_t visible_key_blocks(const AttentionShape& shape, int64_t query_end) {
  return div_up(shape.causal ? smaller(query_end, shape.keys) : shape.keys, kBlock);
}
inline int64_t first_query_block(const AttentionShape& shape, int64_t key) { return shape.causal ? key / kBlock : 0; }

// e^x for x that are at most a rounding error above 0, where denormals are flushed: no limit above, none for these.
TINYDL_INLINE Vec<float> exp_below(Vec<float> x) { return exp_of_moderate(max(Vec<float>(-104.0f), x)); }
TINYDL_INLINE Vec<double> exp_below(Vec<double> x) { return exp(x); }

// The largest or the sum of all lanes, in all lanes.
template <class T, class Combine>
TINYDL_INLINE Vec<T> fold_to_all(Vec<T> a, const Combine& combine) {
  using Mask = typename Vec<T>::Mask;
  Mask lane;
  for (int i = 0; i < Vec<T>::size; ++i) lane.v[i] = i;
#pragma GCC unroll 4
  for (int half = Vec<T>::size / 2; half > 0; half /= 2) a = combine(a, permute(a, lane ^ Mask(half)));
  return a;
}

}  // namespace tinydl::TINYDL_TIER
