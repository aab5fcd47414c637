// The positions of an input gradient by their residue modulo the stride: those of one phase meet the same taps.
#pragma once
#include "core/conv_geometry.h"
#include "cpu/simd/integers.h"

namespace tinydl::TINYDL_TIER {

// The taps that meet input positions phase, phase + stride, ...: position phase + stride * i receives from output
// first + i through such a tap, where first = (phase + pad_before - tap * dilation) / stride.
struct PhaseTaps {
  int64_t count = 0;
  int64_t positions;  // input positions of the phase

  PhaseTaps(const ConvAxis& axis, int64_t phase)
      : positions(axis.input > phase ? (axis.input - phase - 1) / axis.stride + 1 : 0) {
    for (int64_t tap = 0; tap < axis.kernel; ++tap)
      if (meets(axis, phase, tap)) ++count;
  }
  static bool meets(const ConvAxis& axis, int64_t phase, int64_t tap) {
    return (phase + axis.pad_before - tap * axis.dilation) % axis.stride == 0;
  }
  static int64_t first(const ConvAxis& axis, int64_t phase, int64_t tap) {
    return (phase + axis.pad_before - tap * axis.dilation) / axis.stride;
  }
};

// Phases beyond the input hold no position.
TINYDL_INLINE int64_t phase_count(const ConvAxis& axis) { return smaller(axis.stride, axis.input); }

// How far the taps reach over the ends of the outputs, before and after, over all phases.
inline void overhang(const ConvAxis& axis, int64_t* before, int64_t* after) {
  *before = *after = 0;
  for (int64_t phase = 0; phase < phase_count(axis); ++phase) {
    const PhaseTaps phase_taps(axis, phase);
    for (int64_t tap = 0; tap < axis.kernel && phase_taps.positions > 0; ++tap) {
      if (!PhaseTaps::meets(axis, phase, tap)) continue;
      const int64_t low = PhaseTaps::first(axis, phase, tap);
      const int64_t high = low + phase_taps.positions - 1;
      if (-low > *before) *before = -low;
      if (high - (axis.output - 1) > *after) *after = high - (axis.output - 1);
    }
  }
}

}  // namespace tinydl::TINYDL_TIER
