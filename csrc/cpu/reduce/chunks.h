// How reductions are cut: the reduced axis goes into chunks whose size depends on the shape alone.
#pragma once
#include "cpu/runtime/allocator.h"
#include "cpu/runtime/parallel.h"
#include "cpu/simd/integers.h"
#include "cpu/simd/lanes.h"

namespace tinydl::TINYDL_TIER {

constexpr int64_t kRunElements = 2048;   // of a contiguous run: 32 additions per lane of AVX-512
constexpr int64_t kRowElements = 16384;  // of a stretch of rows
constexpr int64_t kMaxRows = 128;

// The number of chunks of a contiguous run.
TINYDL_INLINE int64_t run_chunks(int64_t reduce) { return reduce == 0 ? 1 : div_up(reduce, kRunElements); }

// The rows of a chunk where the kept axis, of `inner` elements, is innermost.
TINYDL_INLINE int64_t chunk_rows(int64_t inner) { return larger(1, smaller(kRowElements / inner, kMaxRows)); }

// Calls body(o, c) for each of `chunks` chunks of each of `outer` slices, on the threads.
template <class Body>
void for_each_chunk(int64_t outer, int64_t chunks, int64_t work, const Body& body) {
  parallel_for(outer * chunks, work, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) body(b / chunks, b % chunks);
  });
}

}  // namespace tinydl::TINYDL_TIER
