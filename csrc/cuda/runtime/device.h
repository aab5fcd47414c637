// CUDA's language for kernels: nvcc's, or the emulation's (csrc/cuda/emulation), which any C++ compiler takes.
#pragma once

#ifndef TINYDL_CUDA_EMULATE

#include <cuda_runtime.h>

// The block's shared memory, one object of a plain struct for a kernel: `TINYDL_SHARED(Storage, shared);`. The second
// takes more than 48 KB, whose size the launch gives.
#define TINYDL_SHARED(Type, name) __shared__ Type name
#define TINYDL_LARGE_SHARED(Type, name)                           \
  extern __shared__ __align__(128) unsigned char tinydl_shared[]; \
  Type& name = *reinterpret_cast<Type*>(tinydl_shared)

#else

#include "cuda/emulation/cuda.h"

#define TINYDL_SHARED(Type, name) \
  Type& name = *static_cast<Type*>(::tinydl::emulation::shared_memory(sizeof(Type), alignof(Type)))
#define TINYDL_LARGE_SHARED TINYDL_SHARED

#endif
