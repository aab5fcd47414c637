#include "cuda/runtime/launch.h"

#include <atomic>

namespace tinydl {

namespace {

std::atomic<size_t> shared_bytes{227 << 10};

}  // namespace

void emulation::set_shared_bytes_of_a_block(size_t bytes) { shared_bytes = bytes; }

namespace cuda {

int multiprocessors() { return 2; }
size_t shared_bytes_of_a_block() { return shared_bytes; }
int current_device() { return 0; }
bool several_devices() { return true; }

}  // namespace cuda

}  // namespace tinydl
