// Random numbers that depend on (seed, offset, position) alone: not on device, tier, threads or how a draw is split.
//
// Word i of a draw is word i % 4 of Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as
// 1, 2, 3") with the 64-bit key `seed` and the 128-bit counter offset + i / 4 (modulo 2^64; the upper half is
// zero). Element i uses word i; u_i = (word i >> 8) / 2^24, in [0, 1).
#pragma once
#include <cstdint>

#include "contract/tables.h"

namespace tinydl {

struct Stream {
  uint64_t seed, offset;
};

template <class T>
struct RandomKernels {
  // y[i] = low + u_i (high - low), rounded like float32 arithmetic but never up to `high`: at most `last`.
  void (*uniform)(Stream, int64_t count, float low, float high, float last, float* y);

  // y[i] = mean + std z_i, with (z_i, z_i+1) = sqrt(-2 ln a) (cos 2 pi b, sin 2 pi b) for even i (Box and
  // Muller 1958), a = (word i + 1) / 2^32, b = (word i+1) / 2^32; in double, by correctly rounded operations,
  // rounded once.
  void (*normal)(Stream, int64_t count, double mean, double std, float* y);

  // mask[i] = u_i >= p;  y[i] = mask[i] ? x[i] / (1 - p) : 0
  void (*dropout)(Stream, int64_t count, double p, const T* x, T* y, uint8_t* mask);

  // dx[i] = mask[i] ? dy[i] / (1 - p) : 0
  void (*dropout_backward)(int64_t count, double p, const T* dy, const uint8_t* mask, T* dx);
};

TINYDL_KERNELS(RandomKernels, random)

}  // namespace tinydl
