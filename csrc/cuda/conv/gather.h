// The pixels of channels-last images as rows of A, by steps (tap, channel): a product's fetcher, and its target.
#pragma once
#include "cuda/conv/geometry.h"
#include "cuda/matmul/matrices.h"

namespace tinydl::cuda {

// Which product of a batch: groups of channels, and in the input gradient classes of pixels.
struct GatherPlan {
  TapAxis h, w;
  bool backward;  // the input gradient
  int64_t images;
  int64_t channels;  // read in each group
  int64_t groups;

  __device__ __forceinline__ int64_t classes() const { return backward ? int64_t(h.classes) * w.classes : 1; }
  __device__ __forceinline__ int64_t group(int64_t batch) const { return quotient(batch, classes()); }
  __device__ __forceinline__ void axes(int64_t batch, GatherAxis& rows, GatherAxis& columns) const {
    if (!backward) {
      rows = h.forward();
      columns = w.forward();
      return;
    }
    const auto kind = static_cast<int>(batch - group(batch) * classes());
    rows = h.input_grad(kind / w.classes);
    columns = w.input_grad(kind % w.classes);
  }
  int64_t batch() const { return groups * (backward ? int64_t(h.classes) * w.classes : 1); }
  // The most places and steps of a class.
  int64_t places() const {
    return images * (backward ? int64_t((h.input - 1) / h.stride + 1) * ((w.input - 1) / w.stride + 1)
                              : int64_t(h.output) * w.output);
  }
  int64_t steps() const {
    return channels * (backward ? int64_t(h.most_taps()) * w.most_taps() : int64_t(h.kernel) * w.kernel);
  }
};

// Lines are places, in the order of images, rows and columns. In `packs`, 16 bytes are of one tap, and aligned.
template <class Layout_, int threads>
class GatherFetch {
 public:
  using Layout = Layout_;
  using T = typename Layout::Element;
  struct Source {
    const T* data;
    GatherPlan plan;
    Divider channels;
    int rows, columns;     // of an image that is read
    int64_t pixel_stride;  // elements from one pixel to the next
    bool packs;
  };

  __device__ GatherFetch(const Source& source, const Slice& slice, int64_t first_line) : s_(source) {
    GatherAxis y, x;
    s_.plan.axes(slice.batch, y, x);
    steps_ = static_cast<int>(slice.end);
    step_ = static_cast<int>(slice.begin) + static_cast<int>(threadIdx.x) % Layout::chunks * kPack<T>;
    row_step_ = y.step, column_step_ = x.step;
    taps_ = x.taps;
    const int64_t places = int64_t(y.places) * x.places;
    data_ = s_.data + s_.plan.group(slice.batch) * s_.plan.channels;
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int64_t line = first_line + row(i);
      const int64_t image = places > 0 ? quotient(line, places) : 0;
      const int64_t place = line - image * places;
      const int64_t p = x.places > 0 ? quotient(place, x.places) : 0;
      const bool inside = image < s_.plan.images && places > 0;
      row_[i] = inside ? static_cast<int>(p) * y.stride + y.offset : kOutside;
      column_[i] = static_cast<int>(place - p * x.places) * x.stride + x.offset;
      from_[i] = ((image * s_.rows + row_[i]) * s_.columns + column_[i]) * s_.pixel_stride;
    }
  }

  __device__ __forceinline__ void fetch(T* tile, int k) const {
    const int chunk = static_cast<int>(threadIdx.x) % Layout::chunks;
    if (s_.packs) {
      const Tap tap(*this, step_ + k);
#pragma unroll
      for (int i = 0; i < kRows; ++i) copy_pixel<kAccessBytes>(tile + Layout::at(row(i), chunk), i, tap);
      return;
    }
#pragma unroll 1
    for (int e = 0; e < kPack<T>; ++e) {
      const Tap tap(*this, step_ + k + e);
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        T* to = tile + Layout::at(row(i), chunk) + e;
        if constexpr (sizeof(T) >= 4)
          copy_pixel<sizeof(T)>(to, i, tap);
        else
          *to = tap.meets(*this, i) ? data_[from_[i] + tap.shift] : T(0.0f);
      }
    }
  }

 private:
  static constexpr int kRowsAtOnce = threads / Layout::chunks, kRows = Layout::rows / kRowsAtOnce;
  static constexpr int kOutside = -(1 << 30) - (1 << 29);
  static_assert(Layout::along == Along::sum && threads % Layout::chunks == 0 && Layout::rows % kRowsAtOnce == 0,
                "every thread copies as much");

  // Where a step of the sum, of one tap and channel, lies from a place's first tap.
  struct Tap {
    int row, column;
    bool exists;
    int64_t shift;

    __device__ __forceinline__ Tap(const GatherFetch& f, int step) : exists(step < f.steps_) {
      const auto tap = static_cast<int>(f.s_.channels.quotient(static_cast<uint32_t>(step)));
      const int channel = step - tap * static_cast<int>(f.s_.channels.divisor);
      const int t = f.taps_ > 0 ? static_cast<int>(static_cast<unsigned>(tap) / static_cast<unsigned>(f.taps_)) : 0;
      row = t * f.row_step_;
      column = (tap - t * f.taps_) * f.column_step_;
      shift = (int64_t(row) * f.s_.columns + column) * f.s_.pixel_stride + channel;
    }
    __device__ __forceinline__ bool meets(const GatherFetch& f, int i) const {
      return exists && static_cast<unsigned>(f.row_[i] + row) < static_cast<unsigned>(f.s_.rows) &&
             static_cast<unsigned>(f.column_[i] + column) < static_cast<unsigned>(f.s_.columns);
    }
  };
  template <int bytes>
  __device__ __forceinline__ void copy_pixel(T* to, int i, const Tap& tap) const {
    const bool inside = tap.meets(*this, i);
    copy_async<bytes>(to, inside ? data_ + from_[i] + tap.shift : data_, inside);
  }
  __device__ static __forceinline__ int row(int i) {
    return static_cast<int>(threadIdx.x) / Layout::chunks + i * kRowsAtOnce;
  }

  const Source& s_;
  const T* data_;
  int64_t from_[kRows];
  int row_[kRows], column_[kRows];
  int step_, steps_, taps_, row_step_, column_step_;
};

// Where the results of a gather go: channels-last images, each group's channels at its own place.
template <class T>
struct GatherTarget {
  T* data;
  GatherPlan plan;
  int image_rows, image_columns;
  int64_t pixel_stride, group_channels;

  struct View {
    const GatherTarget& to;
    T* data;
    int64_t rows, steps, bias_column;
    int64_t places, columns;
    int first_row, first_column;

    __device__ View(const GatherTarget& to, int64_t batch, int64_t, int64_t) : to(to) {
      GatherAxis y, x;
      to.plan.axes(batch, y, x);
      columns = x.places;
      places = columns * y.places;
      rows = to.plan.images * places;
      steps = to.plan.channels * y.taps * x.taps;
      first_row = y.first, first_column = x.first;
      bias_column = to.plan.group(batch) * to.group_channels;
      data = to.data + bias_column;
    }
    __device__ __forceinline__ T* row(int64_t line) const {
      if (!to.plan.backward) return data + line * to.pixel_stride;
      const int64_t image = quotient(line, places), place = line - image * places, p = quotient(place, columns);
      const int64_t row = first_row + p * to.plan.h.stride;
      const int64_t column = first_column + (place - p * columns) * to.plan.w.stride;
      return data + ((image * to.image_rows + row) * to.image_columns + column) * to.pixel_stride;
    }
  };
};

// The weights of a gather, packed (group, tap, channel read, channel made), with the taps of a class together.
template <class Layout_, int threads>
class TapWeights {
 public:
  using Layout = Layout_;
  using T = typename Layout::Element;
  struct Source {
    typename MatrixFetch<Layout, threads>::Source matrix;
    GatherPlan plan;
  };

  __device__ TapWeights(const Source& source, const Slice& slice, int64_t first_line)
      : fetch_(source.matrix, {source.plan.group(slice.batch), slice.begin, slice.end}, first_line,
               offset_of_class(source, slice.batch)) {}
  __device__ __forceinline__ void fetch(T* tile, int k) const { fetch_.fetch(tile, k); }

 private:
  __device__ static int64_t offset_of_class(const Source& source, int64_t batch) {
    if (!source.plan.backward) return 0;
    GatherAxis y, x;
    source.plan.axes(batch, y, x);
    const int64_t before = int64_t(source.plan.h.taps_before(y.first_tap)) * source.plan.w.kernel +
                           int64_t(y.taps) * source.plan.w.taps_before(x.first_tap);
    return y.taps > 0 && x.taps > 0 ? before * source.plan.channels * source.matrix.sum_stride : 0;
  }

  MatrixFetch<Layout, threads> fetch_;
};

}  // namespace tinydl::cuda
