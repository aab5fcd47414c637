// Convolutions of groups of few channels, depthwise ones first: each thread makes a few pixels of a channel, or of as
// many channels as 16 bytes hold. Bound by memory: x and y once from it, and each pixel once for every tap from the
// first-level cache.
#pragma once
#include "cuda/conv/weights.h"
#include "cuda/device/epilogue.h"
#include "cuda/device/reduce.h"

namespace tinydl::cuda {

// Whether a group is too narrow for tiles.
template <class T>
bool is_narrow(const ConvGeometry& g) {
  constexpr int64_t most = sizeof(T) == 2 ? 4 : 8;
  return g.groups > 1 && g.group_channels() <= most && g.group_filters() <= most;
}

template <class T>
struct DirectCall {
  WeightPacking packing;
  int64_t images, pixels_wide, count;  // places of a row in strips; threads' pieces of work
  int rows_read, columns_read, rows_made, columns_made;
  int64_t channels_read, channels_made;  // of all groups
  const T *from, *weights;
  T* to;
  Finish<T> finish;
};

// What place p reads through a tap along an axis, or -1.
template <bool backward>
__device__ __forceinline__ int pixel_read(const TapAxis& axis, int place, int tap, int size) {
  int at = 0;
  if (backward) {
    const int from = place + axis.pad - tap * axis.dilation;
    at = axis.stride == 1 ? from : from / axis.stride;
    if (from < 0 || (axis.stride != 1 && at * axis.stride != from)) return -1;
  } else {
    at = place * axis.stride - axis.pad + tap * axis.dilation;
  }
  return at >= 0 && at < size ? at : -1;
}

constexpr int kStrip = 4;  // pixels of a row that a thread makes

// `width` channels from one on, of kStrip pixels: width > 1 only where each channel reads its own.
template <class T, bool backward, int width>
__global__ void __launch_bounds__(kThreads, width == 1 ? 4 : 2) direct_kernel(DirectCall<T> call) {
  using W = Wide<T>;
  const WeightPacking& p = call.packing;
  const int64_t packs = call.channels_made / width;
  for (int64_t i = thread_in_grid(); i < call.count; i += threads_in_grid()) {
    const int64_t strip = quotient(i, packs), made = (i - strip * packs) * width;
    const int64_t line = quotient(strip, call.pixels_wide), image = quotient(line, call.rows_made);
    const int row = static_cast<int>(line - image * call.rows_made);
    const int column = static_cast<int>(strip - line * call.pixels_wide) * kStrip;
    const int64_t read = quotient(made, p.made) * p.read;
    W sums[kStrip][width] = {};
    for (int r = 0; r < p.h.kernel; ++r) {
      const int y = pixel_read<backward>(p.h, row, r, call.rows_read);
      if (y < 0) continue;
      const T* line_read = call.from + (image * call.rows_read + y) * call.columns_read * call.channels_read + read;
      for (int s = 0; s < p.w.kernel; ++s)
        for (int c = 0; c < static_cast<int>(p.read); ++c) {
          const auto weights =
              load_pack<width>(call.weights + (int64_t(r * p.w.kernel + s) * p.read + c) * call.channels_made + made);
#pragma unroll
          for (int j = 0; j < kStrip; ++j) {
            if (column + j >= call.columns_made) break;
            const int x = pixel_read<backward>(p.w, column + j, s, call.columns_read);
            if (x < 0) continue;
            const auto pixel = load_pack<width>(line_read + x * call.channels_read + c);
#pragma unroll
            for (int e = 0; e < width; ++e) sums[j][e] = fma_of(widen(pixel.v[e]), widen(weights.v[e]), sums[j][e]);
          }
        }
    }
#pragma unroll
    for (int j = 0; j < kStrip; ++j) {
      if (column + j >= call.columns_made) break;
      Pack<T, width> out;
#pragma unroll
      for (int e = 0; e < width; ++e) out.v[e] = call.finish(sums[j][e], made + e);
      store_pack(
          call.to + ((image * call.rows_made + row) * call.columns_made + column + j) * call.channels_made + made, out);
    }
  }
}

template <class T>
void gather_directly(const ConvGeometry& g, const WeightPacking& packing, const T* from, const T* weights, T* to,
                     const Finish<T>& finish) {
  const bool backward = packing.backward;
  DirectCall<T> call{packing,
                     g.batch,
                     0,
                     0,
                     backward ? packing.h.output : packing.h.input,
                     backward ? packing.w.output : packing.w.input,
                     backward ? packing.h.input : packing.h.output,
                     backward ? packing.w.input : packing.w.output,
                     packing.groups * packing.read,
                     packing.groups * packing.made,
                     from,
                     weights,
                     to,
                     finish};
  constexpr int width = kPack<T>;
  const bool packs = packing.read == 1 && packing.made == 1 && packing.groups % width == 0 && is_aligned(from, width) &&
                     is_aligned(to, width);
  call.pixels_wide = (call.columns_made + kStrip - 1) / kStrip;
  call.count = call.images * call.rows_made * call.pixels_wide * (call.channels_made / (packs ? width : 1));
  const auto kernel = backward ? (packs ? direct_kernel<T, true, width> : direct_kernel<T, true, 1>)
                               : (packs ? direct_kernel<T, false, width> : direct_kernel<T, false, 1>);
  launch(kernel, blocks_for(call.count), kThreads, call);
}

// -- dw (KH, KW, C / groups, O): a warp has 32 filters, the warps of a block outputs in turn, and a thread the sums of
// a few neighbouring taps, for which it reads dy once. Blocks have slices of the outputs, whose sums are added up
// after.

constexpr int kTapsAtOnce = 4, kSliceWarps = 8;

template <class T>
struct DirectWeightGrad {
  TapAxis h, w;
  AnyDivider rows, columns;  // of the output
  int64_t outputs, slice;    // of all images; of a block
  int64_t channels, filters;
  int group_channels, group_filters, tap_blocks;
  const T *x, *dy;
  Wide<T>* partials;  // (slices, KH, KW, C / groups, O)
};

// The sums of taps (r, s), (r, s + 1), ... of one channel of a filter's group, over every kSliceWarps-th output.
template <class T>
__device__ __forceinline__ void sum_outputs(const DirectWeightGrad<T>& call, int r, int s, int64_t channel,
                                            int64_t filter, Wide<T> (&sums)[kTapsAtOnce]) {
  const int64_t begin = blockIdx.z * call.slice;
  const int64_t end = begin + call.slice < call.outputs ? begin + call.slice : call.outputs;
  for (int64_t i = begin + threadIdx.y; i < end; i += kSliceWarps) {
    const int64_t line = call.columns.quotient(i), image = call.rows.quotient(line);
    const int column = static_cast<int>(i - line * call.w.output) * call.w.stride - call.w.pad;
    const int row = static_cast<int>(line - image * call.h.output) * call.h.stride - call.h.pad + r * call.h.dilation;
    if (row < 0 || row >= call.h.input) continue;
    const Wide<T> dy = widen(call.dy[i * call.filters + filter]);
    const T* line_read = call.x + (image * call.h.input + row) * call.w.input * call.channels + channel;
#pragma unroll
    for (int j = 0; j < kTapsAtOnce; ++j) {
      const int x = column + (s + j) * call.w.dilation;
      if (s + j < call.w.kernel && x >= 0 && x < call.w.input)
        sums[j] = fma_of(widen(line_read[x * call.channels]), dy, sums[j]);
    }
  }
}

// Grid: (r, taps of a row in kTapsAtOnce, channel of the group), filters in 32s, slices.
template <class T>
__global__ void __launch_bounds__(kLanes* kSliceWarps) direct_weight_grad_kernel(DirectWeightGrad<T> call) {
  using W = Wide<T>;
  struct Shared {
    W sums[kSliceWarps][kTapsAtOnce][kLanes];
  };
  TINYDL_SHARED(Shared, shared);
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const int64_t filter = int64_t(blockIdx.y) * kLanes + lane;
  const int channel = static_cast<int>(blockIdx.x) % call.group_channels,
            taps = static_cast<int>(blockIdx.x) / call.group_channels;
  const int r = taps / call.tap_blocks, s = taps % call.tap_blocks * kTapsAtOnce;
  W sums[kTapsAtOnce] = {};
  if (filter < call.filters)
    sum_outputs(call, r, s, quotient(filter, call.group_filters) * call.group_channels + channel, filter, sums);
#pragma unroll
  for (int j = 0; j < kTapsAtOnce; ++j) shared.sums[warp][j][lane] = sums[j];
  __syncthreads();
  if (warp >= kTapsAtOnce || s + warp >= call.w.kernel || filter >= call.filters) return;
  W sum = shared.sums[0][warp][lane];
#pragma unroll
  for (int k = 1; k < kSliceWarps; ++k) sum += shared.sums[k][warp][lane];
  const int64_t rows = int64_t(call.h.kernel) * call.w.kernel * call.group_channels;
  const int64_t line = (int64_t(r) * call.w.kernel + s + warp) * call.group_channels + channel;
  call.partials[(blockIdx.z * rows + line) * call.filters + filter] = sum;
}

template <class T>
__global__ void add_slices_kernel(const Wide<T>* partials, int slices, int64_t count, T* to) {
  for (int64_t i = thread_in_grid(); i < count; i += threads_in_grid()) {
    Wide<T> sum = partials[i];
    for (int k = 1; k < slices; ++k) sum += partials[k * count + i];
    to[i] = static_cast<T>(sum);
  }
}

template <class T>
void weight_grad_directly(const ConvGeometry& g, const T* x, const T* dy, T* dw) {
  const TapAxis h(g.h), w(g.w);
  const auto channels = static_cast<int>(g.group_channels()), filters = static_cast<int>(g.group_filters());
  const int tap_blocks = (w.kernel + kTapsAtOnce - 1) / kTapsAtOnce;
  const int64_t outputs = g.batch * h.output * w.output, wide = (g.filters + kLanes - 1) / kLanes;
  const int64_t high = int64_t(h.kernel) * tap_blocks * channels;
  constexpr int64_t least = 16 * kSliceWarps, most = 128;  // outputs of a slice; slices
  int64_t slices = std::min({8 * int64_t(multiprocessors()) / (wide * high) + 1, outputs / least + 1, most});
  const int64_t slice = std::max<int64_t>(1, (outputs + slices - 1) / slices);
  slices = std::max<int64_t>(1, (outputs + slice - 1) / slice);
  const int64_t count = int64_t(h.kernel) * w.kernel * channels * g.filters;
  const Scratch scratch(sizeof(Wide<T>) * static_cast<size_t>(slices * count));
  auto* partials = static_cast<Wide<T>*>(scratch.data());
  const DirectWeightGrad<T> call{h,
                                 w,
                                 AnyDivider(h.output, outputs),
                                 AnyDivider(w.output, outputs),
                                 outputs,
                                 slice,
                                 g.channels,
                                 g.filters,
                                 channels,
                                 filters,
                                 tap_blocks,
                                 x,
                                 dy,
                                 partials};
  launch(direct_weight_grad_kernel<T>, grid_of(high, wide, slices), dim3(kLanes, kSliceWarps), call);
  launch(add_slices_kernel<T>, blocks_for(count), kThreads, partials, static_cast<int>(slices), count, dw);
}

}  // namespace tinydl::cuda
