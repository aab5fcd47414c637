// The loops around the matrix tiles.
//
//   B is packed once as [k block][32 columns][step][plane][tile]. A block of C is up to kTileBlockRows rows x
//   kTileBlockPanels panels, and where there are few, a part of k too:
//
//     for each k block            (A's rows packed to scratch memory: up to 768 KB of the second-level cache)
//       for each panel            (B's 96 KB of three planes: from the second- or third-level cache)
//         for each 32 rows        (A's 96 KB: from the second-level cache)
//           32 x 32 of C += A B
//
// Between k blocks C lies in scratch memory, as tiles. The cuts of k depend on the problem's shape alone; workers share
// out panels, or blocks after all of B is packed.
//
// The `Operands` know what is multiplied, as so many bfloat16 planes, and where C lies as what type:
//   pack_a(first, count, block, memory, to)   rows of A over a block of k, as [32 rows][step][plane][tile]
//   pack_b(block, column, to)                 32 columns of B over a block of k, as [step][plane][tile]
//   locate(first, count, c)                   rows of C
#pragma once
#include "cpu/matmul/amx_tile.h"
#include "cpu/matmul/gemm.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kTileDepth = 512;  // most k of a block
template <int planes>
constexpr int64_t kTileBlockRows = planes == 1 ? 512 : 256;
constexpr int64_t kTileBlockPanels = 32;
constexpr int64_t kTileTasks = 8;  // enough to share among a few threads

// How a product is cut and shared out.
template <int planes>
struct TilePlan {
  int64_t m, panels, block_rows, row_blocks, panel_blocks;
  int64_t splits;  // parts of k that are summed at the end: by the shape alone, as the next
  int64_t depth;   // k of a block
  int workers;
  bool by_panels;  // each worker splits its own panels of B

  TilePlan(int64_t rows, int64_t n, int64_t k)
      : m(rows), panels(div_up(n, kPairEdge)), panel_blocks(div_up(panels, kTileBlockPanels)) {
    const int64_t even = div_up(div_up(m, div_up(kTileTasks, panel_blocks)), kPairEdge) * kPairEdge;
    set_block_rows(larger(2 * kPairEdge, smaller(kTileBlockRows<planes>, even)));
    const int64_t blocks = larger(1, div_up(k, kTileDepth));
    depth = larger(1, div_up(div_up(k, blocks), kStepDepth)) * kStepDepth;
    splits = smaller(larger(1, kTileTasks / tasks_of_a_split()), blocks);
    workers = workers_for(tasks_of_a_split() * splits, m * n / 64 * k);
    by_panels = splits == 1 && panels_are_shared(m, n, panels, workers);
    if (by_panels) set_block_rows(smaller(kTileBlockRows<planes>, div_up(m, kPairEdge) * kPairEdge));
  }
  int64_t tasks_of_a_split() const { return row_blocks * panel_blocks; }

 private:
  void set_block_rows(int64_t rows) {
    block_rows = rows;
    row_blocks = div_up(m, block_rows);
  }
};

// The tiles of 16 rows, or 16 columns, of a step of an operand: [step][plane][two tiles][16][32].
template <int planes>
constexpr int64_t kStepValues = planes * 2 * kTileValues;

TINYDL_INLINE void store(Vec<float> x, float* to, int lanes) { x.store(to, lanes); }
TINYDL_INLINE void store(Vec<float> x, Bfloat16* to, int lanes) {
  _mm256_mask_storeu_epi16(to, static_cast<__mmask16>((1u << lanes) - 1), (__m256i)_mm512_cvtneps_pbh(x.v));
}
TINYDL_INLINE void store(Vec<float> left, Vec<float> right, float* to) {
  left.store(to);
  right.store(to + kTileEdge);
}
TINYDL_INLINE void store(Vec<float> left, Vec<float> right, Bfloat16* to) {
  _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(right.v, left.v));
}

// Completes 16 columns of a row of C, with bias and activation.
template <class Result>
TINYDL_INLINE void finish(Vec<float> x, const Epilogue<float>& epilogue, int64_t column, Result* row, int lanes) {
  if (epilogue.bias) x = x + Vec<float>::load(epilogue.bias + column, lanes);
  store(activate(x, epilogue.activation), row + column, lanes);
}

// Writes 32 x 32 of C, four tiles.
template <class Result>
void put_tiles(const float* tiles, const Epilogue<float>& epilogue, Result* const* c, int64_t count, int64_t column,
               int64_t width) {
  const bool plain = width == kPairEdge && !epilogue.bias && epilogue.activation == Activation::none;
  for (int64_t i = 0; i < count; ++i) {
    const float* left = tiles + (i / kTileEdge * (2 * kTileEdge) + i % kTileEdge) * kTileEdge;
    const float* right = left + kTileFloats;
    if (plain) {
      store(Vec<float>::load(left), Vec<float>::load(right), c[i] + column);
      continue;
    }
    finish(Vec<float>::load(left), epilogue, column, c[i], static_cast<int>(smaller(kTileEdge, width)));
    if (width > kTileEdge)
      finish(Vec<float>::load(right), epilogue, column + kTileEdge, c[i], static_cast<int>(width - kTileEdge));
  }
}

template <class Operands>
struct TileGemm {
  using Result = typename Operands::Result;
  static constexpr int planes = Operands::planes;

  const Operands& operands;
  const Depth& depth;
  const TilePlan<planes>& plan;
  int64_t n;
  const Epilogue<float>& epilogue;
  Bfloat16* b;
  float* parts;  // [split][m][n], or null where C is written at once

  // What a worker needs to itself.
  struct Memory {
    alignas(64) Bfloat16 a[kTileBlockRows<planes> * kTileDepth * planes];
    alignas(64) float c[kTileBlockPanels * kTileBlockRows<planes> / kPairEdge][kPairEdge * kPairEdge];
    typename Operands::Memory operands;
  };

  Bfloat16* packed_b(int k, int64_t panel) const {
    const DepthBlock& block = depth.block(k);
    const int64_t steps = div_up(block.length, kStepDepth);
    return b + (div_up(block.first_k, kStepDepth) * plan.panels + panel * steps) * kStepValues<planes>;
  }
  void pack_b(int k, int64_t panel) const { operands.pack_b(depth.block(k), panel * kPairEdge, packed_b(k, panel)); }

  // Writes a finished 32 x 32 to C, or to the parts of it that add_parts completes.
  void put(const float* tiles, int64_t first, int64_t count, int64_t panel, int64_t split) const {
    const int64_t column = panel * kPairEdge, width = smaller(kPairEdge, n - column);
    if (parts) {
      float* rows[kPairEdge];
      for (int64_t i = 0; i < count; ++i) rows[i] = parts + (split * plan.m + first + i) * n;
      put_tiles(tiles, Epilogue<float>(), rows, count, column, width);
    } else {
      Result* rows[kPairEdge];
      operands.locate(first, count, rows);
      put_tiles(tiles, epilogue, rows, count, column, width);
    }
  }

  // C's rows [first, first + count) x panels [panel, panel_end), over one part of k.
  void block(int64_t first, int64_t count, int64_t panel, int64_t panel_end, int64_t split, Memory& memory) const {
    const int64_t blocks = depth.block_count();
    const int begin = static_cast<int>(blocks * split / plan.splits);
    const int end = static_cast<int>(blocks * (split + 1) / plan.splits);
    for (int k = begin; k < end; ++k) {
      const int64_t steps = div_up(depth.block(k).length, kStepDepth);
      operands.pack_a(first, count, depth.block(k), memory.operands, memory.a);
      float (*tiles)[kPairEdge * kPairEdge] = memory.c;
      for (int64_t p = panel; p < panel_end; ++p) {
        const Bfloat16* next = p + 1 < panel_end ? packed_b(k, p + 1) : k + 1 < end ? packed_b(k + 1, panel) : nullptr;
        for (int64_t i = 0; i < count; i += kPairEdge) {
          product(memory.a, i, count, packed_b(k, p), next, steps, k > begin, *tiles);
          if (k + 1 == end) put(*tiles, first + i, smaller(kPairEdge, count - i), p, split);
          if (end - begin > 1) ++tiles;
        }
      }
    }
  }

  // Rows [i, i + 32) of `count` times a panel of B; meanwhile their share of the `next` panel is fetched.
  static void product(const Bfloat16* a, int64_t i, int64_t count, const Bfloat16* panel, const Bfloat16* next,
                      int64_t steps, bool accumulate, float* c) {
    constexpr int64_t kLine = 64 / sizeof(Bfloat16);
    const int64_t pair = i / kPairEdge,
                  lines = next ? div_up(kStepValues<planes> / kLine, div_up(count, kPairEdge)) : 0;
    tile_product<planes>(a + pair * steps * kStepValues<planes>, panel, steps, accumulate, c,
                         next + pair * lines * steps * kLine, lines);
  }

  void run() const {
    Scratch scratch(sizeof(Memory) * static_cast<size_t>(plan.workers));
    Memory* memory = static_cast<Memory*>(scratch.data());
    if (plan.by_panels)
      share_panels(memory);
    else
      share_blocks(memory);
  }
  void share_panels(Memory* memory) const {
    parallel_for_workers(plan.panels, plan.workers, [&](int64_t begin, int64_t end, int worker) {
      const FlushDenormals flush;
      const TileRegisters registers;
      for (int k = 0; k < depth.block_count(); ++k)
        for (int64_t panel = begin; panel < end; ++panel) pack_b(k, panel);
      for (int64_t panel = begin; panel < end; panel += kTileBlockPanels)
        for (int64_t first = 0; first < plan.m; first += plan.block_rows)
          block(first, smaller(plan.block_rows, plan.m - first), panel, smaller(end, panel + kTileBlockPanels), 0,
                memory[worker]);
    });
  }
  void share_blocks(Memory* memory) const {
    parallel_for(plan.panels * depth.block_count(), depth.total() * n / 2, [&](int64_t begin, int64_t end, int) {
      for (int64_t t = begin; t < end; ++t) pack_b(static_cast<int>(t / plan.panels), t % plan.panels);
    });
    const int64_t tasks = plan.tasks_of_a_split() * plan.splits;
    parallel_for_workers(tasks, plan.workers, [&](int64_t begin, int64_t end, int worker) {
      const FlushDenormals flush;
      const TileRegisters registers;
      for (int64_t t = begin; t < end; ++t) {
        const int64_t split = t / plan.tasks_of_a_split(), place = t % plan.tasks_of_a_split();
        const int64_t first = place / plan.panel_blocks * plan.block_rows;
        const int64_t panel = place % plan.panel_blocks * kTileBlockPanels;
        block(first, smaller(plan.block_rows, plan.m - first), panel, smaller(plan.panels, panel + kTileBlockPanels),
              split, memory[worker]);
      }
    });
  }

  // C = activation(sum of the parts + bias)
  void add_parts() const {
    parallel_for(plan.m, plan.m * n * plan.splits, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        Result* row;
        operands.locate(i, 1, &row);
        for (int64_t j = 0; j < n; j += Vec<float>::size) {
          const int lanes = static_cast<int>(smaller(Vec<float>::size, n - j));
          Vec<float> sum = Vec<float>::load(parts + i * n + j, lanes);
          for (int64_t s = 1; s < plan.splits; ++s)
            sum = sum + Vec<float>::load(parts + (s * plan.m + i) * n + j, lanes);
          finish(sum, epilogue, j, row, lanes);
        }
      }
    });
  }
};

// C (m, n) = activation(A B + bias)
template <class Operands>
void tile_gemm(const Operands& operands, const Depth& depth, const TilePlan<Operands::planes>& plan, int64_t n,
               const Epilogue<float>& epilogue) {
  int64_t steps = 0;
  for (int b = 0; b < depth.block_count(); ++b) steps += div_up(depth.block(b).length, kStepDepth);
  Scratch packed_b(static_cast<size_t>(steps * plan.panels * kStepValues<Operands::planes>) * sizeof(Bfloat16));
  Scratch parts(plan.splits > 1 ? static_cast<size_t>(plan.splits * plan.m * n) * sizeof(float) : 0);
  float* sums = plan.splits > 1 ? static_cast<float*>(parts.data()) : nullptr;
  const TileGemm<Operands> gemm{operands, depth, plan, n, epilogue, static_cast<Bfloat16*>(packed_b.data()), sums};
  gemm.run();
  if (sums) gemm.add_parts();
}

}  // namespace tinydl::TINYDL_TIER
