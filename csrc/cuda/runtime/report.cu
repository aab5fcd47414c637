#include "cuda/runtime/report.h"

#include <cstring>
#include <stdexcept>
#include <string>

#include "core/check.h"
#include "cuda/device/grid.h"
#include "cuda/device/report.h"
#include "cuda/runtime/launch.h"

namespace tinydl::cuda {

namespace {

#ifndef TINYDL_CUDA_EMULATE
constexpr const char* kLate = " (found by an earlier call: kernels run behind the host)";

// Pinned memory, which the GPU writes and the host reads without a call.
Report* make_report() {
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, sizeof(Report), cudaHostAllocMapped | cudaHostAllocPortable), "memory for reports");
  std::memset(memory, 0, sizeof(Report));
  return static_cast<Report*>(memory);
}
#else
constexpr const char* kLate = "";

Report* make_report() {
  static Report report;
  return &report;
}
#endif

// "row 3", or "(0, 2, 5)" where the labels have several axes.
std::string place_of(const Checked& checked, int64_t position) {
  if (checked.ndim <= 1) return text("row ", position);
  Layout at;
  at.ndim = checked.ndim;
  for (int d = at.ndim - 1; d >= 0; position /= checked.shape[d--]) at.shape[d] = position % checked.shape[d];
  return text(at);
}

std::string message_of(const Report& found) {
  const Checked& checked = found.checked;
  if (checked.labels)
    return text(checked.op, ": label ", found.index, " at ", place_of(checked, found.position), " is out of range for ",
                checked.size, " classes", kLate);
  return text(checked.op, ": index ", found.index, " is out of range for size ", checked.size, kLate);
}

__global__ void check_indices_kernel(Report* report, Checked checked, bool wrap, int64_t count, const int64_t* from,
                                     int64_t* to) {
  for (int64_t k = thread_in_grid(); k < count; k += threads_in_grid()) {
    const int64_t given = from[k], index = wrap && given < 0 ? given + checked.size : given;
    const bool inside = is_inside(index, checked.size);
    if (!inside) report_wrong(report, checked, given, k);
    to[k] = inside ? index : 0;
  }
}

__global__ void check_labels_kernel(Report* report, Checked checked, int64_t ignore_index, int64_t count,
                                    int64_t* labels) {
  for (int64_t r = thread_in_grid(); r < count; r += threads_in_grid()) {
    const int64_t label = labels[r];
    const bool inside = is_inside(label, checked.size), ignored = label == ignore_index;
    if (!inside && !ignored) report_wrong(report, checked, label, r);
    if (!inside || ignored) labels[r] = -1;
  }
}

}  // namespace

Report* report() {
  static Report* const only = make_report();
  return only;
}

void raise_reported() {
  Report* const shared = report();
  unsigned complete = Report::kComplete;
  if (__atomic_load_n(&shared->state, __ATOMIC_RELAXED) != complete) return;
  if (!__atomic_compare_exchange_n(&shared->state, &complete, unsigned(Report::kBeingRead), false, __ATOMIC_ACQUIRE,
                                   __ATOMIC_RELAXED))
    return;  // another thread raises it
  const Report found = *shared;
  __atomic_store_n(&shared->state, unsigned(Report::kNone), __ATOMIC_RELEASE);
  throw std::out_of_range(message_of(found));
}

void check_indices(const Checked& checked, bool wrap, int64_t count, const int64_t* from, int64_t* to) {
  launch(check_indices_kernel, blocks_for(count), kThreads, report(), checked, wrap, count, from, to);
}

void check_labels(const Checked& checked, int64_t ignore_index, int64_t count, int64_t* labels) {
  launch(check_labels_kernel, blocks_for(count), kThreads, report(), checked, ignore_index, count, labels);
}

void read_back(void* to, const void* from, size_t bytes) {
#ifndef TINYDL_CUDA_EMULATE
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, current_stream()), "copy to the host");
  const cudaStream_t stream = current_stream();
  const WithoutLock unlocked;
  check(cudaStreamSynchronize(stream), "wait for a copy to the host");
#else
  std::memcpy(to, from, bytes);
#endif
}

}  // namespace tinydl::cuda
