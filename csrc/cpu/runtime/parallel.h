// The only door to threads. Kernels split a problem into blocks whose number depends on its shape alone, so that
// results do not depend on how many threads there are.
#pragma once
#include <cstdint>

namespace tinydl {

// A reference to a callable `void(int64_t begin, int64_t end, int worker)`; it must outlive the call and not throw.
class RangeBody {
 public:
  template <class F>
  RangeBody(const F& body)  // NOLINT: implicit, like a function argument
      : object_(&body), call_([](const void* object, int64_t begin, int64_t end, int worker) {
          (*static_cast<const F*>(object))(begin, end, worker);
        }) {}

  void operator()(int64_t begin, int64_t end, int worker) const { call_(object_, begin, end, worker); }

 private:
  const void* object_;
  void (*call_)(const void*, int64_t, int64_t, int);
};

// The team size: TINYDL_NUM_THREADS, else the processors that affinity and the cgroup's quota leave us.
int num_threads();
void set_num_threads(int threads);

// Calls body over contiguous ranges that together are [0, blocks).
// `work` estimates the whole call's cost in elements touched or vector operations; small problems stay on one thread.
void parallel_for(int64_t blocks, int64_t work, RangeBody body);

// The same where each worker needs scratch memory, allocated before the region: ask how many workers there will be, and
// run with as many; `worker` is below that number. (set_num_threads in another thread may come between the two.)
int workers_for(int64_t blocks, int64_t work);
void parallel_for_workers(int64_t blocks, int workers, RangeBody body);

// Within parallel_for's body: treats denormals as zero until the end of the scope, then restores the caller's mode.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned saved_;
};

}  // namespace tinydl
