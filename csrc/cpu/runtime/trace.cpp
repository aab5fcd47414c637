#include "cpu/runtime/trace.h"

#include <string>

namespace tinydl {

namespace {

thread_local bool tracing = false;
thread_local std::string notes;

}  // namespace

void start_trace() {
  notes.clear();
  tracing = true;
}

const char* stop_trace() {
  tracing = false;
  return notes.c_str();
}

void trace_product(int64_t m, int64_t n, int64_t k, const char* how, const char* refused) {
  if (!tracing) return;
  const auto size = [](int64_t rows, int64_t columns) {
    return "(" + std::to_string(rows) + ", " + std::to_string(columns) + ")";
  };
  notes += "product of " + size(m, k) + " and " + size(k, n) + ": " + how;
  if (refused) notes += std::string("; ") + refused;
  notes += '\n';
}

void trace_line(const char* line) {
  if (tracing) notes.append(line).append("\n");
}

}  // namespace tinydl
