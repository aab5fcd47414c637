// Normalisation of channels-last images. Forward reads x for the statistics and again to write y; backward reads dy and
// x for two sums and again to write dx: 3 and 5 elements moved for each of the output. What the statistics make of each
// channel of each outer index is laid out once, in planes (outer, planes, channels).
#pragma once
#include "cuda/norm/factors.h"

namespace tinydl::cuda {

// The columns' own values in `planes` planes.
template <class W, int planes, int width>
struct ColumnFactors {
  W v[planes][width];
  __device__ ColumnFactors(const W* factors, int64_t columns, int64_t outer, int64_t column) {
#pragma unroll
    for (int k = 0; k < planes; ++k)
#pragma unroll
      for (int j = 0; j < width; ++j) v[k][j] = factors[(outer * planes + k) * columns + column + j];
  }
};

constexpr int kMapBatch = 4;

// y = f(the column's factors, x...)
template <int width, int planes, class F, class T, class... X>
__global__ __launch_bounds__(kColumnBlock) void map_columns_kernel(ColumnChunks g, const Wide<T>* factors, T* y,
                                                                   const X*... x) {
  constexpr int operands = sizeof...(X);
  const T* const from[] = {x...};
  const int64_t piece = block_number();
  if (piece >= g.outer * g.chunks * g.tiles) return;
  const ColumnPlace place(g, piece, width);
  if (!place.present) return;
  const ColumnFactors<Wide<T>, planes, width> column(factors, g.columns, place.outer, place.column);
  for (int64_t r = place.begin; r < place.end; r += place.step * kMapBatch) {
    Pack<T, width> in[kMapBatch][operands];
    const auto at = [&](int k) { return (place.outer * g.rows + r + k * place.step) * g.columns + place.column; };
#pragma unroll
    for (int k = 0; k < kMapBatch; ++k)
#pragma unroll
      for (int i = 0; i < operands; ++i)
        if (r + k * place.step < place.end) in[k][i] = load_pack<width>(from[i] + at(k));
#pragma unroll
    for (int k = 0; k < kMapBatch; ++k) {
      if (r + k * place.step >= place.end) continue;
      Pack<T, width> out;
#pragma unroll
      for (int j = 0; j < width; ++j) out.v[j] = static_cast<T>(F::apply(column.v, j, in[k]));
      store_pack(y + at(k), out);
    }
  }
}

// y = (x - high) scale + offset
struct Affine {
  static constexpr int planes = 3;
  template <class W, class P, int width>
  __device__ static W apply(const W (&f)[3][width], int j, const P (&in)[1]) {
    return fma_of(widen(in[0].v[j]) - f[0][j], f[1][j], f[2][j]);
  }
};
// dx = dy scale + ((x - high) slope + offset)
struct AffineGradient {
  static constexpr int planes = 4;
  template <class W, class P, int width>
  __device__ static W apply(const W (&f)[4][width], int j, const P (&in)[2]) {
    return fma_of(widen(in[0].v[j]), f[1][j], fma_of(widen(in[1].v[j]) - f[0][j], f[2][j], f[3][j]));
  }
};

template <class F, class T, class... X>
void map_columns(const NormColumns& g, const Wide<T>* factors, T* y, const X*... x) {
  constexpr int pack = kPack<T>;
  const auto run = [&](auto kernel, int width) {
    const ColumnChunks chunks(g.outer, g.rows, g.channels, width, 2 * kMapBatch);
    launch(kernel, blocks_of_rows(chunks.pieces(), 1), kColumnBlock, chunks, factors, y, x...);
  };
  if (rows_take_packs<T>(g.channels, y, x...))
    run(map_columns_kernel<pack, F::planes, F, T, X...>, pack);
  else
    run(map_columns_kernel<1, F::planes, F, T, X...>, 1);
}

template <class T>
void column_moments(const NormColumns& g, const T* x, Moments m) {
  using Fold = MomentFold<Wide<T>>;
  const auto fold = [&](const auto& store) {
    const ColumnsOf<Elements<T>> source{{x}};
    if (rows_take_packs<T>(g.channels, x))
      return fold_columns<kFoldColumns<T, Fold>, Fold>(g.outer, g.rows, g.channels, source, store);
    fold_columns<1, Fold>(g.outer, g.rows, g.channels, source, store);
  };
  if (g.groups == g.channels) return fold(StoreStatistics{m});
  const Scratch scratch(static_cast<size_t>(g.outer * g.channels) * sizeof(MomentSums));
  auto* of_channels = static_cast<MomentSums*>(scratch.data());
  fold(StorePartial<MomentSums>{of_channels});
  fold_rows<1, MergeFold<Fold>>(g.outer * g.groups, g.channels / g.groups, Partials<MomentSums>{of_channels},
                                StoreStatistics{m});
}

// A column's statistic: that of its group.
struct ColumnOf {
  int64_t outer, channel, statistic;
  __device__ ColumnOf(const NormColumns& g, int64_t i)
      : outer(i / g.channels),
        channel(i - outer * g.channels),
        statistic(outer * g.groups + channel / (g.channels / g.groups)) {}
};

// The planes of y = z w + b, or with null w and b of z; of dy w r where `slopes` is true.
template <class T>
__global__ void column_factors(NormColumns g, Moments m, double eps, const T* w, const T* b, bool slopes,
                               Wide<T>* factors) {
  using W = Wide<T>;
  for (int64_t i = thread_in_grid(); i < g.outer * g.channels; i += threads_in_grid()) {
    const ColumnOf at(g, i);
    const double mean = m.mean[at.statistic];
    const double scale = static_cast<double>(parameter(w, at.channel, 1)) / sqrt_of(m.var[at.statistic] + eps);
    const W high = slopes ? W(0) : static_cast<W>(mean);
    const double shift = static_cast<double>(parameter(b, at.channel, 0)) + (static_cast<double>(high) - mean) * scale;
    W* f = factors + at.outer * 3 * g.channels + at.channel;
    f[0] = high;
    f[g.channels] = static_cast<W>(scale);
    f[2 * g.channels] = slopes ? W(0) : static_cast<W>(shift);
  }
}

template <class T>
void column_norm(const NormColumns& g, const T* x, Moments m, double eps, const T* w, const T* b, T* y) {
  using W = Wide<T>;
  const int64_t columns = g.outer * g.channels;
  if (columns == 0 || g.rows == 0) return;
  const Scratch scratch(static_cast<size_t>(3 * columns) * sizeof(W));
  auto* factors = static_cast<W*>(scratch.data());
  launch(column_factors<T>, blocks_for(columns), kThreads, g, m, eps, w, b, false, factors);
  map_columns<Affine>(g, factors, y, x);
}

// dy and dy z, from the planes of z.
template <class T>
struct ColumnGradients {
  const T *dy, *x;
  const Wide<T>* factors;
  int64_t channels;

  template <int width>
  __device__ ColumnFactors<Wide<T>, 3, width> columns(int64_t outer, int64_t column) const {
    return {factors, channels, outer, column};
  }
  template <int width>
  __device__ void load(const ColumnFactors<Wide<T>, 3, width>& f, int64_t, int64_t at,
                       GradientSums<Wide<T>> (&v)[width]) const {
    const Pack<T, width> upstream = load_pack<width>(dy + at), in = load_pack<width>(x + at);
#pragma unroll
    for (int j = 0; j < width; ++j) {
      const Wide<T> g = widen(upstream.v[j]);
      v[j] = {g, g * fma_of(widen(in.v[j]) - f.v[0][j], f.v[1][j], f.v[2][j])};
    }
  }
};

// The sums (outer, channels) of dy and of dy z, times w.
template <class T>
struct WeightedSums {
  const GradientSums<Wide<T>>* sums;
  const T* w;
  int64_t channels;
  template <int width>
  __device__ void load(int64_t at, GradientSums<Wide<T>> (&v)[width]) const {
    static_assert(width == 1, "channels are few");
    const Wide<T> scale = parameter(w, at % channels, 1);
    v[0] = {sums[at].plain * scale, sums[at].moment * scale};
  }
};

// The planes of dx, from those of z and the sums (outer, groups) of g and of g z.
template <class T>
__global__ void column_gradient_factors(NormColumns g, const Wide<T>* z_factors, const GradientSums<Wide<T>>* sums,
                                        const T* w, Wide<T>* factors) {
  using W = Wide<T>;
  const W share = static_cast<W>(1 / static_cast<double>(g.rows * (g.channels / g.groups)));
  for (int64_t i = thread_in_grid(); i < g.outer * g.channels; i += threads_in_grid()) {
    const ColumnOf at(g, i);
    const W* z = z_factors + at.outer * 3 * g.channels + at.channel;
    const W r = z[g.channels], offset = z[2 * g.channels];
    const GradientSums<W> sum = sums[at.statistic];
    const W slope = -r * (sum.moment * share), shift = -r * (sum.plain * share);
    W* f = factors + at.outer * 4 * g.channels + at.channel;
    f[0] = z[0];
    f[g.channels] = parameter(w, at.channel, 1) * r;
    f[2 * g.channels] = r * slope;
    f[3 * g.channels] = fma_of(offset, slope, shift);
  }
}

template <class T>
void column_sums(const NormColumns& g, const T* dy, const T* x, const Wide<T>* factors, GradientSums<Wide<T>>* sums) {
  using Fold = GradientFold<Wide<T>>;
  const ColumnGradients<T> source{dy, x, factors, g.channels};
  const StorePartial<GradientSums<Wide<T>>> store{sums};
  if (rows_take_packs<T>(g.channels, dy, x))
    return fold_columns<kPack<T>, Fold>(g.outer, g.rows, g.channels, source, store);
  fold_columns<1, Fold>(g.outer, g.rows, g.channels, source, store);
}

template <class T>
void column_norm_backward(const NormColumns& g, bool fixed, const T* dy, const T* x, Moments m, double eps, const T* w,
                          T* dx, T* dw, T* db) {
  using W = Wide<T>;
  using Fold = GradientFold<W>;
  const int64_t columns = g.outer * g.channels, groups = g.outer * g.groups;
  const Scratch factor_memory(static_cast<size_t>(7 * columns) * sizeof(W));
  const Scratch sum_memory(static_cast<size_t>(columns + groups) * sizeof(GradientSums<W>));
  auto* factors = static_cast<W*>(factor_memory.data());
  auto* sums = static_cast<GradientSums<W>*>(sum_memory.data());
  if (dw || !fixed) {
    launch(column_factors<T>, blocks_for(columns), kThreads, g, m, eps, static_cast<const T*>(nullptr),
           static_cast<const T*>(nullptr), false, factors);
    column_sums(g, dy, x, factors, sums);
  }
  if (dw)
    fold_columns<1, Fold>(1, g.outer, g.channels, ColumnsOf<Partials<GradientSums<W>>>{{sums}},
                          StoreParameterGradients<T>{dw, db});
  if (!dx || columns == 0 || g.rows == 0) return;
  if (fixed) {
    launch(column_factors<T>, blocks_for(columns), kThreads, g, m, eps, w, static_cast<const T*>(nullptr), true,
           factors);
    return map_columns<Affine>(g, factors, dx, dy);
  }
  GradientSums<W>* of_groups = sums + columns;
  fold_rows<1, Fold>(groups, g.channels / g.groups, WeightedSums<T>{sums, w, g.channels},
                     StorePartial<GradientSums<W>>{of_groups});
  W* gradient = factors + 3 * columns;
  launch(column_gradient_factors<T>, blocks_for(columns), kThreads, g, static_cast<const W*>(factors),
         static_cast<const GradientSums<W>*>(of_groups), w, gradient);
  map_columns<AffineGradient>(g, gradient, dx, dy, x);
}

}  // namespace tinydl::cuda
