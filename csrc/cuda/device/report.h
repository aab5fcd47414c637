// A kernel's report of a wrong index; the first one found stays until the host has read it.
#pragma once
#include "cuda/runtime/device.h"
#include "cuda/runtime/report.h"

namespace tinydl::cuda {

__device__ __forceinline__ bool is_inside(int64_t index, int64_t size) {
  return static_cast<uint64_t>(index) < static_cast<uint64_t>(size);
}

__device__ inline void report_wrong(Report* report, const Checked& checked, int64_t index, int64_t position) {
  // A plain look first: of many wrong indices few go to the host's memory for the exchange.
  if (*static_cast<volatile unsigned*>(&report->state) != Report::kNone) return;
  if (atomicCAS_system(&report->state, unsigned(Report::kNone), unsigned(Report::kBeingWritten)) != Report::kNone)
    return;
  report->checked = checked;
  report->index = index;
  report->position = position;
  __threadfence_system();
  atomicExch_system(&report->state, unsigned(Report::kComplete));
}

// The index, or 0 where it is wrong, which is reported.
__device__ __forceinline__ int64_t checked_index(Report* report, const Checked& checked, int64_t index,
                                                 int64_t position) {
  if (is_inside(index, checked.size)) return index;
  report_wrong(report, checked, index, position);
  return 0;
}

}  // namespace tinydl::cuda
