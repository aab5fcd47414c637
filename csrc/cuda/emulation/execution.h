// Runs kernels without a GPU: the blocks of a grid one after another, the threads of a block as fibers, each until it
// ends or waits for others. What a GPU leaves open is varied and never helpful, so that what it does not promise shows
// up as a wrong result: the order of blocks and of threads (see Schedule), shared memory that holds NaN until written.
// Mistakes that a GPU hangs on (a barrier that some threads never reach, a shuffle with a lane that left) are errors
// that say so. What it cannot show: lanes that exchange values (shuffles, tensor instructions) see each other's shared
// memory too, as a GPU promises only after __syncwarp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct uint3 {
  unsigned x, y, z;
};

namespace tinydl::emulation {

constexpr int kWarp = 32;
constexpr int kSlotBytes = 64;  // the most that a lane lays out for the others

// The order of threads (between barriers) and of blocks.
enum class Schedule {
  forward,  // a warp after the other, each up to the block's next barrier or its end
  backward,
  shuffled,  // anew whenever all have had a turn
  varied,    // one of these after the other, a launch each
};
void set_schedule(Schedule schedule, uint64_t seed);

// What a block can have of shared memory from now on: 227 KB until set, as on 9.0; 99 KB on 8.6, 8.9 and 12.0.
void set_shared_bytes_of_a_block(size_t bytes);

struct Thread {
  uint3 index;
  int lane;
};
struct Block {
  dim3 grid, threads;
  uint3 index;
};
const Thread& this_thread();
const Block& this_block();

// Waits for all threads of the block that have not ended, at one place in the source: __syncthreads.
struct Place {
  const char* file;
  int line;
};
void meet_block(Place place);

// What the lanes of a warp laid out in one exchange; it stays readable until a lane's next but one.
struct Slots {
  unsigned mask;  // of the lanes that take part
  unsigned char bytes[kWarp][kSlotBytes];

  template <class T>
  T read(int lane) const {
    static_assert(sizeof(T) <= kSlotBytes, "an exchange is too wide");
    check_lane(lane);
    T value;
    memcpy(&value, bytes[lane], sizeof value);
    return value;
  }
  void check_lane(int lane) const;  // an error unless it takes part
};

// Lays out `size` bytes and waits until all lanes of the mask have done so.
const Slots* exchange(unsigned mask, const void* value, size_t size);

// The block's shared memory, `bytes` long for each thread that asks.
void* shared_memory(size_t bytes, size_t alignment);

// Copies to shared memory (zeros where `from` is null) that arrive when the thread waits for their group, and not
// before.
void copy_later(void* to, const void* from, size_t bytes);
void end_copy_group();
void wait_for_copies(int groups_left);

// Runs body(context), which calls the kernel, as every thread of the grid. Throws std::runtime_error where the kernel
// does what a GPU forbids.
void run(const void* kernel, dim3 grid, dim3 threads, void (*body)(const void* context), const void* context);

// How often each kernel was launched since the module was loaded, by its offset in the module's file: as `nm` shows it.
std::map<size_t, int64_t> launches_by_offset();

}  // namespace tinydl::emulation
