// What a captured CUDA graph changes from replay to replay.
#pragma once
#include <cstdint>

#include "core/check.h"

namespace tinydl::cuda {

// Within a capture: where its kernels find, in the device's memory, what to add to their offsets of random numbers, so
// that each replay draws anew. Null otherwise.
inline const uint64_t*& offset_of_replay() {
  static thread_local const uint64_t* offset = nullptr;
  return offset;
}

// Where the steps of a graph's optimisers find their learning rates and the like: slots in the device's memory, which
// they take in turn. Within a capture they read them; before a replay the same calls, in the same order, fill them and
// do nothing else.
struct alignas(16) Slot {
  unsigned char bytes[128];
};
struct SlotsOfReplay {
  Slot* first = nullptr;  // null: a launch has its numbers among its parameters
  int64_t count = 0, taken = 0;
  bool fills = false;

  Slot* take() {
    tinydl::check(taken < count, "optimizer: a graph holds at most ", count, " updates (groups, dtypes, step numbers)");
    return first + taken++;
  }
};
inline SlotsOfReplay& slots_of_replay() {
  static thread_local SlotsOfReplay slots;
  return slots;
}

}  // namespace tinydl::cuda
