// Folds along the rows of a matrix. A team of lanes has a short row, a block a chunk of a long one; a second launch
// folds what the chunks left. How a row is cut depends on its length alone.
#pragma once
#include "cuda/device/fold.h"
#include "cuda/device/rows.h"
#include "cuda/runtime/memory.h"

namespace tinydl::cuda {

constexpr int kRowBlock = 256;
constexpr int64_t kRowChunk = 16384;  // elements

// Where the pieces of work of a launch lie: chunk c of row r is piece r * chunks + c.
struct RowChunks {
  int64_t rows, n, chunk, chunks;
};

// Elements of T, widened.
template <class T>
struct Elements {
  const T* x;
  template <int width>
  __device__ void load(int64_t at, Wide<T> (&v)[width]) const {
    const Pack<T, width> pack = load_pack<width>(x + at);
#pragma unroll
    for (int j = 0; j < width; ++j) v[j] = widen(pack.v[j]);
  }
};

// What a first stage left.
template <class Acc>
struct Partials {
  const Acc* p;
  template <int width>
  __device__ void load(int64_t at, Acc (&v)[width]) const {
#pragma unroll
    for (int j = 0; j < width; ++j) v[j] = p[at + j];
  }
};
template <class Acc>
struct StorePartial {
  Acc* p;
  __device__ void operator()(int64_t at, const Acc& acc) const { p[at] = acc; }
};

// Packs in flight at once: up to about 64 registers.
constexpr int batch_of(size_t item_bytes, int width) {
  const int most = item_bytes <= 4 ? 8 : 4, fitting = 256 / (width * static_cast<int>(item_bytes));
  return fitting > most ? most : fitting < 2 ? 2 : fitting;
}
template <class Item, int width>
constexpr int kBatch = batch_of(sizeof(Item), width);

template <int team, int width, class Fold, class Source, class Store>
__global__ __launch_bounds__(kRowBlock) void fold_rows_kernel(RowChunks g, Source source, Store store) {
  using Item = typename Fold::Item;
  using Acc = typename Fold::Acc;
  constexpr int batch = kBatch<Item, width>, teams = kRowBlock / team, warps = kRowBlock / kLanes;
  struct Shared {
    Acc partial[warps];
  };
  TINYDL_SHARED(Shared, shared);
  const int rank = static_cast<int>(threadIdx.x) % team, pieces = static_cast<int>(threadIdx.x) / team;
  const int64_t piece = block_number() * teams + pieces;
  const bool present = piece < g.rows * g.chunks;
  const int64_t row = piece / g.chunks, begin = (piece - row * g.chunks) * g.chunk;
  const int64_t rest = g.n - begin, n = !present ? 0 : rest < g.chunk ? rest : g.chunk;
  Acc acc = Fold::start();
  for (int64_t at = rank * width; at < n; at += team * width * batch) {
    Item v[batch * width];
    int count = 0;
#pragma unroll
    for (int k = 0; k < batch; ++k) {
      const int64_t i = at + k * (team * width);
      const bool inside = i < n;
      count += inside ? width : 0;
      Item items[width];
#pragma unroll
      for (int j = 0; j < width; ++j) items[j] = Fold::fill();
      if (inside) source.template load<width>(row * g.n + begin + i, items);
#pragma unroll
      for (int j = 0; j < width; ++j) v[k * width + j] = items[j];
    }
    Fold::take(acc, v, count);
  }
  acc = merge_lanes<Fold, (team < kLanes ? team : kLanes)>(acc);
  if constexpr (team > kLanes) {
    if (threadIdx.x % kLanes == 0) shared.partial[threadIdx.x / kLanes] = acc;
    __syncthreads();
    if (rank == 0)
      for (int w = 1; w < warps; ++w) acc = Fold::merge(acc, shared.partial[w]);
  }
  if (rank == 0 && present) store(piece, acc);
}

template <int team, int width, class Fold, class Source, class Store>
void launch_fold_rows(const RowChunks& g, const Source& source, const Store& store) {
  launch(fold_rows_kernel<team, width, Fold, Source, Store>, blocks_of_rows(g.rows * g.chunks, kRowBlock / team),
         kRowBlock, g, source, store);
}

// store(r, acc) for the items of each row r of a source (rows, n), in loads of `width`.
template <int width, class Fold, class Source, class Store>
void fold_rows(int64_t rows, int64_t n, const Source& source, const Store& store) {
  if (rows == 0) return;
  if (n <= 32) return launch_fold_rows<4, width, Fold>({rows, n, n, 1}, source, store);
  if (n <= 1024) return launch_fold_rows<kLanes, width, Fold>({rows, n, n, 1}, source, store);
  if (n <= kRowChunk) return launch_fold_rows<kRowBlock, width, Fold>({rows, n, n, 1}, source, store);
  using Acc = typename Fold::Acc;
  const int64_t chunks = (n + kRowChunk - 1) / kRowChunk;
  const Scratch scratch(static_cast<size_t>(rows * chunks) * sizeof(Acc));
  auto* partial = static_cast<Acc*>(scratch.data());
  launch_fold_rows<kRowBlock, width, Fold>({rows, n, kRowChunk, chunks}, source, StorePartial<Acc>{partial});
  fold_rows<1, MergeFold<Fold>>(rows, chunks, Partials<Acc>{partial}, store);
}

}  // namespace tinydl::cuda
