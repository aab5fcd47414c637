#include "cuda/runtime/launch.h"

namespace tinydl {

namespace cuda {

int multiprocessors() { return 2; }
int current_device() { return 0; }
bool several_devices() { return true; }

}  // namespace cuda

}  // namespace tinydl
