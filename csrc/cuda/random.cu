// Random numbers: a thread makes the words of one counter, or of two where 16 bytes hold 8 elements. A draw of n
// float32 moves 4 n bytes and takes 10 rounds of 4 products and 6 exclusive ors for each 4 elements; dropout moves 2
// sizeof(T) + 1 bytes an element.
#include "contract/random.h"

#include "cuda/device/grid.h"
#include "cuda/device/math.h"
#include "cuda/device/pack.h"
#include "cuda/device/philox.h"
#include "cuda/random/box_muller.h"
#include "cuda/runtime/launch.h"

namespace tinydl::cuda {

namespace {

// The 24 bits of which a uniform number is made.
__device__ __forceinline__ int fraction_bits(uint32_t word) { return static_cast<int>(word >> 8); }

// The first `left` elements of a pack, or all; as one access where memory lies so.
template <int n, class T>
__device__ __forceinline__ void store_first(T* y, const Pack<T, n>& pack, int64_t left, bool packs) {
  if (packs && left >= n) return store_pack(y, pack);
#pragma unroll
  for (int j = 0; j < n; ++j)
    if (j < left) y[j] = pack.v[j];
}
template <int n, class T>
__device__ __forceinline__ Pack<T, n> load_first(const T* x, int64_t left, bool packs) {
  if (packs && left >= n) return load_pack<n>(x);
  Pack<T, n> out;
#pragma unroll
  for (int j = 0; j < n; ++j) out.v[j] = j < left ? x[j] : T(0.0f);
  return out;
}

__global__ void uniform_kernel(Draws draws, int64_t count, float low, float high, float last, float scale, float* y) {
  for (int64_t c = thread_in_grid(); 4 * c < count; c += threads_in_grid()) {
    const Philox4 words = draws.at(static_cast<uint64_t>(c));
    Pack<float, 4> out;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float value = __fadd_rn(low, __fmul_rn(static_cast<float>(fraction_bits(words.word[j])), scale));
      out.v[j] = value < high ? value : last;
    }
    store_first(y + 4 * c, out, count - 4 * c, true);
  }
}

void uniform(Stream stream, int64_t count, float low, float high, float last, float* y) {
  const float scale = (high - low) / 16777216.0f;  // the division is exact unless it underflows
  launch(uniform_kernel, blocks_for((count + 3) / 4), kThreads, Draws(stream.seed, stream.offset), count, low, high,
         last, scale, y);
}

__global__ void normal_kernel(Draws draws, int64_t count, double mean, double std, float* y) {
  for (int64_t c = thread_in_grid(); 4 * c < count; c += threads_in_grid()) {
    const Philox4 words = draws.at(static_cast<uint64_t>(c));
    Pack<float, 4> out;
#pragma unroll
    for (int j = 0; j < 4; j += 2) {
      double first, second;
      box_muller(words.word[j], words.word[j + 1], first, second);
      out.v[j] = static_cast<float>(plus(mean, times(std, first)));
      out.v[j + 1] = static_cast<float>(plus(mean, times(std, second)));
    }
    store_first(y + 4 * c, out, count - 4 * c, true);
  }
}

void normal(Stream stream, int64_t count, double mean, double std, float* y) {
  launch(normal_kernel, blocks_for((count + 3) / 4), kThreads, Draws(stream.seed, stream.offset), count, mean, std, y);
}

// What is kept is scaled so that the expectation stays; p = 1 keeps nothing.
template <class W>
W scale_of(double p) {
  return p < 1 ? static_cast<W>(1 / (1 - p)) : W(0);
}

// Elements a thread: the words of whole counters, and 16 bytes or more.
template <class T>
constexpr int kDraw = kPack<T> > 4 ? kPack<T> : 4;

template <int n, class T>
__device__ __forceinline__ Pack<T, n> keep(const Pack<T, n>& x, const Pack<uint8_t, n>& mask, Wide<T> scale) {
  Pack<T, n> out;
#pragma unroll
  for (int j = 0; j < n; ++j) out.v[j] = static_cast<T>(mask.v[j] ? widen(x.v[j]) * scale : Wide<T>(0));
  return out;
}

template <class T>
__global__ void dropout_kernel(Draws draws, int64_t count, int threshold, Wide<T> scale, bool packs, const T* x, T* y,
                               uint8_t* mask) {
  constexpr int n = kDraw<T>;
  for (int64_t c = thread_in_grid(); n * c < count; c += threads_in_grid()) {
    Pack<uint8_t, n> kept;
#pragma unroll
    for (int k = 0; k < n / 4; ++k) {
      const Philox4 words = draws.at(static_cast<uint64_t>(c * (n / 4) + k));
#pragma unroll
      for (int j = 0; j < 4; ++j) kept.v[4 * k + j] = fraction_bits(words.word[j]) >= threshold;
    }
    const int64_t left = count - n * c;
    store_first(y + n * c, keep(load_first<n>(x + n * c, left, packs), kept, scale), left, packs);
    store_first(mask + n * c, kept, left, packs);
  }
}

template <class T>
bool lie_in_packs(const T* x, const T* y, const uint8_t* mask) {
  return is_aligned(x, kDraw<T>) && is_aligned(y, kDraw<T>) && is_aligned(mask, kDraw<T>);
}

template <class T>
void dropout(Stream stream, int64_t count, double p, const T* x, T* y, uint8_t* mask) {
  const auto threshold = static_cast<int>(std::ceil(p * 16777216.0));  // u >= p where u 2^24 >= threshold
  launch(dropout_kernel<T>, blocks_for((count + kDraw<T> - 1) / kDraw<T>), kThreads, Draws(stream.seed, stream.offset),
         count, threshold, scale_of<Wide<T>>(p), lie_in_packs(x, y, mask), x, y, mask);
}

template <class T>
__global__ void dropout_backward_kernel(int64_t count, Wide<T> scale, bool packs, const T* dy, const uint8_t* mask,
                                        T* dx) {
  constexpr int n = kDraw<T>;
  for (int64_t c = thread_in_grid(); n * c < count; c += threads_in_grid()) {
    const int64_t left = count - n * c;
    const Pack<uint8_t, n> kept = load_first<n>(mask + n * c, left, packs);
    store_first(dx + n * c, keep(load_first<n>(dy + n * c, left, packs), kept, scale), left, packs);
  }
}

template <class T>
void dropout_backward(int64_t count, double p, const T* dy, const uint8_t* mask, T* dx) {
  launch(dropout_backward_kernel<T>, blocks_for((count + kDraw<T> - 1) / kDraw<T>), kThreads, count,
         scale_of<Wide<T>>(p), lie_in_packs(dy, dx, mask), dy, mask, dx);
}

template <class T>
constexpr RandomKernels<T> kernels = {uniform, normal, dropout<T>, dropout_backward<T>};

}  // namespace

TINYDL_CUDA_TABLE(RandomKernels, random, kernels);

}  // namespace tinydl::cuda
