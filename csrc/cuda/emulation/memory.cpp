// The emulated device's memory: malloc, so that AddressSanitizer sees every access beyond an array, filled with NaN.
#include "cuda/runtime/memory.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda/runtime/launch.h"

namespace tinydl {

OutOfMemory::OutOfMemory(size_t bytes) noexcept {
  std::snprintf(message_, sizeof message_, "cannot allocate %zu bytes", bytes);
}

void* allocate(size_t bytes) {
  constexpr size_t alignment = 256;
  void* block = nullptr;
  if (posix_memalign(&block, alignment, bytes > 0 ? bytes : 1) != 0) throw OutOfMemory(bytes);
  memset(block, 0xff, bytes);
  return block;
}

void release(void* block) noexcept { std::free(block); }

namespace cuda {

int multiprocessors() { return 2; }

}  // namespace cuda

}  // namespace tinydl
