// Recurrent weights split into bfloat16 planes once for a whole sequence, and products with them on the matrix tiles.
//
// The states, or backward the gradients, are split again in each step, which costs a fifth of the tiles' work. Their
// range is looked at for each 16 sequences: where float32's accuracy would be lost, these are computed by fused
// multiply-adds with U where it lies. So the bits depend on the 16 sequences, not on how workers share them out.
#pragma once
#include "cpu/matmul/split_operands.h"
#include "cpu/recurrent/weights.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kMostPairs = 4;  // of 32 sequences at once

// As many pairs of 16 sequences at once as have their planes in a quarter of the second-level cache.
template <int planes>
int64_t pairs_at_once(int64_t steps) {
  constexpr int64_t kBytes = 512 << 10;
  return larger(1,
                smaller(kMostPairs, kBytes / (steps * kStepValues<planes> * static_cast<int64_t>(sizeof(Bfloat16)))));
}

// What U's range is, and whether any 16 sequences did not fit it.
struct TileRange {
  SharedRange weights;
  bool exceeded = false;

  // Whether the split is exact beside values of ordinary size.
  bool is_usable(int64_t k) const {
    SharedRange ordinary;
    ordinary.add(127, 127);
    return split_is_exact(ordinary, weights, k);
  }
  void note_exceeded() { __atomic_store_n(&exceeded, true, __ATOMIC_RELAXED); }
};

// Some sequences' rows as a left operand: [32 rows][step][plane][tile], and which 16 of them the split holds for.
struct SplitRows {
  const float* rows[kMostPairs * kPairEdge + kMaxTileRows];  // past the last they repeat it
  bool is_exact[2 * kMostPairs];
  Bfloat16* planes;
};

template <int planes, class Rows>
void split_sequences(const Rows& rows, int64_t count, int64_t depth, TileRange& range, SplitRows& to) {
  const int64_t whole = depth / kStepDepth, steps = div_up(depth, kStepDepth);
  for (int64_t r = 0; r < count + kMaxTileRows; ++r) to.rows[r] = rows(r < count ? r : count - 1);
  for (int64_t first = 0; first < count; first += kTileEdge) {
    ExponentRange found;
    Bfloat16* tile = to.planes + first / kPairEdge * steps * kStepValues<planes> + first % kPairEdge * kStepDepth;
    for (int r = 0; r < smaller(kTileEdge, count - first); ++r) {
      split_row<planes>(to.rows[first + r], whole, r, tile, found);
      if (whole == steps) continue;
      alignas(64) float rest[kStepDepth] = {};
      for (int64_t k = whole * kStepDepth; k < depth; ++k) rest[k - whole * kStepDepth] = to.rows[first + r][k];
      split_row<planes>(rest, 1, r, tile + whole * kStepValues<planes>, found);
    }
    SharedRange shared;
    shared.add(found);
    to.is_exact[first / kTileEdge] = split_is_exact(shared, range.weights, depth);
    if (!to.is_exact[first / kTileEdge]) range.note_exceeded();
  }
}

// As ForwardWeights. A block is 32 units, and each of its gates a panel: [block][gate][step][plane][tile].
template <int kGates, int planes>
struct ForwardTiles {
  using Scope = TileRegisters;
  static constexpr int gates = kGates, kUnitVectors = 2;
  static constexpr int64_t kUnits = kPairEdge;

  struct Memory {
    alignas(64) float product[kGates][kMostPairs][4 * kTileFloats];
    SplitRows states;
    float* columns;  // 32 of U's rows, transposed, for sequences beyond the range
  };

  int64_t hidden;
  Bfloat16* packed;
  TileRange* range;
  const float* weight;

  int64_t steps() const { return div_up(hidden, kStepDepth); }
  int64_t panel_size() const { return steps() * kStepValues<planes>; }
  int64_t blocks() const { return div_up(hidden, kUnits); }
  int64_t rows_at_once() const { return pairs_at_once<planes>(steps()) * kPairEdge; }
  size_t packed_bytes() const { return static_cast<size_t>(blocks() * gates * panel_size()) * sizeof(Bfloat16); }
  size_t states_bytes() const {
    return static_cast<size_t>(rows_at_once() / kPairEdge * panel_size()) * sizeof(Bfloat16);
  }
  size_t worker_bytes() const { return states_bytes() + static_cast<size_t>(hidden * kUnits) * sizeof(float); }
  void set_up(Memory& memory, void* own) const {
    memory.states.planes = static_cast<Bfloat16*>(own);
    memory.columns = reinterpret_cast<float*>(static_cast<char*>(own) + states_bytes());
  }

  void pack(const float* from, int64_t block) const {
    const DepthBlock all{0, hidden, 0, 1};
    ExponentRange found;
    for (int g = 0; g < gates; ++g)
      split_panel<planes>(MatrixColumns<float>{from + g * hidden * hidden, 1, hidden, hidden}, all, block * kUnits,
                          hidden, packed + (block * gates + g) * panel_size(), found);
    range->weights.add(found);
  }

  template <class Rows>
  void load(const Rows& rows, int64_t count, Memory& memory) const {
    split_sequences<planes>(rows, count, hidden, *range, memory.states);
  }

  void multiply(int64_t block, int64_t next_block, int64_t count, Memory& memory) const {
    const int64_t pairs = div_up(count, kPairEdge), lines = div_up(kStepValues<planes> / 32, pairs);
    for (int g = 0; g < gates; ++g) {
      const Bfloat16* panel = packed + (block * gates + g) * panel_size();
      const Bfloat16* next = g + 1 < gates ? panel + panel_size() : packed + next_block * gates * panel_size();
      for (int64_t pair = 0; pair < pairs; ++pair)
        tile_product<planes>(memory.states.planes + pair * panel_size(), panel, steps(), false, memory.product[g][pair],
                             next + pair * lines * steps() * 32, lines);
      for (int64_t row = 0; row < count; row += kTileEdge)
        if (!memory.states.is_exact[row / kTileEdge])
          multiply_add(block, g, row, smaller(kTileEdge, count - row), memory);
    }
  }

  static float* part(Memory& memory, int64_t row, int unit_vector, int gate) {
    const int64_t tile = row % kPairEdge / kTileEdge * 2 + unit_vector;
    return memory.product[gate][row / kPairEdge] + tile * kTileFloats + row % kTileEdge * kTileEdge;
  }

 private:
  // Up to 16 sequences from `row` on by multiply-adds.
  void multiply_add(int64_t block, int g, int64_t row, int64_t count, Memory& memory) const {
    const int64_t unit = block * kUnits;
    pack_columns(weight + (g * hidden + unit) * hidden, 1, hidden, hidden, smaller(kUnits, hidden - unit), kUnits,
                 kUnits, memory.columns);
    const Run run{0, 0, hidden};
    float* c[kMaxTileRows];
    for (int64_t r = 0; r < count; r += kMaxTileRows)
      for (int u = 0; u < kUnitVectors; ++u) {
        const int rows = static_cast<int>(smaller(kMaxTileRows, count - r));
        for (int i = 0; i < rows; ++i) c[i] = part(memory, row + r + i, u, g);
        const TileJob<float> job{memory.states.rows + row + r,
                                 1,
                                 memory.columns + u * kTileEdge,
                                 kUnits,
                                 &run,
                                 1,
                                 c,
                                 rows,
                                 kTileEdge,
                                 nullptr,
                                 nullptr,
                                 nullptr};
        tile_for<float, false>(1, rows)(job);
      }
  }
};

// As BackwardWeights. U's columns in panels of 32: [panel][step][plane][tile].
template <int planes>
struct BackwardTiles {
  using Scope = TileRegisters;

  struct Memory {
    alignas(64) float product[4 * kTileFloats];
    SplitRows gradients;
  };

  int64_t hidden, depth;
  Bfloat16* packed;
  TileRange* range;
  const float* weight;

  int64_t steps() const { return div_up(depth, kStepDepth); }
  int64_t panel_size() const { return steps() * kStepValues<planes>; }
  int64_t blocks() const { return div_up(hidden, kPairEdge); }
  int64_t pairs() const { return pairs_at_once<planes>(steps()); }
  size_t packed_bytes() const { return static_cast<size_t>(blocks() * panel_size()) * sizeof(Bfloat16); }
  size_t worker_bytes() const { return static_cast<size_t>(pairs() * panel_size()) * sizeof(Bfloat16); }
  void set_up(Memory& memory, void* own) const { memory.gradients.planes = static_cast<Bfloat16*>(own); }

  void pack(const float* from, int64_t block) const {
    ExponentRange found;
    split_panel<planes>(MatrixColumns<float>{from, hidden, 1, depth}, DepthBlock{0, depth, 0, 1}, block * kPairEdge,
                        hidden, packed + block * panel_size(), found);
    range->weights.add(found);
  }

  int64_t column(int64_t block) const { return smaller(hidden, block * kPairEdge); }

  void add_products(const float* dr, int64_t count, const BlockOrder& order, float* dh, Memory& memory) const {
    for (int64_t row = 0; row < count; row += pairs() * kPairEdge)
      add_products_at_once(dr + row * depth, smaller(pairs() * kPairEdge, count - row), order, dh + row * hidden,
                           memory);
  }

 private:
  void add_products_at_once(const float* dr, int64_t count, const BlockOrder& order, float* dh, Memory& memory) const {
    SplitRows& gradients = memory.gradients;
    split_sequences<planes>([&](int64_t r) { return dr + r * depth; }, count, depth, *range, gradients);
    const int64_t lines = div_up(kStepValues<planes> / 32, div_up(count, kPairEdge));
    for (int64_t i = 0; i < order.count(); ++i) {
      const int64_t block = order.at(i);
      const Bfloat16* next_panel = packed + order.at(smaller(i + 1, order.count() - 1)) * panel_size();
      for (int64_t row = 0; row < count; row += kPairEdge) {
        const Bfloat16* next = next_panel + row / kPairEdge * lines * steps() * 32;
        tile_product<planes>(gradients.planes + row / kPairEdge * panel_size(), packed + block * panel_size(), steps(),
                             false, memory.product, next, lines);
        for (int64_t half = 0; half < kPairEdge && row + half < count; half += kTileEdge)
          if (gradients.is_exact[(row + half) / kTileEdge])
            add_tiles(memory.product + half / kTileEdge * 2 * kTileFloats, smaller(kTileEdge, count - row - half),
                      block * kPairEdge, dh + (row + half) * hidden);
      }
    }
    for (int64_t row = 0; row < count; row += kTileEdge)
      if (!gradients.is_exact[row / kTileEdge])
        multiply_add(dr + row * depth, smaller(kTileEdge, count - row), order.share, dh + row * hidden);
  }

  // Adds two tiles side by side.
  void add_tiles(const float* tiles, int64_t count, int64_t column, float* dh) const {
    for (int64_t r = 0; r < count; ++r)
      for (int64_t j = 0; j < smaller(kPairEdge, hidden - column); j += kTileEdge) {
        const int lanes = static_cast<int>(smaller(kTileEdge, hidden - column - j));
        float* to = dh + r * hidden + column + j;
        const Vec<float> x = Vec<float>::load(tiles + j / kTileEdge * kTileFloats + r * kTileEdge);
        (Vec<float>::load(to, lanes) + x).store(to, lanes);
      }
  }

  // Up to 16 sequences by multiply-adds, with U where it lies.
  void multiply_add(const float* dr, int64_t count, const Share& share, float* dh) const {
    const BackwardWeights<float> plain{Panels<float>(hidden), depth, nullptr};
    const int64_t end = column(share.end_block);
    for (int64_t at = column(share.first_block); at < end; at += kPanel<float>) {
      const int64_t width = div_up(smaller(kPanel<float>, end - at), kTileEdge) * kTileEdge;
      plain.template multiply_rows<true>(dr, count, at, width, weight + at, hidden, dh);
    }
  }
};

}  // namespace tinydl::TINYDL_TIER
