// The k of a product: runs of values that lie at a constant distance in A, gathered into blocks that fit into a cache.
#pragma once
#include "cpu/runtime/allocator.h"
#include "cpu/simd/integers.h"

namespace tinydl::TINYDL_TIER {

// Consecutive values of k: A's pointers move by `a_offset` to reach the first, B's by `k` steps.
struct Run {
  int64_t a_offset, k, length;
};

// One block of k: some runs, whose k count from the block's start.
struct DepthBlock {
  int64_t first_k, length;
  int first_run, run_count;
};

// The k of a product cut into runs, and the runs into blocks of a limited length.
class Depth {
 public:
  Depth(int64_t max_runs, int64_t max_blocks)
      : memory_(static_cast<size_t>(max_runs) * sizeof(Run) + static_cast<size_t>(max_blocks) * sizeof(DepthBlock)),
        runs_(static_cast<Run*>(memory_.data())),
        blocks_(reinterpret_cast<DepthBlock*>(runs_ + max_runs)) {}

  // Appends `length` values of k whose first lies at `a_offset` and whose neighbours lie `a_step` apart.
  void add(int64_t a_offset, int64_t a_step, int64_t length, int64_t limit) {
    while (length > 0) {
      if (block_count_ == 0 || blocks_[block_count_ - 1].length == limit)
        blocks_[block_count_++] = DepthBlock{total_, 0, run_count_, 0};
      DepthBlock& block = blocks_[block_count_ - 1];
      const int64_t part = smaller(length, limit - block.length);
      runs_[run_count_++] = Run{a_offset, block.length, part};
      ++block.run_count;
      block.length += part;
      total_ += part;
      a_offset += part * a_step;
      length -= part;
    }
  }
  // A product over no k at all still has to write zeros.
  void finish() {
    if (block_count_ == 0) blocks_[block_count_++] = DepthBlock{0, 0, 0, 0};
  }

  int64_t total() const { return total_; }
  int block_count() const { return block_count_; }
  const DepthBlock& block(int i) const { return blocks_[i]; }
  const Run* runs(const DepthBlock& block) const { return runs_ + block.first_run; }

 private:
  Scratch memory_;
  Run* runs_;
  DepthBlock* blocks_;
  int run_count_ = 0;
  int block_count_ = 0;
  int64_t total_ = 0;
};

}  // namespace tinydl::TINYDL_TIER
