// Recurrent weights packed for the tiles of matmul/tile.h, once for a whole sequence.
#pragma once
#include "cpu/matmul/packing.h"
#include "cpu/recurrent/recurrent.h"

namespace tinydl::TINYDL_TIER {

// Forward. Units are taken in blocks of kUnitVectors vectors, and a block's gates lie side by side, so that a step has
// all gates of a unit at hand: [block][k][unit vector][gate][lane]. Blocks that are wider than a tile are computed
// in parts.
template <class T, int gates>
struct UnitBlocks {
  static constexpr int kUnitVectors = gates == 1 ? kMaxVectors : 1;
  static constexpr int kVectors = kUnitVectors * gates;
  static constexpr int kParts = (kVectors + kMaxVectors - 1) / kMaxVectors;
  static constexpr int kPartVectors = (kVectors + kParts - 1) / kParts;
  static constexpr int kRows = kTileRows[kPartVectors];
  static constexpr int64_t kUnits = kUnitVectors * Vec<T>::size, kWidth = kVectors * Vec<T>::size;

  int64_t hidden;
  int64_t count() const { return div_up(hidden, kUnits); }
  int64_t packed_size() const { return count() * (hidden + 1) * kWidth; }  // and a row of biases for each block

  // The weights of a block, and behind them its biases.
  const T* block(const T* packed, int64_t block) const { return packed + block * (hidden + 1) * kWidth; }

  void pack(const T* weight, const T* bias, int64_t block, T* packed) const {
    T* to = packed + block * (hidden + 1) * kWidth;
    for (int v = 0; v < kVectors; ++v) {
      const int64_t unit = block * kUnits + v / gates * Vec<T>::size, gate = v % gates;
      for (int64_t lane = 0; lane < Vec<T>::size; ++lane) {
        const bool present = unit + lane < hidden;
        const int64_t row = gate * hidden + unit + lane;
        T* column = to + v * Vec<T>::size + lane;
        for (int64_t k = 0; k < hidden; ++k) column[k * kWidth] = present ? weight[row * hidden + k] : T(0);
        column[hidden * kWidth] = present && bias ? bias[row] : T(0);
      }
    }
  }
};

// Backward: the (G H, H) weights as the right operand of a product, in panels.
template <class T>
struct BackwardPanels {
  Panels<T> panels;
  int64_t depth;

  BackwardPanels(int64_t hidden, int gates) : panels(hidden), depth(gates * hidden) {}
  int64_t packed_size() const { return panels.padded() * depth; }
  const T* panel(const T* packed, int64_t p) const { return packed + panels.column(p) * depth; }

  void pack(const T* weight, int64_t p, T* packed) const {
    const int64_t column = panels.column(p), width = panels.width(p);
    pack_columns(weight + column, panels.n, 1, depth, smaller(width, panels.n - column), width,
                 packed + column * depth);
  }
};

// The worker's time steps in the order of their computation, and what comes before each.
struct TimeOrder {
  int64_t steps;
  bool reverse;
  int64_t at(int64_t i) const { return reverse ? steps - 1 - i : i; }
  int64_t before(int64_t t) const { return reverse ? t + 1 : t - 1; }  // of any but the first
};

}  // namespace tinydl::TINYDL_TIER
