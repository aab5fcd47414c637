// Recurrent weights split into bfloat16 planes once for a whole sequence, and products with them on the matrix tiles.
//
// The states are split again in each step, which costs a fifth of the tiles' work. U's range of exponents and that of
// the first states decide beforehand whether the products keep float32's accuracy: the states that follow are at most
// 1, and what is lost of a tiny one is lost beside 1. Gradients may have any range, so that backward looks at each
// step's and computes one that does not fit by fused multiply-adds.
#pragma once
#include "cpu/matmul/split_operands.h"
#include "cpu/recurrent/weights.h"

namespace tinydl::TINYDL_TIER {

// The number of planes as a type.
template <int planes>
struct Planes {
  static constexpr int value = planes;
};

constexpr int64_t kMostPairs = 4;  // of 32 sequences at once

// As many sequences at once as have their planes in a quarter of the second-level cache.
template <int planes>
int64_t pairs_at_once(int64_t steps) {
  constexpr int64_t kBytes = 512 << 10;
  return larger(1,
                smaller(kMostPairs, kBytes / (steps * kStepValues<planes> * static_cast<int64_t>(sizeof(Bfloat16)))));
}

// Splits rows of `depth` floats into [32 rows][step][plane][tile].
template <int planes, class Rows>
void split_states(const Rows& rows, int64_t count, int64_t depth, Bfloat16* to, ExponentRange& range) {
  const int64_t whole = depth / kStepDepth, steps = div_up(depth, kStepDepth);
  for (int64_t r = 0; r < count; ++r) {
    const float* from = rows(r);
    const int row = static_cast<int>(r % kTileEdge);
    Bfloat16* at = to + r / kPairEdge * steps * kStepValues<planes> + r % kPairEdge / kTileEdge * kTileValues;
    split_row<planes>(from, whole, row, at, range);
    if (whole == steps) continue;
    alignas(64) float rest[kStepDepth] = {};
    for (int64_t k = whole * kStepDepth; k < depth; ++k) rest[k - whole * kStepDepth] = from[k];
    split_row<planes>(rest, 1, row, at + whole * kStepValues<planes>, range);
  }
}

// The exponents of an array's values.
inline void add_range(const float* from, int64_t count, SharedRange& range) {
  int largest = 0, smallest = 255;
  for (int64_t i = 0; i < count; ++i) {
    if (from[i] == 0) continue;
    int32_t bits;
    __builtin_memcpy(&bits, from + i, sizeof(bits));
    const int exponent = bits >> 23 & 255;
    if (exponent > largest) largest = exponent;
    if (exponent < smallest) smallest = exponent;
  }
  range.add(largest, smallest);
}

// As ForwardWeights. A block is 32 units, and each of its gates a panel: [block][gate][step][plane][tile].
template <int kGates, int planes>
struct ForwardTiles {
  using Scope = TileRegisters;
  static constexpr int gates = kGates, kUnitVectors = 2;
  static constexpr int64_t kUnits = kPairEdge;

  struct Memory {
    alignas(64) float product[kGates][kMostPairs][4 * kTileFloats];
    Bfloat16* states;
  };

  int64_t hidden;
  Bfloat16* packed;
  SharedRange* range;

  int64_t steps() const { return div_up(hidden, kStepDepth); }
  int64_t panel_size() const { return steps() * kStepValues<planes>; }
  int64_t blocks() const { return div_up(hidden, kUnits); }
  int64_t rows_at_once() const { return pairs_at_once<planes>(steps()) * kPairEdge; }
  size_t packed_bytes() const { return static_cast<size_t>(blocks() * gates * panel_size()) * sizeof(Bfloat16); }
  size_t worker_bytes() const {
    return static_cast<size_t>(rows_at_once() / kPairEdge * panel_size()) * sizeof(Bfloat16);
  }
  void set_up(Memory& memory, void* own) const { memory.states = static_cast<Bfloat16*>(own); }

  void pack(const float* weight, int64_t block) const {
    const DepthBlock all{0, hidden, 0, 1};
    ExponentRange found;
    for (int g = 0; g < gates; ++g)
      split_panel<planes>(MatrixColumns<float>{weight + g * hidden * hidden, 1, hidden, hidden}, all, block * kUnits,
                          hidden, packed + (block * gates + g) * panel_size(), found);
    range->add(found);
  }

  template <class Rows>
  void load(const Rows& rows, int64_t count, Memory& memory) const {
    ExponentRange unwatched;
    split_states<planes>(rows, count, hidden, memory.states, unwatched);
  }

  void multiply(int64_t block, int64_t count, Memory& memory) const {
    const int64_t pairs = div_up(count, kPairEdge), lines = div_up(kStepValues<planes> / 32, pairs);
    for (int g = 0; g < gates; ++g) {
      const Bfloat16 *panel = packed + (block * gates + g) * panel_size(), *next = panel + panel_size();
      for (int64_t pair = 0; pair < pairs; ++pair)
        tile_product<planes>(memory.states + pair * panel_size(), panel, steps(), false, memory.product[g][pair],
                             next + pair * lines * steps() * 32, lines);
    }
  }

  static const float* part(const Memory& memory, int64_t row, int unit_vector, int gate) {
    const int64_t tile = row % kPairEdge / kTileEdge * 2 + unit_vector;
    return memory.product[gate][row / kPairEdge] + tile * kTileFloats + row % kTileEdge * kTileEdge;
  }
};

// As BackwardWeights. U's columns in panels of 32: [panel][step][plane][tile].
template <int planes>
struct BackwardTiles {
  using Scope = TileRegisters;

  struct Memory {
    alignas(64) float product[4 * kTileFloats];
    Bfloat16* gradients;
  };

  int64_t hidden, depth;
  Bfloat16* packed;
  SharedRange* range;
  const float* weight;

  int64_t steps() const { return div_up(depth, kStepDepth); }
  int64_t panel_size() const { return steps() * kStepValues<planes>; }
  int64_t blocks() const { return div_up(hidden, kPairEdge); }
  int64_t pairs() const { return pairs_at_once<planes>(steps()); }
  size_t packed_bytes() const { return static_cast<size_t>(blocks() * panel_size()) * sizeof(Bfloat16); }
  size_t worker_bytes() const { return static_cast<size_t>(pairs() * panel_size()) * sizeof(Bfloat16); }
  void set_up(Memory& memory, void* own) const { memory.gradients = static_cast<Bfloat16*>(own); }

  void pack(const float* from, int64_t block) const {
    ExponentRange found;
    split_panel<planes>(MatrixColumns<float>{from, hidden, 1, depth}, DepthBlock{0, depth, 0, 1}, block * kPairEdge,
                        hidden, packed + block * panel_size(), found);
    range->add(found);
  }

  void add_products(const float* dr, int64_t count, float* dh, Memory& memory) const {
    for (int64_t row = 0; row < count; row += pairs() * kPairEdge)
      add_products_at_once(dr + row * depth, smaller(pairs() * kPairEdge, count - row), dh + row * hidden, memory);
  }

 private:
  void add_products_at_once(const float* dr, int64_t count, float* dh, Memory& memory) const {
    ExponentRange found;
    split_states<planes>([&](int64_t r) { return dr + r * depth; }, count, depth, memory.gradients, found);
    SharedRange gradients;
    gradients.add(found);
    if (!split_is_exact(gradients, *range, depth)) return multiply_add(dr, count, dh);
    const int64_t lines = div_up(kStepValues<planes> / 32, div_up(count, kPairEdge));
    for (int64_t block = 0; block < blocks(); ++block)
      for (int64_t row = 0; row < count; row += kPairEdge) {
        const Bfloat16* next = packed + (block + 1) * panel_size() + row / kPairEdge * lines * steps() * 32;
        tile_product<planes>(memory.gradients + row / kPairEdge * panel_size(), packed + block * panel_size(), steps(),
                             false, memory.product, next, lines);
        add_tiles(memory.product, smaller(kPairEdge, count - row), block * kPairEdge, dh + row * hidden);
      }
  }

  void add_tiles(const float* tiles, int64_t count, int64_t column, float* dh) const {
    for (int64_t r = 0; r < count; ++r)
      for (int64_t j = 0; j < smaller(kPairEdge, hidden - column); j += kTileEdge) {
        const int lanes = static_cast<int>(smaller(kTileEdge, hidden - column - j));
        float* to = dh + r * hidden + column + j;
        const int64_t tile = r / kTileEdge * 2 + j / kTileEdge;
        const Vec<float> x = Vec<float>::load(tiles + tile * kTileFloats + r % kTileEdge * kTileEdge);
        (Vec<float>::load(to, lanes) + x).store(to, lanes);
      }
  }

  // With U where it lies.
  void multiply_add(const float* dr, int64_t count, float* dh) const {
    const BackwardWeights<float> plain{Panels<float>(hidden), depth, nullptr};
    for (int64_t p = 0; p < plain.panels.count; ++p) {
      const int64_t column = plain.panels.column(p);
      plain.template multiply_rows<true>(dr, count, column, plain.panels.width(p), weight + column, hidden, dh);
    }
  }
};

}  // namespace tinydl::TINYDL_TIER
