// Folds along the middle axis of (outer, rows, columns): a block has a tile of columns, whose loads are coalesced, and
// a chunk of rows; a second launch folds what the chunks left. The cuts depend on the shape (and on whether its rows
// take packs) alone.
#pragma once
#include <algorithm>

#include "cuda/device/fold_rows.h"

namespace tinydl::cuda {

constexpr int kColumnBlock = 256;

// The columns of a thread, whose accumulators stay in registers.
template <class T, class Fold>
constexpr int kFoldColumns = kPack<T> * sizeof(typename Fold::Acc) <= 96 ? kPack<T> : 4;

// Tile t of chunk c of outer index o is piece (o * chunks + c) * tiles + t, of `lanes` threads' columns.
struct ColumnChunks {
  int64_t outer, rows, columns;
  int64_t chunk, chunks, tiles;
  int lanes;  // a power of two

  ColumnChunks(int64_t outer, int64_t rows, int64_t columns, int width, int64_t rows_per_thread)
      : outer(outer), rows(rows), columns(columns), chunk(rows), chunks(1), lanes(1) {
    const auto idle = [&] { return lanes < kLanes || (lanes < kColumnBlock && rows < kColumnBlock / lanes); };
    while (lanes * width < columns && idle()) lanes *= 2;
    tiles = (columns + lanes * width - 1) / (lanes * width);
    const int64_t least = rows_per_thread * (kColumnBlock / lanes);
    constexpr int64_t most_chunks = 1024;
    if (rows_per_thread == 0 || rows <= 2 * least) return;
    const int64_t wanted = (rows + most_chunks - 1) / most_chunks;
    chunk = std::max<int64_t>((wanted + least - 1) / least, 1) * least;
    chunks = (rows + chunk - 1) / chunk;
  }
  int64_t pieces() const { return outer * chunks * tiles; }
};

// A thread's place in a piece of work.
struct ColumnPlace {
  int64_t outer, chunk, column, begin, end;  // its rows are begin, begin + step, ... below end
  int step, row;                             // of the block's threads
  bool present;

  __device__ ColumnPlace(const ColumnChunks& g, int64_t piece, int width) {
    const int64_t chunk_number = piece / g.tiles, tile = piece - chunk_number * g.tiles;
    outer = chunk_number / g.chunks;
    chunk = chunk_number - outer * g.chunks;
    step = kColumnBlock / g.lanes;
    row = static_cast<int>(threadIdx.x) / g.lanes;
    column = (tile * g.lanes + static_cast<int>(threadIdx.x) % g.lanes) * width;
    present = column < g.columns;
    begin = chunk * g.chunk + row;
    end = g.rows - chunk * g.chunk < g.chunk ? g.rows : (chunk + 1) * g.chunk;
  }
};

// A source whose columns need nothing of their own.
template <class Base>
struct ColumnsOf : Base {
  template <int width>
  struct Columns {};
  template <int width>
  __device__ Columns<width> columns(int64_t, int64_t) const {
    return {};
  }
  template <int width, class Item>
  __device__ void load(const Columns<width>&, int64_t, int64_t at, Item (&v)[width]) const {
    Base::template load<width>(at, v);
  }
};

template <int width, class Fold, class Source, class Store>
__global__ __launch_bounds__(kColumnBlock) void fold_columns_kernel(ColumnChunks g, Source source, Store store) {
  using Item = typename Fold::Item;
  using Acc = typename Fold::Acc;
  constexpr int batch = kBatch<Item, width>;
  struct Shared {
    Acc acc[width][kColumnBlock];
  };
  TINYDL_SHARED(Shared, shared);
  const int64_t piece = block_number();
  if (piece >= g.outer * g.chunks * g.tiles) return;
  const ColumnPlace place(g, piece, width);
  Acc acc[width];
#pragma unroll
  for (int j = 0; j < width; ++j) acc[j] = Fold::start();
  if (place.present) {
    const auto columns = source.template columns<width>(place.outer, place.column);
    for (int64_t r = place.begin; r < place.end; r += place.step * batch) {
      Item v[width][batch];
      int count = 0;
#pragma unroll
      for (int k = 0; k < batch; ++k) {
        Item items[width];
        const int64_t at = place.outer * g.rows + r + k * place.step;
        const bool inside = r + k * place.step < place.end;
        count += inside ? 1 : 0;
#pragma unroll
        for (int j = 0; j < width; ++j) items[j] = Fold::fill();
        if (inside) source.template load<width>(columns, at, at * g.columns + place.column, items);
#pragma unroll
        for (int j = 0; j < width; ++j) v[j][k] = items[j];
      }
#pragma unroll
      for (int j = 0; j < width; ++j) Fold::take(acc[j], v[j], count);
    }
  }
#pragma unroll
  for (int j = 0; j < width; ++j) shared.acc[j][threadIdx.x] = acc[j];
  for (int half = place.step / 2; half > 0; half /= 2) {
    __syncthreads();
    if (place.row >= half) continue;
#pragma unroll
    for (int j = 0; j < width; ++j) {
      acc[j] = Fold::merge(acc[j], shared.acc[j][threadIdx.x + static_cast<unsigned>(half * g.lanes)]);
      shared.acc[j][threadIdx.x] = acc[j];
    }
  }
  if (place.row == 0 && place.present) store((place.outer * g.chunks + place.chunk) * g.columns + place.column, acc);
}

// Stores of one value after another, by a functor for one.
template <class One>
struct StoreColumns {
  One one;
  template <class Acc, int width>
  __device__ void operator()(int64_t at, const Acc (&acc)[width]) const {
#pragma unroll
    for (int j = 0; j < width; ++j) one(at + j, acc[j]);
  }
};

template <int width, class Fold, class Source, class Store>
void launch_fold_columns(const ColumnChunks& g, const Source& source, const Store& store) {
  launch(fold_columns_kernel<width, Fold, Source, StoreColumns<Store>>, blocks_of_rows(g.pieces(), 1), kColumnBlock, g,
         source, StoreColumns<Store>{store});
}

// store(o * columns + c, acc) for the items of each column c of each outer index o, in loads of `width` columns.
template <int width, class Fold, class Source, class Store>
void fold_columns(int64_t outer, int64_t rows, int64_t columns, const Source& source, const Store& store) {
  using Acc = typename Fold::Acc;
  const ColumnChunks g(outer, rows, columns, width, 2 * kBatch<typename Fold::Item, width>);
  if (g.pieces() == 0) return;
  if (g.chunks == 1) return launch_fold_columns<width, Fold>(g, source, store);
  const Scratch scratch(static_cast<size_t>(outer * g.chunks * columns) * sizeof(Acc));
  auto* partial = static_cast<Acc*>(scratch.data());
  launch_fold_columns<width, Fold>(g, source, StorePartial<Acc>{partial});
  launch_fold_columns<1, MergeFold<Fold>>(ColumnChunks(outer, g.chunks, columns, 1, 0),
                                          ColumnsOf<Partials<Acc>>{{partial}}, store);
}

}  // namespace tinydl::cuda
