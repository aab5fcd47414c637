// What a captured CUDA graph changes from replay to replay.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

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
// step nothing.
struct alignas(16) Slot {
  unsigned char bytes[128];
};
struct SlotsOfReplay {
  Slot* first = nullptr;  // null: a launch has its numbers among its parameters
  size_t count = 0;
  bool fills = false;
  std::vector<uint64_t> keys;  // of the slots taken: what each step works on

  Slot* take(uint64_t key) {
    tinydl::check(keys.size() < count, "optimizer: a graph holds at most ", count,
                  " updates (groups, dtypes, step numbers)");
    keys.push_back(key);
    return first + keys.size() - 1;
  }
};
inline SlotsOfReplay& slots_of_replay() {
  static thread_local SlotsOfReplay slots;
  return slots;
}

}  // namespace tinydl::cuda
