#include "cuda/runtime/launch.h"

namespace tinydl {

namespace cuda {

int multiprocessors() { return 2; }
size_t shared_bytes_of_a_block() { return 227 << 10; }
int current_device() { return 0; }
bool several_devices() { return true; }

}  // namespace cuda

}  // namespace tinydl
