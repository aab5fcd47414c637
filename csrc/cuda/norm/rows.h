// Normalisation of rows. Forward reads x and writes y; backward reads dy and x and writes dx, with both held in
// registers, and reads them again for the gradients of weight and bias.
#pragma once
#include "cuda/norm/factors.h"

namespace tinydl::cuda {

// y = z w + b for the part of a row in v, which begins at element `at`.
template <class Held, class T>
__device__ __forceinline__ void store_row(T* y, int64_t at, int n, int rank, const Wide<T> (&v)[Held::count],
                                          const Standardise<Wide<T>>& z, const T* w, const T* b) {
#pragma unroll
  for (int k = 0; k < Held::packs; ++k) {
    const int begin = Held::begin(rank, k);
    if (begin >= n) continue;
    Pack<T, Held::width> out, scale, shift;
    if (w) scale = load_pack<Held::width>(w + at + begin);
    if (b) shift = load_pack<Held::width>(b + at + begin);
#pragma unroll
    for (int j = 0; j < Held::width; ++j) {
      Wide<T> value = z(v[k * Held::width + j]);
      if (w) value *= widen(scale.v[j]);
      if (b) value += widen(shift.v[j]);
      out.v[j] = static_cast<T>(value);
    }
    store_pack(y + at + begin, out);
  }
}

// The statistics of a row that a team holds: from deviations from a first estimate of the mean, whose rounding the
// second sum corrects.
template <class Held, class RowTeam, class W>
__device__ __forceinline__ void held_moments(const RowTeam& team, const W (&v)[Held::count], int n, int rank,
                                             bool centered, double& mean, double& var) {
  W pivot = 0, first = 0, squares = 0;
  const double count = n > 0 ? n : 1;
  if (centered) {
    W total = 0;
#pragma unroll
    for (int i = 0; i < Held::count; ++i) total += v[i];
    pivot = static_cast<W>(static_cast<double>(team.reduce(total, Sum())) / count);
  }
#pragma unroll
  for (int k = 0; k < Held::packs; ++k)
#pragma unroll
    for (int j = 0; j < Held::width; ++j) {
      const W d = Held::begin(rank, k) < n ? v[k * Held::width + j] - pivot : W(0);
      first += d;
      squares += d * d;
    }
  squares = team.reduce(squares, Sum());
  double off = 0;
  if (centered) off = static_cast<double>(team.reduce(first, Sum())) / count;
  mean = static_cast<double>(pivot) + off;
  var = static_cast<double>(squares) / count - off * off;
}

template <class Held, class T>
__global__ __launch_bounds__(Held::threads) void norm_held_rows(NormRows g, const T* x, double eps, const T* w,
                                                                const T* b, Moments m, T* y) {
  using W = Wide<T>;
  using RowTeam = Team<Held::team, W>;
  TINYDL_SHARED(typename RowTeam::Shared, shared);
  const RowTeam team(shared);
  const int rank = RowTeam::rank();
  const int64_t row = block_number() * Held::rows + static_cast<int>(threadIdx.x) / Held::team;
  const int n = row < g.rows ? static_cast<int>(g.n) : 0;
  W v[Held::count];
  Held::load(x + row * g.n, n, rank, W(0), v);
  double mean, var;
  held_moments<Held>(team, v, n, rank, g.centered, mean, var);
  store_row<Held>(y + row * g.n, 0, n, rank, v, Standardise<W>::of(mean, var, eps), w, b);
  if (rank == 0 && row < g.rows) {
    m.mean[row] = mean;
    m.var[row] = var;
  }
}

// The mean square about 0 of rows whose mean is not taken off.
struct StoreRowStatistics {
  Moments to;
  bool centered;
  __device__ void operator()(int64_t at, const MomentSums& m) const {
    to.mean[at] = centered ? m.mean : 0;
    to.var[at] = m.squares / m.count + (centered ? 0 : m.mean * m.mean);
  }
};

constexpr int64_t kLongPart = 8192;  // elements that a block has of a long row

template <int width, class T>
__global__ __launch_bounds__(kWideTeam) void norm_long_rows(NormRows g, int64_t parts, const T* x, double eps,
                                                            const T* w, const T* b, Moments m, T* y) {
  using Part = HeldRow<kWideTeam, width, kFewElements<Wide<T>> / width>;
  const int rank = static_cast<int>(threadIdx.x);
  const int64_t piece = block_number();
  if (piece >= g.rows * parts) return;
  const int64_t row = piece / parts, begin = (piece - row * parts) * kLongPart;
  const int64_t end = g.n - begin < kLongPart ? g.n : begin + kLongPart;
  const auto z = Standardise<Wide<T>>::of(m.mean[row], m.var[row], eps);
  for (int64_t at = begin; at < end; at += Part::elements) {
    const int n = static_cast<int>(end - at < Part::elements ? end - at : Part::elements);
    Wide<T> v[Part::count];
    Part::load(x + row * g.n + at, n, rank, Wide<T>(0), v);
    store_row<Part>(y + row * g.n, at, n, rank, v, z, w, b);
  }
}

template <int width, class T>
void row_norm_in(const NormRows& g, const T* x, double eps, const T* w, const T* b, Moments m, T* y) {
  hold_row<Wide<T>, width>(
      g.n,
      [&](auto held) {
        using Held = decltype(held);
        launch(norm_held_rows<Held, T>, blocks_of_rows(g.rows, Held::rows), Held::threads, g, x, eps, w, b, m, y);
      },
      [&] {
        fold_rows<width, MomentFold<Wide<T>>>(g.rows, g.n, Elements<T>{x}, StoreRowStatistics{m, g.centered});
        const int64_t parts = (g.n + kLongPart - 1) / kLongPart;
        launch(norm_long_rows<width, T>, blocks_of_rows(g.rows * parts, 1), kWideTeam, g, parts, x, eps, w, b, m, y);
      });
}

template <class T>
bool is_aligned_or_null(const T* p, int n) {
  return !p || is_aligned(p, n);
}

template <class T>
void row_norm(const NormRows& g, const T* x, double eps, const T* w, const T* b, Moments m, T* y) {
  if (g.rows == 0 || g.n == 0) return;
  constexpr int width = kPack<T>;
  if (rows_take_packs<T>(g.n, x, y) && is_aligned_or_null(w, width) && is_aligned_or_null(b, width))
    row_norm_in<width>(g, x, eps, w, b, m, y);
  else
    row_norm_in<1>(g, x, eps, w, b, m, y);
}

template <class W>
__global__ void row_factors(int64_t rows, Moments m, double eps, Standardise<W>* factors) {
  for (int64_t r = thread_in_grid(); r < rows; r += threads_in_grid())
    factors[r] = Standardise<W>::of(m.mean[r], m.var[r], eps);
}

// dx = g r + (z slope + shift), with g = dy w, of a row: v[0] is g, v[1] is z.
template <class W>
struct RowGradient {
  W r, slope, shift;
  __device__ W operator()(W g, W z) const { return fma_of(g, r, fma_of(z, slope, shift)); }
};

// g = dy w and z of a part of a row, both 0 beyond its end.
template <class Held, class T>
__device__ __forceinline__ void load_gradient(const T* dy, const T* x, const T* w, int64_t at, int n, int rank,
                                              const Standardise<Wide<T>>& z, Wide<T> (&v)[2][Held::count]) {
#pragma unroll
  for (int k = 0; k < Held::packs; ++k) {
    const int begin = Held::begin(rank, k);
    const bool inside = begin < n;
    Pack<T, Held::width> upstream, in, scale;
    if (inside) {
      upstream = load_pack<Held::width>(dy + at + begin);
      in = load_pack<Held::width>(x + at + begin);
      if (w) scale = load_pack<Held::width>(w + at + begin);
    }
#pragma unroll
    for (int j = 0; j < Held::width; ++j) {
      const int i = k * Held::width + j;
      v[0][i] = !inside ? Wide<T>(0) : w ? widen(upstream.v[j]) * widen(scale.v[j]) : widen(upstream.v[j]);
      v[1][i] = inside ? z(widen(in.v[j])) : Wide<T>(0);
    }
  }
}

// The same kernel for rows that are held, whose loop ends after one part, and for longer ones.
template <class Held, bool whole, class T>
__global__ __launch_bounds__(Held::threads) void rows_backward(NormRows g, const T* dy, const T* x,
                                                               const Standardise<Wide<T>>* factors, const T* w, T* dx) {
  using W = Wide<T>;
  using RowTeam = Team<Held::team, W>;
  TINYDL_SHARED(typename RowTeam::Shared, shared);
  const RowTeam team(shared);
  const int rank = RowTeam::rank();
  const int64_t row = block_number() * Held::rows + static_cast<int>(threadIdx.x) / Held::team, start = row * g.n;
  const bool present = row < g.rows;
  const Standardise<W> z = present ? factors[row] : Standardise<W>{0, 0, 0};
  const auto part_of = [&](int64_t at) {
    return !present ? 0 : static_cast<int>(g.n - at < Held::elements ? g.n - at : Held::elements);
  };
  W v[2][Held::count], plain = 0, moment = 0;
  for (int64_t at = 0; at < (whole ? 1 : g.n); at += Held::elements) {
    load_gradient<Held>(dy + start, x + start, w, at, part_of(at), rank, z, v);
#pragma unroll
    for (int i = 0; i < Held::count; ++i) {
      plain += v[0][i];
      moment = fma_of(v[0][i], v[1][i], moment);
    }
  }
  const W share = -z.r / static_cast<W>(g.n);
  moment = team.reduce(moment, Sum());
  plain = g.centered ? team.reduce(plain, Sum()) : W(0);
  const RowGradient<W> gradient{z.r, share * moment, share * plain};
  for (int64_t at = 0; at < (whole ? 1 : g.n); at += Held::elements) {
    if constexpr (!whole) load_gradient<Held>(dy + start, x + start, w, at, part_of(at), rank, z, v);
    Held::store(dx + start + at, part_of(at), rank, [&](int i) { return gradient(v[0][i], v[1][i]); });
  }
}

template <int width, class T>
void rows_backward_in(const NormRows& g, const T* dy, const T* x, const Standardise<Wide<T>>* factors, const T* w,
                      T* dx) {
  const auto run = [&](auto kernel, int rows, int threads) {
    launch(kernel, blocks_of_rows(g.rows, rows), threads, g, dy, x, factors, w, dx);
  };
  hold_row<Wide<T>, width>(
      g.n,
      [&](auto held) {
        using Held = decltype(held);
        run(rows_backward<Held, true, T>, Held::rows, Held::threads);
      },
      [&] {
        using Part = HeldRow<kWideTeam, width, kFewElements<Wide<T>> / width>;
        run(rows_backward<Part, false, T>, 1, kWideTeam);
      });
}

// dy and dy z, with a row's own factors.
template <class T>
struct RowGradients {
  const T *dy, *x;
  const Standardise<Wide<T>>* factors;

  template <int width>
  struct Columns {};
  template <int width>
  __device__ Columns<width> columns(int64_t, int64_t) const {
    return {};
  }
  template <int width>
  __device__ void load(const Columns<width>&, int64_t row, int64_t at, GradientSums<Wide<T>> (&v)[width]) const {
    const Pack<T, width> upstream = load_pack<width>(dy + at), in = load_pack<width>(x + at);
    const Standardise<Wide<T>> z = factors[row];
#pragma unroll
    for (int j = 0; j < width; ++j) {
      const Wide<T> g = widen(upstream.v[j]);
      v[j] = {g, g * z(widen(in.v[j]))};
    }
  }
};

template <class T>
void row_norm_backward(const NormRows& g, const T* dy, const T* x, Moments m, double eps, const T* w, T* dx, T* dw,
                       T* db) {
  using W = Wide<T>;
  constexpr int width = kPack<T>;
  const Scratch scratch(static_cast<size_t>(g.rows) * sizeof(Standardise<W>));
  auto* factors = static_cast<Standardise<W>*>(scratch.data());
  launch(row_factors<W>, blocks_for(g.rows), kThreads, g.rows, m, eps, factors);
  const bool packs = rows_take_packs<T>(g.n, dy, x);
  if (dw) {
    const RowGradients<T> source{dy, x, factors};
    const StoreParameterGradients<T> store{dw, db};
    if (packs)
      fold_columns<width, GradientFold<W>>(1, g.rows, g.n, source, store);
    else
      fold_columns<1, GradientFold<W>>(1, g.rows, g.n, source, store);
  }
  if (!dx || g.rows == 0 || g.n == 0) return;
  const Standardise<W>* made = factors;
  if (packs && is_aligned(dx, width) && is_aligned_or_null(w, width))
    rows_backward_in<width>(g, dy, x, made, w, dx);
  else
    rows_backward_in<1>(g, dy, x, made, w, dx);
}

}  // namespace tinydl::cuda
