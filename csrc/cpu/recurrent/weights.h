// Recurrent weights packed for the register tiles of matmul/tile.h, once for a whole sequence, and products with them.
#pragma once
#include "contract/recurrent.h"
#include "cpu/matmul/packing.h"

namespace tinydl::TINYDL_TIER {

// A worker's part of a layer: sequences [begin, end), and blocks [first_block, end_block) of units.
struct Share {
  int64_t begin, end, first_block, end_block;
};
// Its blocks in the order of their use.
struct BlockOrder {
  const Share& share;
  bool from_last;

  int64_t count() const { return share.end_block - share.first_block; }
  int64_t at(int64_t i) const { return from_last ? share.end_block - 1 - i : share.first_block + i; }
};

// Fetches a part of `bytes` at `from` to the second-level cache: the i-th of `count`.
inline void fetch_part(const void* from, int64_t bytes, int64_t i, int64_t count) {
  const char* data = static_cast<const char*>(from);
  const int64_t part = div_up(div_up(bytes, 64), count) * 64, end = smaller(bytes, (i + 1) * part);
  for (int64_t at = i * part; at < end; at += 64) __builtin_prefetch(data + at, 0, 2);
}

// h U^T of some sequences for a block of units, all gates, by fused multiply-adds.
//
// A block is kUnitVectors vectors of units, and its gates lie side by side: [block][k][unit vector][gate][lane]. Blocks
// that are wider than a tile are computed in parts.
template <class T, int kGates>
struct ForwardWeights {
  struct Scope {};  // lives as long as a worker works
  static constexpr int gates = kGates;
  static constexpr int kUnitVectors = gates == 1 ? kMaxVectors : 1;
  static constexpr int kVectors = kUnitVectors * gates;
  static constexpr int kParts = (kVectors + kMaxVectors - 1) / kMaxVectors;
  static constexpr int kPartVectors = (kVectors + kParts - 1) / kParts;
  static constexpr int kRows = kTileRows[kPartVectors];
  static constexpr int64_t kUnits = kUnitVectors * Vec<T>::size, kWidth = kVectors * Vec<T>::size;
  static constexpr int64_t kRowsAtOnce = 8 * kRows;

  // What a worker needs to itself.
  struct Memory {
    alignas(64) T product[kRowsAtOnce * kWidth];
    const T* rows[kRowsAtOnce + kMaxTileRows];
  };

  int64_t hidden;
  T* packed;

  size_t packed_bytes() const { return static_cast<size_t>(blocks() * hidden * kWidth) * sizeof(T); }
  size_t worker_bytes() const { return 0; }  // beside Memory
  void set_up(Memory&, void*) const {}
  int64_t rows_at_once() const { return kRowsAtOnce; }
  int64_t blocks() const { return div_up(hidden, kUnits); }

  void pack(const T* weight, int64_t block) const {
    T* to = packed + block * hidden * kWidth;
    for (int v = 0; v < kVectors; ++v, to += Vec<T>::size) {
      const int64_t unit = block * kUnits + v / gates * Vec<T>::size, row = v % gates * hidden + unit;
      const int64_t present = larger(0, smaller(Vec<T>::size, hidden - unit));
      if (present) pack_columns(weight + row * hidden, 1, hidden, hidden, present, Vec<T>::size, kWidth, to);
      for (int64_t k = 0; k < hidden && !present; ++k) Vec<T>(T(0)).store(to + k * kWidth);
    }
  }

  // Takes the states of `count` sequences, the left operand of the products that follow.
  template <class Rows>
  void load(const Rows& rows, int64_t count, Memory& memory) const {
    for (int64_t r = 0; r < count + kMaxTileRows; ++r) memory.rows[r] = rows(r < count ? r : count - 1);
  }

  // Meanwhile the weights of block `next` are fetched.
  void multiply(int64_t block, int64_t next, int64_t count, Memory& memory) const {
    const Run run{0, 0, hidden};
    T* c[kMaxTileRows];
    for (int64_t row = 0; row < count; row += kRows) {
      if (next != block)
        fetch_part(packed + next * hidden * kWidth, hidden * kWidth * static_cast<int64_t>(sizeof(T)), row / kRows,
                   div_up(count, kRows));
      const int rows = static_cast<int>(smaller(kRows, count - row));
      for (int v = 0; v < kVectors; v += kPartVectors) {
        const int vectors = static_cast<int>(smaller(kPartVectors, kVectors - v));
        for (int r = 0; r < rows; ++r) c[r] = memory.product + (row + r) * kWidth + v * Vec<T>::size;
        const T* b = packed + block * hidden * kWidth + v * Vec<T>::size;
        const TileJob<T> job{memory.rows + row, 1,       b,       kWidth, &run, 1, c, rows,
                             Vec<T>::size,      nullptr, nullptr, nullptr};
        tile_for<T, false>(vectors, rows)(job);
      }
    }
  }

  // The product of a sequence, a vector of units and a gate.
  static const T* part(const Memory& memory, int64_t row, int unit_vector, int gate) {
    return memory.product + row * kWidth + (unit_vector * gates + gate) * Vec<T>::size;
  }
};

// dh += dr U of some sequences, by fused multiply-adds. U (G H, H) is packed in panels.
template <class T>
struct BackwardWeights {
  struct Scope {};
  struct Memory {};

  Panels<T> panels;
  int64_t depth;
  T* packed;

  size_t packed_bytes() const { return static_cast<size_t>(panels.padded() * depth) * sizeof(T); }
  size_t worker_bytes() const { return 0; }
  void set_up(Memory&, void*) const {}
  int64_t blocks() const { return panels.count; }

  void pack(const T* weight, int64_t p) const {
    const int64_t column = panels.column(p), width = panels.width(p);
    pack_columns(weight + column, panels.n, 1, depth, smaller(width, panels.n - column), width, width,
                 packed + column * depth);
  }

  int64_t column(int64_t p) const { return smaller(panels.n, panels.column(p)); }
  const T* panel(int64_t p) const { return packed + panels.column(p) * depth; }

  void add_products(const T* dr, int64_t count, const BlockOrder& order, T* dh, Memory&) const {
    for (int64_t i = 0; i < order.count(); ++i) {
      const int64_t p = order.at(i), next = order.at(smaller(i + 1, order.count() - 1));
      multiply_rows<false>(dr, count, panels.column(p), panels.width(p), panel(p), panels.width(p), dh,
                           next == p ? nullptr : panel(next));
    }
  }

  // `masked` where the rows of b are U's own and end at the last column. Meanwhile `next`, as wide, is fetched.
  template <bool masked>
  void multiply_rows(const T* dr, int64_t count, int64_t column, int64_t width, const T* b, int64_t b_step, T* dh,
                     const T* next = nullptr) const {
    const int vectors = static_cast<int>(width / Vec<T>::size), step = kTileRows[vectors];
    const int tail = Vec<T>::size - static_cast<int>(larger(0, column + width - panels.n));
    const Run run{0, 0, depth};
    const T* a[kMaxTileRows];
    T* c[kMaxTileRows];
    for (int64_t row = 0; row < count; row += step) {
      const int rows = static_cast<int>(smaller(step, count - row));
      if (next) fetch_part(next, width * depth * static_cast<int64_t>(sizeof(T)), row / step, div_up(count, step));
      for (int r = 0; r < kMaxTileRows; ++r) {
        const int64_t of = row + (r < rows ? r : rows - 1);
        a[r] = dr + of * depth;
        c[r] = dh + of * panels.n + column;
      }
      const TileJob<T> job{a, 1, b, b_step, &run, 1, c, rows, tail, c, nullptr, nullptr};
      tile_for<T, masked>(vectors, rows)(job);
    }
  }
};

}  // namespace tinydl::TINYDL_TIER
