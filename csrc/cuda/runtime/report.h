// What kernels tell the host: wrong indices by a report in memory that both sides see, which nobody waits for, and
// numbers by a copy that waits.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/layout.h"

namespace tinydl::cuda {

// What indices are checked against; messages name it.
struct Checked {
  const char* op;  // of static storage duration
  int64_t size;    // right ones are in [0, size)
  bool labels;     // class labels, whose place is told
  int ndim;        // the labels' shape
  int64_t shape[kMaxDims];
};

// A wrong index, found by the first kernel that sets `state`.
struct Report {
  enum State : unsigned { kNone, kBeingWritten, kComplete, kBeingRead };

  unsigned state;
  Checked checked;
  int64_t index, position;
};

// The one report, for kernels to write to (cuda/device/report.h).
Report* report();

// Throws std::out_of_range, which is IndexError in Python, where a report has arrived; never waits. Bindings call it
// after their launches and before them: in the emulation kernels have run by then, on a GPU a later call tells.
void raise_reported();

// to[k] = from[k] for k < count, but 0 where from[k] is wrong, which is reported. With `wrap` negative indices count
// from the end.
void check_indices(const Checked& checked, bool wrap, int64_t count, const int64_t* from, int64_t* to);

// The same for labels in place: -1 where one is ignore_index or wrong.
void check_labels(const Checked& checked, int64_t ignore_index, int64_t count, int64_t* labels);

// Lets other threads of Python run while it lives (csrc/bind/device_array.cpp).
class WithoutLock {
 public:
  WithoutLock();
  ~WithoutLock();
  WithoutLock(const WithoutLock&) = delete;
  WithoutLock& operator=(const WithoutLock&) = delete;

 private:
  void* thread_;
};

// Copies from the device's memory to the host's, once all that was launched before has run: waits for the GPU.
void read_back(void* to, const void* from, size_t bytes);

}  // namespace tinydl::cuda
