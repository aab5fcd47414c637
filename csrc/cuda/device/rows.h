// Maps over the rows of dense row-major matrices that need a reduction of the row first. A team of threads has a row:
// a few lanes, a warp or a block, which read it once and keep it in registers; rows longer than that are read twice.
// Which way a row goes depends on its length and alignment alone.
#pragma once
#include <algorithm>

#include "cuda/device/pack.h"
#include "cuda/device/reduce.h"
#include "cuda/runtime/launch.h"

namespace tinydl::cuda {

// `threads` threads that share a row: a power of two, within a warp or the whole block.
template <int threads_, class W>
class Team {
 public:
  static constexpr int threads = threads_;
  struct Shared {
    W partial[threads > kLanes ? threads / kLanes : 1];
  };

  __device__ explicit Team(Shared& shared) : shared_(shared) {}
  __device__ static int rank() { return static_cast<int>(threadIdx.x) % threads; }
  // Every thread of the team gets the result. All threads of the block call it.
  template <class Op>
  __device__ W reduce(W x, const Op& op) const {
    if constexpr (threads > kLanes)
      return reduce_block<threads>(x, op, shared_.partial);
    else
      return reduce_warp<threads>(x, op);
  }

 private:
  Shared& shared_;
};

constexpr int kTeamBlock = 128;  // threads of a block of small teams
constexpr int kWideTeam = 256;

// How a team holds rows of up to `elements` elements, in packs of `width`.
template <int team_, int width_, int packs_>
struct HeldRow {
  static constexpr int team = team_, width = width_, packs = packs_, count = width * packs;
  static constexpr int elements = team * count;
  static constexpr int threads = team > kLanes ? team : kTeamBlock;
  static constexpr int rows = threads / team;  // of a block

  // Where the thread's pack k begins in the row.
  __device__ static int begin(int rank, int k) { return (k * team + rank) * width; }

  // v = the thread's part of a row of n elements; `fill` where there is none.
  template <class T, class W>
  __device__ static void load(const T* row, int n, int rank, W fill, W (&v)[count]) {
#pragma unroll
    for (int k = 0; k < packs; ++k) {
      const int i = begin(rank, k);
#pragma unroll
      for (int j = 0; j < width; ++j) v[k * width + j] = fill;
      if (i >= n) continue;
      const Pack<T, width> pack = load_pack<width>(row + i);
#pragma unroll
      for (int j = 0; j < width; ++j) v[k * width + j] = widen(pack.v[j]);
    }
  }

  // row[i] = f(the number of i among v's elements)
  template <class T, class F>
  __device__ static void store(T* row, int n, int rank, const F& f) {
#pragma unroll
    for (int k = 0; k < packs; ++k) {
      const int i = begin(rank, k);
      if (i >= n) continue;
      Pack<T, width> pack;
#pragma unroll
      for (int j = 0; j < width; ++j) pack.v[j] = static_cast<T>(f(k * width + j));
      store_pack(row + i, pack);
    }
  }
};

// What a thread has of the shortest rows, and at once of rows that are not held.
template <class W>
constexpr int kFewElements = sizeof(W) == 8 ? 4 : 8;

// Calls run(HeldRow) for rows of n elements, or long() where no team holds them.
template <class W, int width, class Run, class Long>
void hold_row(int64_t n, const Run& run, const Long& run_long) {
  constexpr int few = kFewElements<W> / width, many = (sizeof(W) == 8 ? 8 : 32) / width;
  if (n <= HeldRow<4, width, few>::elements) return run(HeldRow<4, width, few>());
  if (n <= HeldRow<kLanes, width, few>::elements) return run(HeldRow<kLanes, width, few>());
  if (n <= HeldRow<kLanes, width, many>::elements) return run(HeldRow<kLanes, width, many>());
  if (n <= HeldRow<kWideTeam, width, many>::elements) return run(HeldRow<kWideTeam, width, many>());
  run_long();
}

// Blocks that have `rows_per_block` rows each: block_number() counts them, to some numbers beyond the last.
inline dim3 blocks_of_rows(int64_t rows, int rows_per_block) {
  constexpr int64_t most = int64_t(1) << 30;
  const int64_t blocks = (rows + rows_per_block - 1) / rows_per_block;
  return grid_of(std::min(blocks, most), (blocks + most - 1) / most);
}
__device__ __forceinline__ int64_t block_number() { return int64_t(blockIdx.y) * gridDim.x + blockIdx.x; }

// Whether rows of n elements at all of p can be walked in packs.
template <class T, class... P>
bool rows_take_packs(int64_t n, const P*... p) {
  return n % kPack<T> == 0 && (is_aligned(p, kPack<T>) && ...);
}

// -- y[r, i] = f(x[r, i]...; sums over the row). Row is a struct of
//   fill                for elements that are not there,
//   take(v)             adds v[k], elements of operand k, to the thread's sums; may leave in v what `held` takes,
//   join(team)          makes the sums the row's,
//   held(v...), again(x...)   the result, from what `take` left, and from the operands.

template <class Held, template <class> class Row, class T, class... X>
__global__ __launch_bounds__(Held::threads) void map_held_rows(int64_t rows, int n, T* y, const X*... x) {
  using W = Wide<T>;
  using RowTeam = Team<Held::team, W>;
  TINYDL_SHARED(typename RowTeam::Shared, shared);
  const RowTeam team(shared);
  const int rank = RowTeam::rank();
  const int64_t row = block_number() * Held::rows + static_cast<int>(threadIdx.x) / Held::team;
  const int present = row < rows ? n : 0;
  const T* const from[] = {x...};
  W v[sizeof...(X)][Held::count];
#pragma unroll
  for (int k = 0; k < static_cast<int>(sizeof...(X)); ++k)
    Held::load(from[k] + row * n, present, rank, Row<W>::fill, v[k]);
  Row<W> state;
  state.take(v);
  state.join(team);
  Held::store(y + row * n, present, rank, [&](int i) {
    if constexpr (sizeof...(X) == 1)
      return state.held(v[0][i]);
    else
      return state.held(v[0][i], v[1][i]);
  });
}

template <int width, template <class> class Row, class T, class... X>
__global__ __launch_bounds__(kWideTeam) void map_long_rows(int64_t rows, int64_t n, T* y, const X*... x) {
  using W = Wide<T>;
  using RowTeam = Team<kWideTeam, W>;
  using Part = HeldRow<kWideTeam, width, kFewElements<W> / width>;
  TINYDL_SHARED(typename RowTeam::Shared, shared);
  const RowTeam team(shared);
  const int rank = RowTeam::rank();
  const int64_t row = block_number();
  if (row >= rows) return;
  const T* const from[] = {(x + row * n)...};
  Row<W> state;
  const auto each_part = [&](const auto& body) {
    for (int64_t at = 0; at < n; at += Part::elements) {
      const int present = static_cast<int>(n - at < Part::elements ? n - at : Part::elements);
      W v[sizeof...(X)][Part::count];
#pragma unroll
      for (int k = 0; k < static_cast<int>(sizeof...(X)); ++k)
        Part::load(from[k] + at, present, rank, Row<W>::fill, v[k]);
      body(at, present, v);
    }
  };
  each_part([&](int64_t, int, auto& v) { state.take(v); });
  state.join(team);
  each_part([&](int64_t at, int present, auto& v) {
    Part::store(y + row * n + at, present, rank, [&](int i) {
      if constexpr (sizeof...(X) == 1)
        return state.again(v[0][i]);
      else
        return state.again(v[0][i], v[1][i]);
    });
  });
}

template <int width, template <class> class Row, class T, class... X>
void map_rows_in(int64_t rows, int64_t n, T* y, const X*... x) {
  hold_row<Wide<T>, width>(
      n,
      [&](auto held) {
        using Held = decltype(held);
        launch(map_held_rows<Held, Row, T, X...>, blocks_of_rows(rows, Held::rows), Held::threads, rows,
               static_cast<int>(n), y, x...);
      },
      [&] { launch(map_long_rows<width, Row, T, X...>, blocks_of_rows(rows, 1), kWideTeam, rows, n, y, x...); });
}

template <template <class> class Row, class T, class... X>
void map_rows(int64_t rows, int64_t n, T* y, const X*... x) {
  if (rows == 0 || n == 0) return;
  if (rows_take_packs<T>(n, y, x...))
    map_rows_in<kPack<T>, Row>(rows, n, y, x...);
  else
    map_rows_in<1, Row>(rows, n, y, x...);
}

}  // namespace tinydl::cuda
