// The loops around the tile, for products whose right operand is packed.
//
//   B is packed as [k block][panel][k][column], unless it lies so already: all at once, or each panel when it is used
//   if that is once. A panel is up to kPanel columns, and a block's panel fits in two thirds of the first-level cache.
//   A block of C is up to kBlockRows rows x kBlockPanels panels:
//
//     for each k block
//       for each panel            (B's block panel: 32 KB; the next one is fetched meanwhile)
//         for each tile of rows   (A's rows: from the second-level cache)
//           partial sums += A rows * B panel
//
// Partial sums lie in scratch memory tile by tile until the last k block adds its own and writes C: rows of a wide C
// would compete for a few sets of the second-level cache (0.92 instead of 0.79 of MKL's speed at 2048 on two threads).
// The number of workers decides how wide panels are and who has which, but no sum: a sum over k is cut where the k
// blocks are, and does not depend on the panel that its column is in.
//
// A `Rows` source says where the rows of A and C start, and may copy a block of A to scratch memory first: stage() for
// each k block.
#pragma once
#include "cpu/matmul/packing.h"
#include "cpu/runtime/allocator.h"
#include "cpu/runtime/parallel.h"

namespace tinydl::TINYDL_TIER {

constexpr int kBlockRows = 256;
constexpr int kBlockPanels = 16;

template <class T>
constexpr int64_t kBlockDepth = 32768 / (kPanel<T> * static_cast<int64_t>(sizeof(T)));

// Whether workers share out panels: if these divide among them, and reading A once for each worker costs less than
// handing packed panels from core to core.
inline bool panels_are_shared(int64_t m, int64_t n, int64_t panels, int workers) {
  if (workers > 1 && m > 2 * n) return false;
  return panels % workers == 0 || panels >= 8 * workers;
}

// What a product costs, in the units of parallel_for.
template <class T>
int64_t product_work(int64_t m, int64_t n, int64_t k) {
  return m * div_up(n, Vec<T>::size) * (k + 8) / 2;
}

// How a product is shared out.
template <class T>
struct GemmPlan {
  Panels<T> panels;
  int workers;
  bool by_panels;      // each worker packs its own panels: no other core's cache has to give them up
  bool is_packed;      // B lies in memory as packing would leave it
  bool packs_at_use;   // each panel is used once, and packed just before
  int64_t block_rows;  // rows of a block

  GemmPlan(int64_t m, int64_t n, bool is_packed, int workers_at_most) : panels(n), is_packed(is_packed) {
    workers = static_cast<int>(smaller(workers_at_most, div_up(m, kTileRows[kMaxVectors]) * panels.count));
    const int64_t even = div_up(panels.count, workers) * workers;
    if (panels.vectors >= 3 * even) panels.count = even;
    by_panels = panels_are_shared(m, n, panels.count, workers);
    packs_at_use = by_panels && m <= kBlockRows && !is_packed;
    block_rows = smaller(kBlockRows, by_panels ? m : rows_of_share(m));
  }
  int64_t panel_blocks() const { return div_up(panels.count, kBlockPanels); }

 private:
  // As many rows as allowed, but so that the blocks divide evenly among the workers.
  int64_t rows_of_share(int64_t m) const {
    constexpr int64_t kStep = kTileRows[kMaxVectors];
    int64_t blocks = div_up(m, kBlockRows);
    while (blocks * panel_blocks() % workers != 0 && blocks * kStep < m) ++blocks;
    return div_up(div_up(m, blocks), kStep) * kStep;
  }
};

// A product whose B is packed, and the work on one block of its C.
template <class T, class Rows, class Columns>
struct PackedProduct {
  const Rows& rows;
  const Columns& columns;
  const Depth& depth;
  const Panels<T>& panels;
  const Epilogue<T>& epilogue;
  const T* packed;  // null where panels are packed at use

  int64_t packed_offset(int b, int64_t panel) const {
    return depth.block(b).first_k * panels.padded() + panels.column(panel) * depth.block(b).length;
  }
  const T* packed_panel(int b, int64_t panel) const { return packed + packed_offset(b, panel); }
  void pack(int b, int64_t panel, T* to) const {
    pack_panel(columns, depth.block(b), panels, panel, to + packed_offset(b, panel));
  }

  // Rows [first, first + count) x panels [panel, panel_end) of C.
  void block(int64_t first, int64_t count, int64_t panel, int64_t panel_end, T* scratch) const {
    const T* a[kBlockRows + kMaxTileRows];
    T* c[kBlockRows];
    rows.locate(first, count, a, c);
    T* hot = scratch + rows.scratch_elements();
    for (int b = 0; b < depth.block_count(); ++b) {
      rows.stage(first, count, depth.block(b), scratch, a);
      for (int i = 0; i < kMaxTileRows; ++i) a[count + i] = a[count - 1];
      T* partial = hot + (packed ? 0 : kPanel<T> * kBlockDepth<T>);
      for (int64_t p = panel; p < panel_end; partial += count * panels.width(p), ++p) {
        if (!packed) {
          pack_panel(columns, depth.block(b), panels, p, hot);
          column_of_tiles(b, p, hot, nullptr, count, a, c, partial);
        } else {
          column_of_tiles(b, p, packed_panel(b, p), panel_after(b, p, panel, panel_end), count, a, c, partial);
        }
      }
    }
  }

  // The panel to fetch while panel p of k block b is used, or null at the end: the one behind is another worker's.
  const T* panel_after(int b, int64_t p, int64_t panel, int64_t panel_end) const {
    if (p + 1 < panel_end) return packed_panel(b, p + 1);
    return b + 1 < depth.block_count() ? packed_panel(b + 1, panel) : nullptr;
  }

  // One panel's part of a block, for k block b; `next` is fetched meanwhile. partial: (count, width), defined from the
  // second k block on.
  void column_of_tiles(int b, int64_t panel, const T* here, const T* next, int64_t count, const T* const* a,
                       T* const* c, T* partial) const {
    const bool last = b + 1 == depth.block_count();
    const DepthBlock& block = depth.block(b);
    const int64_t column = panels.column(panel), width = panels.width(panel);
    const int vectors = static_cast<int>(width / Vec<T>::size);
    const int step = kTileRows[vectors];
    T *tile_c[kMaxTileRows], *tile_partial[kMaxTileRows];
    TileJob<T> job;
    job.a_step = rows.step();
    job.b = here;
    job.b_step = width;
    job.partial = b > 0 ? tile_partial : nullptr;
    job.runs = depth.runs(block);
    job.run_count = block.run_count;
    job.c = tile_c;
    job.tail = Vec<T>::size - static_cast<int>(last ? larger(0, column + width - panels.n) : 0);
    job.epilogue = last && (epilogue.bias || epilogue.activation != Activation::none) ? &epilogue : nullptr;
    job.bias = epilogue.bias ? epilogue.bias + column : nullptr;
    const int64_t next_share = next ? div_up(block.length * width, div_up(count, step)) : 0;
    for (int64_t i = 0; i < count; i += step, partial += step * width) {
      job.a = a + i;
      job.rows = static_cast<int>(smaller(step, count - i));
      for (int r = 0; r < job.rows; ++r) {
        tile_partial[r] = partial + r * width;
        tile_c[r] = last ? c[i + r] + column : tile_partial[r];
      }
      prefetch(next + i / step * next_share, next_share);
      tile_for<T, false>(vectors, job.rows)(job);
    }
  }

  static void prefetch(const T* from, int64_t count) {
    for (int64_t at = 0; at < count; at += 64 / sizeof(T)) __builtin_prefetch(from + at);
  }
};

// Both ways to share a product out: panels of B, or blocks of rows after all of B is packed to `unpacked`, which is
// null where it need not be.
template <class T, class Rows, class Columns>
void share_panels(const PackedProduct<T, Rows, Columns>& product, const GemmPlan<T>& plan, int64_t m, T* unpacked,
                  char* memory, size_t share) {
  parallel_for_workers(plan.panels.count, plan.workers, [&](int64_t begin, int64_t end, int worker) {
    const FlushDenormals flush;
    T* scratch = reinterpret_cast<T*>(memory + share * static_cast<size_t>(worker));
    for (int b = 0; unpacked && b < product.depth.block_count(); ++b)
      for (int64_t panel = begin; panel < end; ++panel) product.pack(b, panel, unpacked);
    for (int64_t panel = begin; panel < end; panel += kBlockPanels)
      for (int64_t first = 0; first < m; first += plan.block_rows)
        product.block(first, smaller(plan.block_rows, m - first), panel, smaller(end, panel + kBlockPanels), scratch);
  });
}

template <class T, class Rows, class Columns>
void share_rows(const PackedProduct<T, Rows, Columns>& product, const GemmPlan<T>& plan, int64_t m, T* unpacked,
                char* memory, size_t share) {
  const int64_t panels = plan.panels.count, panel_blocks = plan.panel_blocks();
  if (unpacked)
    parallel_for(panels * product.depth.block_count(), product.depth.total() * plan.panels.padded() / 2,
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t t = begin; t < end; ++t)
                     product.pack(static_cast<int>(t / panels), t % panels, unpacked);
                 });
  const int64_t tasks = div_up(m, plan.block_rows) * panel_blocks;
  parallel_for_workers(tasks, plan.workers, [&](int64_t begin, int64_t end, int worker) {
    const FlushDenormals flush;
    T* scratch = reinterpret_cast<T*>(memory + share * static_cast<size_t>(worker));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task / panel_blocks * plan.block_rows, panel = task % panel_blocks * kBlockPanels;
      product.block(first, smaller(plan.block_rows, m - first), panel, smaller(panels, panel + kBlockPanels), scratch);
    }
  });
}

// What the workers of a plan need, and packed B behind it.
template <class T>
struct GemmMemory {
  size_t share, packed;

  GemmMemory(const GemmPlan<T>& plan, const Depth& depth, int64_t staged) {
    const int64_t hot = plan.packs_at_use ? kPanel<T> * kBlockDepth<T> : 0;
    const int64_t columns = smaller(kBlockPanels * kPanel<T>, plan.panels.padded());
    const int64_t partial = depth.block_count() > 1 ? plan.block_rows * columns : 0;
    share = static_cast<size_t>(staged + hot + partial) * sizeof(T);
    packed =
        static_cast<size_t>(plan.packs_at_use || plan.is_packed ? 0 : plan.panels.padded() * depth.total()) * sizeof(T);
  }
  size_t bytes(const GemmPlan<T>& plan) const { return share * static_cast<size_t>(plan.workers) + packed; }
};

// C (m, n) = activation(A B + bias), in memory of GemmMemory's size.
template <class T, class Rows, class Columns>
void gemm(const GemmPlan<T>& plan, const Rows& rows, const Columns& columns, const Depth& depth, int64_t m,
          const Epilogue<T>& epilogue, char* memory) {
  const GemmMemory<T> sizes(plan, depth, rows.scratch_elements());
  T* unpacked = sizes.packed ? reinterpret_cast<T*>(memory + sizes.share * static_cast<size_t>(plan.workers)) : nullptr;
  const T* packed = plan.is_packed ? columns.packed_data() : unpacked;
  const PackedProduct<T, Rows, Columns> product{rows, columns, depth, plan.panels, epilogue, packed};
  if (plan.by_panels)
    share_panels(product, plan, m, unpacked, memory, sizes.share);
  else
    share_rows(product, plan, m, unpacked, memory, sizes.share);
}

}  // namespace tinydl::TINYDL_TIER
