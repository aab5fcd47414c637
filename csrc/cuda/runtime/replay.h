// What a captured CUDA graph changes from replay to replay.
#pragma once
#include <cstdint>

namespace tinydl::cuda {

// Within a capture: where its kernels find, in the device's memory, what to add to their offsets of random numbers, so
// that each replay draws anew. Null otherwise.
inline const uint64_t*& offset_of_replay() {
  static thread_local const uint64_t* offset = nullptr;
  return offset;
}

}  // namespace tinydl::cuda
