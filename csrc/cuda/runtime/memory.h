// Device memory for results and for scratch space: CuPy's pool on a GPU, exactly as many bytes as asked for in the
// emulation.
#pragma once
#include <cstddef>

namespace tinydl {

// Uninitialised memory, aligned to 256 bytes. Throws what the allocator raises in Python. What was
// released may be handed out again for work
// that is queued later on the same stream.
void* allocate(size_t bytes);
void release(void* block) noexcept;

// Scratch memory for the length of a scope, for kernels launched in it.
class Scratch {
 public:
  explicit Scratch(size_t bytes) : data_(bytes > 0 ? allocate(bytes) : nullptr) {}
  Scratch(Scratch&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
  ~Scratch() {
    if (data_) release(data_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void* data() const { return data_; }

 private:
  void* data_;
};

}  // namespace tinydl
