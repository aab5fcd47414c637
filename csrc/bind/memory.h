// The memory of the module's device.
#pragma once

#ifdef TINYDL_CUDA
#include "cuda/runtime/memory.h"
#else
#include "cpu/runtime/allocator.h"
#endif
