// The positions of a list of keys in the order of the keys, and of the list where keys are equal: a radix sort of 8
// bits a pass, each of which counts the digits of every tile, sums the counts, and puts the positions in their places.
// A pass reads and writes the positions once and reads the keys twice, 40 bytes for each; what is then added in that
// order is a row of the gradient for each.
#pragma once
#include "cuda/device/grid.h"
#include "cuda/device/reduce.h"
#include "cuda/runtime/launch.h"
#include "cuda/runtime/memory.h"

namespace tinydl::cuda {

namespace {

constexpr int kDigitBits = 8, kDigits = 1 << kDigitBits, kSortWarps = kThreads / kLanes;
constexpr int kSortRounds = 8, kSortTile = kThreads * kSortRounds;
static_assert(kThreads == kDigits, "a thread for each digit");

struct DigitCounts {
  unsigned count[kDigits];
};
struct ScanStorage {
  int64_t partial[kSortWarps];
};
struct Places {
  int64_t base[kDigits];
  unsigned in_warp[kSortWarps][kDigits];
};

// The position at p; no order is that of the list.
__device__ __forceinline__ int64_t position_at(const int64_t* order, int64_t p) { return order ? order[p] : p; }

__device__ __forceinline__ int digit_of(int64_t key, int shift) {
  return static_cast<int>(key >> shift) & (kDigits - 1);
}

// counts[d, b] = how many keys of tile b have the digit d
__global__ void count_digits(int64_t count, const int64_t* keys, const int64_t* order, int shift, int64_t* counts) {
  TINYDL_SHARED(DigitCounts, shared);
  shared.count[threadIdx.x] = 0;
  __syncthreads();
  const int64_t first = int64_t(blockIdx.x) * kSortTile, end = first + kSortTile, last = end < count ? end : count;
  for (int64_t p = first + threadIdx.x; p < last; p += kThreads)
    atomicAdd(&shared.count[digit_of(keys[position_at(order, p)], shift)], 1u);
  __syncthreads();
  counts[int64_t(threadIdx.x) * gridDim.x + blockIdx.x] = shared.count[threadIdx.x];
}

// The sum of x over the threads before this one.
__device__ inline int64_t sum_before(int64_t x, ScanStorage& shared) {
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  int64_t total = x;
#pragma unroll
  for (int distance = 1; distance < kLanes; distance *= 2) {
    const int64_t other = __shfl_up_sync(kAllLanes, total, distance);
    if (lane >= distance) total += other;
  }
  if (lane == kLanes - 1) shared.partial[warp] = total;
  __syncthreads();
  for (int w = 0; w < warp; ++w) total += shared.partial[w];
  return total - x;
}

// counts[i] = sum of counts[0..i), by one block, a stretch for each thread.
__global__ void sum_counts(int64_t n, int64_t* counts) {
  TINYDL_SHARED(ScanStorage, shared);
  const int64_t stretch = (n + kThreads - 1) / kThreads, from = threadIdx.x * stretch;
  const int64_t first = from < n ? from : n, last = first + stretch < n ? first + stretch : n;
  int64_t own = 0;
  for (int64_t i = first; i < last; ++i) own += counts[i];
  int64_t before = sum_before(own, shared);
  for (int64_t i = first; i < last; ++i) {
    const int64_t here = counts[i];
    counts[i] = before;
    before += here;
  }
}

// Puts each position of a tile after those of smaller digits, of earlier tiles and, within the tile, of earlier keys.
__global__ void place_positions(int64_t count, const int64_t* keys, const int64_t* order, int shift,
                                const int64_t* before, int64_t* sorted) {
  TINYDL_SHARED(Places, shared);
  const int t = threadIdx.x, warp = t / kLanes, lane = t % kLanes;
  shared.base[t] = before[int64_t(t) * gridDim.x + blockIdx.x];
  const int64_t first = int64_t(blockIdx.x) * kSortTile;
  for (int64_t from = first; from < first + kSortTile && from < count; from += kThreads) {
    for (int w = 0; w < kSortWarps; ++w) shared.in_warp[w][t] = 0;
    __syncthreads();
    const bool inside = from + t < count;
    const int64_t position = inside ? position_at(order, from + t) : 0;
    const int digit = inside ? digit_of(keys[position], shift) : kDigits;
    const unsigned same = __match_any_sync(kAllLanes, digit);
    const auto rank = static_cast<unsigned>(__popc(same & ((1u << lane) - 1)));
    if (inside && rank == 0) shared.in_warp[warp][digit] = static_cast<unsigned>(__popc(same));
    __syncthreads();
    unsigned total = 0;  // of the digit t
    for (int w = 0; w < kSortWarps; ++w) {
      const unsigned here = shared.in_warp[w][t];
      shared.in_warp[w][t] = total;
      total += here;
    }
    __syncthreads();
    if (inside) sorted[shared.base[digit] + shared.in_warp[warp][digit] + rank] = position;
    __syncthreads();
    shared.base[t] += total;
  }
}

// start[j] = the first p whose key is not below j, for j <= limit
__global__ void find_starts(int64_t limit, int64_t count, const int64_t* keys, const int64_t* order, int64_t* start) {
  for (int64_t j = thread_in_grid(); j <= limit; j += threads_in_grid()) {
    int64_t low = 0, high = count;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (keys[order[middle]] < j)
        low = middle + 1;
      else
        high = middle;
    }
    start[j] = low;
  }
}

// The positions of keys in [0, limit); neither `limit` nor `count` is 0.
class SortedPositions {
 public:
  SortedPositions(int64_t limit, int64_t count, const int64_t* keys)
      : limit_(limit), count_(count), keys_(keys), memory_(static_cast<size_t>(2 * count) * sizeof(int64_t)) {
    const int64_t blocks = (count + kSortTile - 1) / kSortTile;
    const Scratch scratch(static_cast<size_t>(blocks * kDigits) * sizeof(int64_t));
    auto* counts = static_cast<int64_t*>(scratch.data());
    int64_t* to = static_cast<int64_t*>(memory_.data());
    for (int shift = 0; shift == 0 || (limit - 1) >> shift > 0; shift += kDigitBits) {
      const dim3 grid = grid_of(blocks);
      launch(count_digits, grid, kThreads, count, keys, order_, shift, counts);
      launch(sum_counts, 1, kThreads, blocks * kDigits, counts);
      launch(place_positions, grid, kThreads, count, keys, order_, shift, counts, to);
      order_ = to;
      to = order_ == memory_.data() ? to + count : to - count;
    }
  }

  const int64_t* order() const { return order_; }

  // start[0..limit]: the positions of key j are order[start[j]] to order[start[j + 1]].
  void find_starts(int64_t* start) const {
    launch(cuda::find_starts, blocks_for(limit_ + 1), kThreads, limit_, count_, keys_, order_, start);
  }

 private:
  int64_t limit_, count_;
  const int64_t* keys_;
  Scratch memory_;  // for two orders
  const int64_t* order_ = nullptr;
};

}  // namespace

}  // namespace tinydl::cuda
