// The microkernel of the matrix tiles: 32 x 32 of C in four tile registers, sums of products of bfloat16 planes.
//
// Of the eight tile registers four hold C, two a plane of 32 rows of A, two a plane of 32 columns of B. A tile load
// takes half a product's time and hides behind the products on a quiet core; beside a busy thread it takes nearly as
// long as one and hides no more (bench/results/NOTES.md). So the products of planes are ordered such that each changes
// one operand only: 14 loads for 24 products (six pairs of planes), 8 for 12 (three), 4 for 4 (one).
#pragma once
#include "cpu/matmul/planes.h"

namespace tinydl::TINYDL_TIER {

struct TileConfig {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};
// Eight registers of 16 rows of 64 bytes. A constant: the compiler does not know that the instruction reads all of it,
// and would leave out stores to a local one.
alignas(64) constexpr TileConfig kFullTiles = {
    1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

// Tile registers configured on this thread for the length of a scope.
class TileRegisters {
 public:
  TileRegisters() { _tile_loadconfig(&kFullTiles); }
  ~TileRegisters() { _tile_release(); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;
};

// Keeps stores before tile loads, whose intrinsics do not tell the compiler that they read memory.
TINYDL_INLINE void finish_stores() { asm volatile("" ::: "memory"); }

// A step of A's operand: two tiles of 16 rows, and the distance from a plane of theirs to the next.
struct StepOfA {
  const Bfloat16 *upper, *lower;
  int64_t plane;
};

// A step that is packed as [plane][tile].
TINYDL_INLINE StepOfA packed_step(const Bfloat16* a) { return {a, a + kTileValues, 2 * kTileValues}; }

// A plane of a step of 32 rows of A, or of 32 columns of B: two tiles. A is read past the first-level cache, where a
// panel of B of one plane stays (1.25 times as fast; with three planes the panel does not fit).
TINYDL_INLINE void load_a(const StepOfA& step, int plane) {
  _tile_stream_loadd(4, step.upper + plane * step.plane, 64);
  _tile_stream_loadd(5, step.lower + plane * step.plane, 64);
}
TINYDL_INLINE void load_b(const Bfloat16* step, int plane) {
  _tile_loadd(6, step + plane * 2 * kTileValues, 64);
  _tile_loadd(7, step + (plane * 2 + 1) * kTileValues, 64);
}
TINYDL_INLINE void multiply_tiles() {
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

// `meanwhile` is called after each four products: the tiles need 64 cycles for them, in which vectors can work.
template <int planes, class Meanwhile>
TINYDL_INLINE void multiply_step(const StepOfA& a, const Bfloat16* b, const Meanwhile& meanwhile) {
  if constexpr (planes == 3) {
    load_a(a, 2), load_b(b, 0), multiply_tiles(), meanwhile();
    load_a(a, 1), multiply_tiles(), meanwhile();
    load_b(b, 1), multiply_tiles(), meanwhile();
    load_a(a, 0), multiply_tiles(), meanwhile();
    load_b(b, 2), multiply_tiles(), meanwhile();
    load_b(b, 0), multiply_tiles(), meanwhile();
  } else if constexpr (planes == 2) {
    load_a(a, 1), load_b(b, 0), multiply_tiles(), meanwhile();
    load_a(a, 0), multiply_tiles(), meanwhile();
    load_b(b, 1), multiply_tiles(), meanwhile();
  } else {
    load_a(a, 0), load_b(b, 0), multiply_tiles(), meanwhile();
  }
}
template <int planes>
TINYDL_INLINE void multiply_step(const StepOfA& a, const Bfloat16* b) {
  multiply_step<planes>(a, b, [] {});
}

constexpr int kTileFloats = kTileEdge * kTileEdge;

// The 32 x 32 of C in registers: zeros, or the four tiles at c so far; and back.
TINYDL_INLINE void begin_sums(bool accumulate, const float* c) {
  constexpr int kRow = kTileEdge * static_cast<int>(sizeof(float));
  finish_stores();
  if (accumulate) {
    _tile_loadd(0, c, kRow);
    _tile_loadd(1, c + kTileFloats, kRow);
    _tile_loadd(2, c + 2 * kTileFloats, kRow);
    _tile_loadd(3, c + 3 * kTileFloats, kRow);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
}
TINYDL_INLINE void end_sums(float* c) {
  constexpr int kRow = kTileEdge * static_cast<int>(sizeof(float));
  _tile_stored(0, c, kRow);
  _tile_stored(1, c + kTileFloats, kRow);
  _tile_stored(2, c + 2 * kTileFloats, kRow);
  _tile_stored(3, c + 3 * kTileFloats, kRow);
}

// Fetches `count` cache lines to the second-level cache.
TINYDL_INLINE void fetch_lines(const Bfloat16* from, int64_t count) {
  for (int64_t line = 0; line < count; ++line, from += 64 / sizeof(Bfloat16)) __builtin_prefetch(from, 0, 2);
}

// c += A B over `steps` steps, or c = A B. c holds the 32 x 32 as four tiles; an operand's step is [plane][tile] and
// `planes * 2` tiles long. Meanwhile `lines` cache lines for each step are fetched from `next` on.
template <int planes>
void tile_product(const Bfloat16* a, const Bfloat16* b, int64_t steps, bool accumulate, float* c, const Bfloat16* next,
                  int64_t lines) {
  begin_sums(accumulate, c);
  constexpr int64_t kStep = planes * 2 * kTileValues;
  for (int64_t s = 0; s < steps; ++s, a += kStep, b += kStep, next += lines * 64 / sizeof(Bfloat16)) {
    fetch_lines(next, lines);
    multiply_step<planes>(packed_step(a), b);
  }
  end_sums(c);
}

}  // namespace tinydl::TINYDL_TIER
