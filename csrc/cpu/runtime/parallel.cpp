#include "cpu/runtime/parallel.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>

#include "core/check.h"
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace tinydl {

namespace {

// Below this many elements a thread costs more to wake than it saves (about 5 microseconds of work).
constexpr int64_t kWorkPerThread = 32768;

// Set in a child process, which stays on one thread: a team that libgomp had started, for us or for another library
// that shares it, did not survive the fork, and waiting for it would hang.
std::atomic<bool> is_forked_child{false};

void after_fork_in_child() { is_forked_child.store(true); }

int affinity_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return std::max(1, omp_get_num_procs());
  return std::max(1, CPU_COUNT(&set));
}

// The cgroup's processor quota (version 2, then 1), rounded up; 0 without one.
int quota_processors() {
  std::string quota;
  double period = 0;
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  if (!(v2 >> quota >> period)) {
    std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    std::ifstream v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    if (!(v1_quota >> quota && v1_period >> period)) return 0;
  }
  const double allowed = std::atof(quota.c_str());  // "max" reads as 0, version 1's -1 stays negative
  if (allowed <= 0 || period <= 0) return 0;
  return std::max(1, static_cast<int>(std::ceil(allowed / period)));
}

int parse_threads(const char* value) {
  char* end = nullptr;
  const long threads = std::strtol(value, &end, 10);
  check(*value && !*end && threads >= 1 && threads <= 4096, "TINYDL_NUM_THREADS is '", value,
        "'; it must be an integer from 1 to 4096");
  return static_cast<int>(threads);
}

int default_threads() {
  pthread_atfork(nullptr, nullptr, after_fork_in_child);
  const char* wanted = std::getenv("TINYDL_NUM_THREADS");
  if (wanted && *wanted) return parse_threads(wanted);
  const int processors = affinity_processors();
  const int quota = quota_processors();
  return quota ? std::min(processors, quota) : processors;
}

std::atomic<int>& team_size() {
  static std::atomic<int> threads{default_threads()};
  return threads;
}

}  // namespace

int num_threads() { return team_size().load(std::memory_order_relaxed); }

void set_num_threads(int threads) {
  check(threads >= 1 && threads <= 4096, "set_num_threads: got ", threads, ", wanted 1 to 4096");
  team_size().store(threads, std::memory_order_relaxed);
}

int workers_for(int64_t blocks, int64_t work) {
  if (is_forked_child.load(std::memory_order_relaxed)) return 1;
  const int64_t useful = std::min(blocks, work / kWorkPerThread);
  return static_cast<int>(std::clamp<int64_t>(useful, 1, num_threads()));
}

void parallel_for(int64_t blocks, int64_t work, RangeBody body) {
  parallel_for_workers(blocks, workers_for(blocks, work), body);
}

void parallel_for_workers(int64_t blocks, int workers, RangeBody body) {
  if (blocks <= 0) return;
  if (workers == 1) {
    body(0, blocks, 0);
    return;
  }
#pragma omp parallel num_threads(workers)
  {
    // OpenMP may grant fewer threads than asked for, so shares follow the team that came.
    const int64_t team = omp_get_num_threads();
    const int64_t me = omp_get_thread_num();
    const int64_t begin = blocks * me / team;
    const int64_t end = blocks * (me + 1) / team;
    if (begin < end) body(begin, end, static_cast<int>(me));
  }
}

#if defined(__SSE__)
FlushDenormals::FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040u); }
FlushDenormals::~FlushDenormals() { _mm_setcsr((saved_ & 0xffc0u) | (_mm_getcsr() & 0x003fu)); }
#else
FlushDenormals::FlushDenormals() : saved_(0) {}
FlushDenormals::~FlushDenormals() { (void)saved_; }
#endif

}  // namespace tinydl
