// Products on tiles: a block sums a tile of C, fed by two fetchers over a ring of stages in shared memory, and stores
// it by rows, 16 bytes at a time. What is multiplied is the fetchers' affair, and where it goes the target's: matrices
// under any strides, or the pixels and taps of a convolution.
//
// A product of m x n x k takes 2 m n k FLOPs; its tiles read k (m n / tile_m + m n / tile_n) elements, mostly from the
// second-level cache, where neighbouring blocks have neighbouring tiles.
//
// A fetcher F has `Source`, what the launch gives it; F(source, Slice, first line); and fetch(tile, k), with which the
// block's threads begin to copy lines x depth elements, from step k of the slice on, into a shared tile of `F::Layout`,
// zeros where there is nothing. A target's `View(target, batch, m, k)` has `row(r)`, the address of a row of C;
// `bias_column`, which column of the epilogue's bias its first one is; and `rows` and `steps`, how much of m and k this
// product of the batch has.
#pragma once
#include "cuda/device/async_copy.h"
#include "cuda/device/epilogue.h"
#include "cuda/device/grid.h"
#include "cuda/device/scalar_tile.h"
#include "cuda/device/tensor_tile.h"
#include "cuda/runtime/launch.h"
#include "cuda/runtime/memory.h"

namespace tinydl::cuda {

// The part of a sum that a block takes.
struct Slice {
  int64_t batch, begin, end;
};

struct ProductSizes {
  int64_t m, n, k;
  int64_t batch;
  int64_t slice;  // steps of the sum in a slice
  int slices;
  int tiles_m, tiles_n;
  int64_t first;  // block of this launch, where one launch cannot hold all
};

// Which tile a block has: those of eight tile rows one column after the other, so that blocks that run at a time share
// rows and columns.
struct TilePlace {
  int64_t batch;
  int slice, row, column;

  __device__ explicit TilePlace(const ProductSizes& s) {
    constexpr int band = 8;
    const auto tiles = static_cast<unsigned>(s.tiles_m) * static_cast<unsigned>(s.tiles_n);
    const int64_t block = s.first + blockIdx.x;
    const int64_t matrix = block / tiles;
    const auto tile = static_cast<unsigned>(block - matrix * tiles);
    batch = matrix / s.slices;
    slice = static_cast<int>(matrix - batch * s.slices);
    const unsigned in_band = band * static_cast<unsigned>(s.tiles_n);
    const auto first_row = static_cast<int>(tile / in_band) * band;
    const int height = s.tiles_m - first_row < band ? s.tiles_m - first_row : band;
    const auto inside = static_cast<int>(tile % in_band);
    row = first_row + inside % height;
    column = inside / height;
  }
};

template <class Tile, class FetchA, class FetchB, class Target_, int stages_>
struct Product {
  using Sums = Tile;
  using A = FetchA;
  using B = FetchB;
  using Target = Target_;
  using T = typename Tile::T;
  using W = typename Tile::W;
  static constexpr int stages = stages_, threads = Tile::threads;
  static constexpr int pass_rows = Tile::rows / Tile::passes, pitch = Tile::columns + 32 / static_cast<int>(sizeof(W));

  struct Stage {
    T a[A::Layout::elements], b[B::Layout::elements];
  };
  union alignas(16) Shared {
    Stage stage[stages];
    W sums[pass_rows * pitch];
  };
  struct Arguments {
    typename A::Source a;
    typename B::Source b;
    Target target;
    ProductSizes sizes;
    Finish<T> finish;
    bool packs;   // rows of C can be written 16 bytes at a time
    W* partials;  // (slices, batch, m, n), or null where the sum is in one slice
  };
};

// Sums over `steps` tiles of depth: stages ahead are on their way while one is multiplied.
template <class P>
__device__ __forceinline__ void sum_stages(typename P::Sums& sums, typename P::Shared& shared,
                                           const typename P::A& fetch_a, const typename P::B& fetch_b, int steps) {
  constexpr int depth = P::Sums::depth, ahead = P::stages - 1;
#pragma unroll
  for (int s = 0; s < ahead; ++s) {
    if (s < steps) {
      fetch_a.fetch(shared.stage[s].a, s * depth);
      fetch_b.fetch(shared.stage[s].b, s * depth);
    }
    end_copy_group();
  }
  int filled = ahead, used = 0;
  for (int step = 0; step < steps; ++step) {
    wait_for_copies<ahead - 1>();
    __syncthreads();
    if (step + ahead < steps) {
      fetch_a.fetch(shared.stage[filled].a, (step + ahead) * depth);
      fetch_b.fetch(shared.stage[filled].b, (step + ahead) * depth);
    }
    end_copy_group();
    sums.multiply(shared.stage[used].a, shared.stage[used].b);
    filled = filled + 1 == P::stages ? 0 : filled + 1;
    used = used + 1 == P::stages ? 0 : used + 1;
  }
}

// Sums of one row, from a column on: finished, or as they are for another kernel to add up.
template <class P, int width>
__device__ __forceinline__ void store_sums(const typename P::Arguments& arguments, const typename P::W* from,
                                           typename P::T* to, typename P::W* partial, int64_t bias_column) {
  using T = typename P::T;
  using W = typename P::W;
  constexpr int access = width < kPack<W> ? width : kPack<W>;
  Pack<T, width> out;
#pragma unroll
  for (int e = 0; e < width; e += access) {
    const auto sums = load_pack<access>(from + e);
    if (partial) {
      store_pack(partial + e, sums);
    } else {
#pragma unroll
      for (int j = 0; j < access; ++j) out.v[e + j] = arguments.finish(sums.v[j], bias_column + e + j);
    }
  }
  if (!partial) store_pack(to, out);
}

template <class P, int width>
__device__ __forceinline__ void store_tile(const typename P::Arguments& arguments, typename P::Shared& shared,
                                           const typename P::Sums& sums, const TilePlace& place,
                                           const typename P::Target::View& to) {
  const ProductSizes& s = arguments.sizes;
  constexpr int columns = P::Sums::columns, packs = columns / width;
  const int64_t first_row = int64_t(place.row) * P::Sums::rows, first_column = int64_t(place.column) * columns;
#pragma unroll
  for (int pass = 0; pass < P::Sums::passes; ++pass) {
    __syncthreads();
    sums.write(pass, shared.sums, P::pitch);
    __syncthreads();
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < P::pass_rows * packs; i += P::threads) {
      const int r = i / packs, j = i % packs * width;
      const int64_t row = first_row + pass * P::pass_rows + r, column = first_column + j;
      if (row >= to.rows || column >= s.n) continue;
      typename P::W* partial = nullptr;
      if (arguments.partials)
        partial = arguments.partials + ((place.slice * s.batch + place.batch) * s.m + row) * s.n + column;
      store_sums<P, width>(arguments, shared.sums + r * P::pitch + j, to.row(row) + column, partial,
                           to.bias_column + column);
    }
  }
}

// C (m, n) tile by tile, or partial sums of it.
template <class P>
__global__ void __launch_bounds__(P::threads) product_kernel(typename P::Arguments arguments) {
  using Sums = typename P::Sums;
  TINYDL_LARGE_SHARED(typename P::Shared, shared);
  const ProductSizes& s = arguments.sizes;
  const TilePlace place(s);
  const int64_t row = int64_t(place.row) * Sums::rows, column = int64_t(place.column) * Sums::columns;
  const typename P::Target::View to(arguments.target, place.batch, s.m, s.k);
  if (row >= to.rows) return;
  const int64_t begin = place.slice * s.slice, end = begin + s.slice < to.steps ? begin + s.slice : to.steps;
  const Slice slice{place.batch, begin, end};
  const typename P::A fetch_a(arguments.a, slice, row);
  const typename P::B fetch_b(arguments.b, slice, column);
  const int64_t rows_left = to.rows - row, columns_left = s.n - column;
  Sums sums(rows_left < Sums::rows ? static_cast<int>(rows_left) : Sums::rows,
            columns_left < Sums::columns ? static_cast<int>(columns_left) : Sums::columns);
  const int64_t length = end > begin ? end - begin : 0;
  sum_stages<P>(sums, shared, fetch_a, fetch_b, static_cast<int>((length + Sums::depth - 1) / Sums::depth));
  if (arguments.packs)
    store_tile<P, kPack<typename P::T>>(arguments, shared, sums, place, to);
  else
    store_tile<P, 1>(arguments, shared, sums, place, to);
}

// The slices of a split sum, added up in their order.
template <class P>
__global__ void combine_kernel(typename P::Arguments arguments) {
  using W = typename P::W;
  const ProductSizes& s = arguments.sizes;
  const int64_t count = s.batch * s.m * s.n;
  for (int64_t i = thread_in_grid(); i < count; i += threads_in_grid()) {
    const int64_t line = i / s.n, column = i - line * s.n, batch = line / s.m, row = line - batch * s.m;
    const typename P::Target::View to(arguments.target, batch, s.m, s.k);
    if (row >= to.rows) continue;
    W sum = arguments.partials[i];
    for (int slice = 1; slice < s.slices; ++slice) sum += arguments.partials[slice * count + i];
    to.row(row)[column] = arguments.finish(sum, to.bias_column + column);
  }
}

// -- Launches

// How a sum is cut: into one slice, unless the tiles leave much of the GPU idle and the sum is long.
inline void plan_slices(ProductSizes& s, int depth, int64_t tiles) {
  constexpr int64_t least = 256, most = 64;
  const int64_t wanted = 2 * int64_t(multiprocessors()) / (tiles > 0 ? tiles : 1);
  int64_t slices = std::min({wanted, s.k / least, most});
  if (slices < 2) slices = 1;
  s.slice = (s.k + slices - 1) / slices;
  s.slice = (s.slice + depth - 1) / depth * depth;
  if (s.slice == 0) s.slice = depth;
  s.slices = static_cast<int>(std::max<int64_t>(1, (s.k + s.slice - 1) / s.slice));
}

inline int64_t tiles_of(int64_t lines, int tile) { return (lines + tile - 1) / tile; }

template <class P>
void run_product(int64_t batch, int64_t m, int64_t n, int64_t k, const typename P::A::Source& a,
                 const typename P::B::Source& b, const typename P::Target& target, const Finish<typename P::T>& finish,
                 bool packs) {
  using Sums = typename P::Sums;
  using W = typename P::W;
  if (batch == 0 || m == 0 || n == 0) return;
  ProductSizes s{};
  s.m = m, s.n = n, s.k = k, s.batch = batch;
  s.tiles_m = static_cast<int>(tiles_of(m, Sums::rows)), s.tiles_n = static_cast<int>(tiles_of(n, Sums::columns));
  const int64_t tiles = int64_t(s.tiles_m) * s.tiles_n;
  plan_slices(s, Sums::depth, batch * tiles);
  const Scratch scratch(s.slices > 1 ? sizeof(W) * static_cast<size_t>(s.slices * batch * m * n) : 0);
  typename P::Arguments arguments{a, b, target, s, finish, packs, static_cast<W*>(scratch.data())};
  constexpr int64_t most = (int64_t(1) << 31) - 1;
  for (int64_t first = 0, blocks = batch * s.slices * tiles; first < blocks; first += most) {
    arguments.sizes.first = first;
    launch_with_shared(product_kernel<P>, sizeof(typename P::Shared), grid_of(std::min(most, blocks - first)),
                       P::threads, arguments);
  }
  if (s.slices > 1) launch(combine_kernel<P>, blocks_for(batch * m * n), kThreads, arguments);
}

// -- The tiles of each type. `Fetch<Layout, threads>` is a fetcher.

enum class TileSize { small, tall, large };  // 64 x 64, 128 x 64, 128 x 128

template <class T, TileSize size>
struct TileShape {
  static constexpr int lines_a = size == TileSize::small ? 64 : 128, lines_b = size == TileSize::large ? 128 : 64;
  static constexpr int depth = 32, stages = 4;
  template <class A, class B>
  using Sums = TensorTile<A, B, 2, 2>;
};
template <TileSize size>
struct TileShape<float, size> {
  static constexpr int lines_a = size == TileSize::small ? 64 : 128, lines_b = size == TileSize::large ? 128 : 64;
  static constexpr int depth = 16, stages = 3;
  template <class A, class B>
  using Sums = ScalarTile<A, B, 8, size == TileSize::large ? 8 : 4>;
};
template <TileSize size>
struct TileShape<double, size> {
  static constexpr int lines_a = 64, lines_b = 64, depth = 8, stages = 3;
  template <class A, class B>
  using Sums = ScalarTile<A, B, 4, 4>;
};

template <class T, TileSize size, template <class, int> class FetchA, Along along_a, template <class, int> class FetchB,
          Along along_b, class Target>
struct ProductOf {
  using Shape = TileShape<T, size>;
  using LayoutA = TileLayout<T, Shape::lines_a, Shape::depth, along_a>;
  using LayoutB = TileLayout<T, Shape::lines_b, Shape::depth, along_b>;
  using Sums = typename Shape::template Sums<LayoutA, LayoutB>;
  using type = Product<Sums, FetchA<LayoutA, Sums::threads>, FetchB<LayoutB, Sums::threads>, Target, Shape::stages>;
};

// Calls run with the largest tile, as an integral constant, of which there is one for every multiprocessor, slices of
// long sums counted. float64 has but one size.
template <class T, class F>
void by_tile_size(int64_t batch, int64_t m, int64_t n, int64_t k, const F& run) {
  const int64_t slices = std::max<int64_t>(1, k / 512);
  const auto fills = [&](int tile_n) {
    const int64_t tiles = batch * tiles_of(m, 128) * tiles_of(n, tile_n);
    return m > 64 && (n > 64 || tile_n == 64) && tiles * slices >= multiprocessors();
  };
  if constexpr (sizeof(T) <= 4) {
    if (fills(128)) return run(std::integral_constant<TileSize, TileSize::large>());
    if (fills(64)) return run(std::integral_constant<TileSize, TileSize::tall>());
  }
  run(std::integral_constant<TileSize, TileSize::small>());
}

}  // namespace tinydl::cuda
