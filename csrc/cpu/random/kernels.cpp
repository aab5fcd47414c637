// Each block of a draw is made in chunks: the words of a chunk go to a buffer that stays in the first-level
// cache, and a plain loop turns them into results. Those loops have one independent, correctly rounded
// operation after another per element and no fused ones, so that the compiler vectorises them and every tier
// gives the same bits.
#include "contract/random.h"

#include "cpu/random/box_muller.h"
#include "cpu/random/philox.h"
#include "cpu/runtime/parallel.h"
#include "cpu/simd/integers.h"
#include "cpu/simd/stores.h"

namespace tinydl::TINYDL_TIER {

namespace {

constexpr int64_t kBlock = 8192;
constexpr int64_t kChunk = 1024;
static_assert(kBlock % kChunk == 0 && kChunk % Philox::kWords == 0);

// Calls body(from, n, words) for stretches of n <= kChunk elements that together cover [0, count).
template <class Body>
void for_each_chunk(Stream stream, int64_t count, int64_t work, const Body& body) {
  const Philox philox(stream.seed);
  parallel_for((count + kBlock - 1) / kBlock, work, [&](int64_t begin, int64_t end, int) {
    alignas(64) uint32_t words[kChunk];
    const int64_t last = smaller(end * kBlock, count);
    for (int64_t from = begin * kBlock; from < last; from += kChunk) {
      const int64_t n = smaller(kChunk, last - from);
      philox.fill(stream.offset + static_cast<uint64_t>(from / 4), n, words);
      body(from, n, words);
    }
    stream_fence();  // for keep_past
  });
}

void uniform(Stream stream, int64_t count, float low, float high, float last, float* y) {
  const float scale = (high - low) / 16777216.0f;  // the division is exact unless it underflows
  for_each_chunk(stream, count, count, [=](int64_t from, int64_t n, const uint32_t* words) {
    float* __restrict to = y + from;
    for (int64_t i = 0; i < n; ++i) {
      const float value = low + static_cast<float>(static_cast<int32_t>(words[i] >> 8)) * scale;
      to[i] = value < high ? value : last;
    }
  });
}

void normal(Stream stream, int64_t count, double mean, double std, float* y) {
  for_each_chunk(stream, count, 4 * count, [=](int64_t from, int64_t n, const uint32_t* words) {
    double first[kChunk / 2], second[kChunk / 2];
    for (int64_t j = 0; 2 * j < n; j += Double::size) {
      Double a, b;
      box_muller(Bits::load(reinterpret_cast<const uint64_t*>(words + 2 * j)), a, b);
      a.store(first + j);
      b.store(second + j);
    }
    float* __restrict to = y + from;
    for (int64_t j = 0; 2 * j + 1 < n; ++j) {
      to[2 * j] = static_cast<float>(mean + std * first[j]);
      to[2 * j + 1] = static_cast<float>(mean + std * second[j]);
    }
    if (n % 2) to[n - 1] = static_cast<float>(mean + std * first[n / 2]);
  });
}

// What is kept is scaled so that the expectation stays; p = 1 keeps nothing.
template <class T>
T scale_of(double p) {
  return p < 1 ? static_cast<T>(1 / (1 - p)) : T(0);
}

// y[i] = mask[i] ? x[i] scale : 0
template <class T>
TINYDL_INLINE void keep(int64_t n, T scale, const T* __restrict x, const uint8_t* __restrict mask, T* __restrict y) {
  for (int64_t i = 0; i < n; ++i) {
    const T scaled = x[i] * scale;
    y[i] = mask[i] ? scaled : T(0);
  }
}

// The same for n <= kChunk elements that are written past the caches: by way of a buffer, for the loop above. What the
// next chunk reads is asked for meanwhile, as the words of a draw take longer than the fetching.
template <class T>
void keep_past(int64_t n, T scale, const T* x, const uint8_t* mask, T* y) {
  alignas(64) T kept[kChunk];
  keep(n, scale, x, mask, kept);
  for_channels<T>(n, [=, &kept](int64_t i, int lanes) {
    __builtin_prefetch(x + kChunk + i);
    store_first(load_first(kept + i, lanes), y + i, lanes, lanes == Vec<T>::size);
  });
}

template <class T>
void dropout(Stream stream, int64_t count, double p, const T* x, T* y, uint8_t* mask) {
  const auto threshold = static_cast<int32_t>(__builtin_ceil(p * 16777216.0));  // u >= p where u 2^24 >= threshold
  const T scale = scale_of<T>(p);
  const bool past = is_written_past(count, y);
  for_each_chunk(stream, count, count, [=](int64_t from, int64_t n, const uint32_t* words) {
    uint8_t* __restrict kept = mask + from;
    for (int64_t i = 0; i < n; ++i) kept[i] = static_cast<int32_t>(words[i] >> 8) >= threshold;
    past ? keep_past(n, scale, x + from, kept, y + from) : keep(n, scale, x + from, kept, y + from);
  });
}

template <class T>
void dropout_backward(int64_t count, double p, const T* dy, const uint8_t* mask, T* dx) {
  const T scale = scale_of<T>(p);
  const bool past = is_written_past(count, dx);
  parallel_for((count + kBlock - 1) / kBlock, count, [=](int64_t begin, int64_t end, int) {
    const int64_t first = begin * kBlock, last = smaller(end * kBlock, count);
    if (!past) return keep(last - first, scale, dy + first, mask + first, dx + first);
    for (int64_t at = first; at < last; at += kChunk)
      keep_past(smaller(kChunk, last - at), scale, dy + at, mask + at, dx + at);
    stream_fence();
  });
}

template <class T>
constexpr RandomKernels<T> kernels = {uniform, normal, dropout<T>, dropout_backward<T>};

}  // namespace

extern const ByType<RandomKernels> random_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
