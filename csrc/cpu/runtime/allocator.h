// The caching allocator behind every array and scratch buffer: blocks are kept by size class and reused, so that
// training at a steady state asks the system for no memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>

namespace tinydl {

// Says how many bytes were asked for; surfaces in Python as MemoryError.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(size_t bytes) noexcept;
  const char* what() const noexcept override { return message_; }

 private:
  char message_[64];
};

// 64-byte aligned, uninitialised memory; blocks from 2 MB ask for huge pages. Throws OutOfMemory.
void* allocate(size_t bytes);
void release(void* block) noexcept;

struct MemoryStats {
  int64_t allocated;      // bytes in use now
  int64_t cached;         // bytes kept for reuse
  int64_t peak;           // the most that was in use
  int64_t system_blocks;  // how often the system was asked for memory
  int64_t cache_limit;    // cached bytes above this are returned to the system; -1 is no limit
};
MemoryStats memory_stats();
void reset_peak_memory();
void empty_cache();
void set_cache_limit(int64_t bytes);

// Scratch memory for the length of a scope.
class Scratch {
 public:
  explicit Scratch(size_t bytes);
  Scratch(Scratch&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void* data() const { return data_; }

 private:
  void* data_;
};

}  // namespace tinydl
