// How a contract's table of kernels is declared and found: by the instruction-set tier on the CPU, one on a GPU.
#pragma once

#ifdef TINYDL_CUDA
#include "cuda/runtime/tables.h"
#else
#include "cpu/runtime/dispatch.h"
#endif
