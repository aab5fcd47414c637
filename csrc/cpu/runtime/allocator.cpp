#include "cpu/runtime/allocator.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

namespace tinydl {

namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kPage = 4096;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr int kClasses = 4 * 48;

// Sits in the 64 bytes before the memory that the caller sees.
struct alignas(kAlignment) Header {
  int size_class;
};
static_assert(sizeof(Header) == kAlignment);

// Classes grow by a quarter of a power of two: 64, 80, 96, 112, 128, 160, ...: at most a quarter is wasted.
size_t class_bytes(int size_class) { return (size_t{4} + static_cast<size_t>(size_class % 4)) << (size_class / 4 + 4); }

int class_of(size_t bytes) {
  int size_class = 0;
  if (bytes > 64) {
    const int power = 63 - __builtin_clzll(bytes);  // 2^power <= bytes
    size_class = std::max(0, 4 * (power - 6));
  }
  while (size_class < kClasses && class_bytes(size_class) < bytes) ++size_class;
  if (size_class >= kClasses) throw std::bad_alloc();
  return size_class;
}

size_t round_up(size_t bytes, size_t multiple) { return (bytes + multiple - 1) / multiple * multiple; }

bool is_mapped(size_t total) { return total >= kHugePage; }

// What the system hands out for a block: large ones are mapped at a huge-page boundary.
void* system_allocate(size_t total) {
  if (!is_mapped(total)) {
    void* block = std::aligned_alloc(kAlignment, round_up(total, kAlignment));
    if (!block) throw std::bad_alloc();
    return block;
  }
  const size_t pages = round_up(total, kPage);
  char* region =
      static_cast<char*>(mmap(nullptr, pages + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (region == MAP_FAILED) throw std::bad_alloc();
  const size_t before = round_up(reinterpret_cast<uintptr_t>(region), kHugePage) - reinterpret_cast<uintptr_t>(region);
  char* aligned = region + before;
  if (before) munmap(region, before);
  if (before < kHugePage) munmap(aligned + pages, kHugePage - before);
#if defined(MADV_HUGEPAGE)
  madvise(aligned, pages, MADV_HUGEPAGE);
#endif
  return aligned;
}

void system_release(void* block, size_t total) {
  if (is_mapped(total))
    munmap(block, round_up(total, kPage));
  else
    std::free(block);
}

class Cache {
 public:
  Header* take(int size_class) {
    std::lock_guard<std::mutex> lock(mutex_);
    count_use(static_cast<int64_t>(class_bytes(size_class)));
    auto& free = free_[size_class];
    if (!free.empty()) {
      Header* header = free.back();
      free.pop_back();
      stats_.cached -= static_cast<int64_t>(class_bytes(size_class));
      return header;
    }
    try {
      Header* header = static_cast<Header*>(system_allocate(class_bytes(size_class) + sizeof(Header)));
      ++stats_.system_blocks;
      header->size_class = size_class;
      free.reserve(free.size() + 8);  // so that put() never allocates for the common case
      return header;
    } catch (...) {
      stats_.allocated -= static_cast<int64_t>(class_bytes(size_class));
      throw;
    }
  }

  void put(Header* header) noexcept {
    std::lock_guard<std::mutex> lock(mutex_);
    const int64_t bytes = static_cast<int64_t>(class_bytes(header->size_class));
    stats_.allocated -= bytes;
    const bool fits = stats_.cache_limit < 0 || stats_.cached + bytes <= stats_.cache_limit;
    if (fits) {
      try {
        free_[header->size_class].push_back(header);
        stats_.cached += bytes;
        return;
      } catch (const std::bad_alloc&) {
      }
    }
    system_release(header, static_cast<size_t>(bytes) + sizeof(Header));
  }

  // Returns cached blocks, the largest first, until at most `keep` bytes stay.
  void trim(int64_t keep) {
    std::lock_guard<std::mutex> lock(mutex_);
    for (int size_class = kClasses - 1; size_class >= 0; --size_class) {
      const int64_t bytes = static_cast<int64_t>(class_bytes(size_class));
      auto& free = free_[size_class];
      while (!free.empty() && stats_.cached > keep) {
        system_release(free.back(), static_cast<size_t>(bytes) + sizeof(Header));
        free.pop_back();
        stats_.cached -= bytes;
      }
    }
  }

  MemoryStats stats() {
    std::lock_guard<std::mutex> lock(mutex_);
    return stats_;
  }

  void reset_peak() {
    std::lock_guard<std::mutex> lock(mutex_);
    stats_.peak = stats_.allocated;
  }

  void set_limit(int64_t bytes) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stats_.cache_limit = bytes < 0 ? -1 : bytes;
    }
    if (bytes >= 0) trim(bytes);
  }

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  void count_use(int64_t bytes) {
    stats_.allocated += bytes;
    stats_.peak = std::max(stats_.peak, stats_.allocated);
  }

  std::mutex mutex_;
  std::vector<Header*> free_[kClasses];
  MemoryStats stats_{0, 0, 0, 0, -1};
};

// Never destroyed: arrays may outlive the module's teardown. A fork waits for the lock, so that the child gets it free.
Cache& cache() {
  static Cache* instance = [] {
    pthread_atfork([] { cache().lock(); }, [] { cache().unlock(); }, [] { cache().unlock(); });
    return new Cache;
  }();
  return *instance;
}

}  // namespace

OutOfMemory::OutOfMemory(size_t bytes) noexcept {
  std::snprintf(message_, sizeof(message_), "cannot allocate %zu bytes", bytes);
}

void* allocate(size_t bytes) {
  try {
    return cache().take(class_of(bytes)) + 1;
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(bytes);
  }
}

void release(void* block) noexcept {
  if (block) cache().put(static_cast<Header*>(block) - 1);
}

MemoryStats memory_stats() { return cache().stats(); }
void reset_peak_memory() { cache().reset_peak(); }
void empty_cache() { cache().trim(0); }
void set_cache_limit(int64_t bytes) { cache().set_limit(bytes); }

Scratch::Scratch(size_t bytes) : data_(allocate(bytes)) {}
Scratch::~Scratch() { release(data_); }

}  // namespace tinydl
