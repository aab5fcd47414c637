// What kernels tell tinydl.explain about the choices they make. Off unless a call is being explained.
#pragma once
#include <cstdint>

namespace tinydl {

// Records this thread's notes; stop_trace() returns them, a line each, valid until the thread's next trace.
void start_trace();
const char* stop_trace();

// Notes that a product (m, k) by (k, n) is computed by `how`; `refused` says why nothing better, or is null.
void trace_product(int64_t m, int64_t n, int64_t k, const char* how, const char* refused);

// Notes a choice that leads to no product.
void trace_line(const char* line);

}  // namespace tinydl
