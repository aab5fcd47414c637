// The threads of a launch as packs of the innermost axis of (outer, rows, columns, inner).
#pragma once
#include "cuda/device/grid.h"
#include "cuda/device/pack.h"
#include "cuda/device/walk.h"
#include "cuda/runtime/launch.h"

namespace tinydl::cuda {

// Where a pack begins.
struct PixelPlace {
  int64_t outer, row, column, inner;
};

struct Pixels {
  int64_t count, rows, columns, packs;
  int width;
  bool small;  // count < 2^31
  Divider by_packs, by_columns, by_rows;

  Pixels(int64_t outer, int64_t rows, int64_t columns, int64_t inner, int width)
      : count(outer * rows * columns * (inner / width)),
        rows(rows),
        columns(columns),
        packs(inner / width),
        width(width),
        small(count < int64_t(1) << 31) {
    if (!small || count == 0) return;
    by_packs = Divider(static_cast<uint32_t>(packs));
    by_columns = Divider(static_cast<uint32_t>(columns));
    by_rows = Divider(static_cast<uint32_t>(rows));
  }

  __device__ __forceinline__ PixelPlace locate(int64_t i) const {
    int64_t pixel, row, outer;
    if (small) {
      const uint32_t p = by_packs.quotient(static_cast<uint32_t>(i)), r = by_columns.quotient(p);
      pixel = p;
      row = r;
      outer = by_rows.quotient(r);
    } else {
      pixel = i / packs;
      row = pixel / columns;
      outer = row / rows;
    }
    return {outer, row - outer * rows, pixel - row * columns, (i - pixel * packs) * width};
  }
};

}  // namespace tinydl::cuda
