// How float32 products may be computed where bfloat16 units are faster; see tinydl.set_float32_matmul_precision.
#pragma once
#include <cstdint>

namespace tinydl {

// The products of three bfloat16 planes that are summed: six (as accurate as float32), three, one.
enum class Float32Precision { highest, high, medium };

Float32Precision float32_precision();
const char* float32_precision_name();
void set_float32_precision(const char* name);

// The products that are large enough for matrix tiles: m and n from `side` (n from half of it where k is contiguous in
// A), m n k from `work` on. Below, splitting the operands costs more than the tiles save; figures in
// bench/results/NOTES.md. Both fall where fewer products are summed. Convolutions of many images need a share of both
// (cpu/conv/tap_product.h).
struct TileThreshold {
  int64_t side, work;
};

TileThreshold tile_threshold();
void set_tile_threshold(int64_t side, int64_t work);

}  // namespace tinydl
