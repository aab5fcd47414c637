#include "cuda/emulation/execution.h"

#include <dlfcn.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/check.h"
#include "cuda/emulation/fiber.h"

namespace tinydl::emulation {

namespace {

constexpr unsigned kMaxThreads = 1024;
constexpr size_t kMaxSharedBytes = 227 << 10;  // of a block on compute capability 9.0
constexpr unsigned char kPoison = 0xff;        // NaN as a float of any width, -1 as an integer

struct PendingCopy {
  void* to;
  std::vector<unsigned char> bytes;
};

struct Runner;

// A thread of the block, and what it waits for: *watched to differ from `seen`.
struct Running {
  Thread self{};
  unsigned linear = 0;
  std::unique_ptr<Runner> runner;  // its stack, from its start to its end
  bool ended = false;
  const unsigned* watched = nullptr;
  unsigned seen = 0;
  std::deque<std::vector<PendingCopy>> copy_groups;
  std::vector<PendingCopy> open_group;

  bool runnable() const { return !ended && (!watched || *watched != seen); }
};

// A stack that runs threads to their end, one after another: a kernel without barriers needs but one.
struct Runner {
  Fiber fiber;
  Runner() : fiber(&Runner::serve, this) {}
  static void serve(void* self);
};
std::vector<std::unique_ptr<Runner>> idle_runners;

// One exchange of a warp at a time for each mask; two sets of slots, used in turn, so that a fast lane may start the
// next exchange before a slow one has read.
struct Exchange {
  unsigned mask = 0, arrived = 0, turn = 0;
  Slots slots[2];
};
struct Warp {
  static constexpr int kMasks = 4;
  Exchange exchanges[kMasks];
  Exchange* of(unsigned mask) {
    for (Exchange& e : exchanges) {
      if (e.mask == 0) e.mask = mask;
      if (e.mask == mask) return &e;
    }
    return nullptr;
  }
  void clear() {
    for (Exchange& e : exchanges) e.mask = e.arrived = e.turn = 0;
  }
};

struct State {
  Block block{};
  void (*body)(const void*) = nullptr;
  const void* context = nullptr;
  std::vector<Running> threads;
  std::vector<Warp> warps;
  std::unique_ptr<unsigned char[]> shared;
  size_t shared_bytes = 0;
  unsigned live = 0, arrived = 0, barrier = 0;  // barrier counts those that were passed
  Place meeting{};                              // where those that arrived wait
  Running* current = nullptr;
  std::string error;
};

std::mutex launches;  // kernels run one at a time
State* state = nullptr;
Schedule chosen = Schedule::varied;
uint64_t seed_of_launches = 0;
std::map<const void*, int64_t> launches_of;

std::string name_of(const Running& t) {
  const uint3 b = state->block.index;
  return text("thread (", t.self.index.x, ", ", t.self.index.y, ", ", t.self.index.z, ") of block (", b.x, ", ", b.y,
              ", ", b.z, ")");
}

// Ends the launch with an error; the thread never goes on.
[[noreturn]] void abandon(const std::string& message) {
  if (state->error.empty()) state->error = message;
  for (;;) state->current->runner->fiber.leave();
}

void wait_for_change(const unsigned& watched, unsigned seen) {
  Running& self = *state->current;
  self.watched = &watched;
  self.seen = seen;
  self.runner->fiber.leave();
  self.watched = nullptr;
}

void open_barrier_if_all_arrived() {
  if (state->arrived < state->live || state->arrived == 0) return;
  state->arrived = 0;
  ++state->barrier;
}

void Runner::serve(void* self) {
  auto* runner = static_cast<Runner*>(self);
  for (;;) {
    state->body(state->context);
    Running& thread = *state->current;
    thread.ended = true;
    idle_runners.push_back(std::move(thread.runner));
    --state->live;
    open_barrier_if_all_arrived();
    runner->fiber.leave();
  }
}

std::unique_ptr<Runner> idle_runner() {
  if (idle_runners.empty()) return std::make_unique<Runner>();
  std::unique_ptr<Runner> runner = std::move(idle_runners.back());
  idle_runners.pop_back();
  return runner;
}

void resume(Running& thread) {
  state->current = &thread;
  if (!thread.runner) thread.runner = idle_runner();
  thread.runner->fiber.enter();
}

// The order in which to visit `count` things.
class Order {
 public:
  Order(Schedule schedule, uint64_t seed, size_t count) : schedule_(schedule), random_(seed), order_(count) {
    std::iota(order_.begin(), order_.end(), size_t(0));
    if (schedule == Schedule::backward) std::reverse(order_.begin(), order_.end());
  }
  const std::vector<size_t>& next() {
    if (schedule_ == Schedule::shuffled) std::shuffle(order_.begin(), order_.end(), random_);
    return order_;
  }
  // The end of the threads that run as far as they can before the next ones do: a warp, so that one can be ahead of the
  // others by as much as barriers allow. Shuffled, all take turns instead.
  const size_t* end_of_turn(const size_t* from, const size_t* end) const {
    if (shuffles()) return end;
    return std::find_if(from, end, [&](size_t i) { return i / kWarp != *from / kWarp; });
  }
  bool shuffles() const { return schedule_ == Schedule::shuffled; }

 private:
  Schedule schedule_;
  std::mt19937_64 random_;
  std::vector<size_t> order_;
};

void prepare_block(uint3 index) {
  State& s = *state;
  s.block.index = index;
  s.live = static_cast<unsigned>(s.threads.size());
  s.arrived = 0;
  s.shared.reset();
  s.shared_bytes = 0;
  for (size_t i = 0; i < s.threads.size(); ++i) {
    const auto linear = static_cast<unsigned>(i);
    const dim3 size = s.block.threads;
    s.threads[i] = Running();
    s.threads[i].linear = linear;
    s.threads[i].self.index = {linear % size.x, linear / size.x % size.y, linear / (size.x * size.y)};
    s.threads[i].self.lane = static_cast<int>(linear % kWarp);
  }
  for (Warp& warp : s.warps) warp.clear();
}

// Lets each of these threads run until it waits; whether any could.
bool advance(const size_t* from, const size_t* to) {
  bool moved = false;
  for (; from != to; ++from) {
    Running& thread = state->threads[*from];
    if (!thread.runnable()) continue;
    resume(thread);
    moved = true;
    if (!state->error.empty()) throw std::runtime_error(state->error);
  }
  return moved;
}

void run_block(uint3 index, Order& order) {
  prepare_block(index);
  State& s = *state;
  while (s.live > 0) {
    const std::vector<size_t>& threads = order.next();
    bool moved = false;
    for (const size_t *from = threads.data(), *end = from + threads.size(); from != end;) {
      const size_t* to = order.end_of_turn(from, end);
      while (advance(from, to)) {
        moved = true;
        if (order.shuffles()) break;
      }
      from = to;
    }
    if (moved) continue;
    for (const Running& t : s.threads)
      if (!t.ended)
        throw std::runtime_error(text(
            name_of(t), " waits for ever: ",
            t.watched == &s.barrier ? "some threads never reach its barrier" : "some lanes never join its exchange"));
  }
}

}  // namespace

void set_schedule(Schedule schedule, uint64_t seed) {
  const std::lock_guard<std::mutex> one(launches);
  chosen = schedule;
  seed_of_launches = seed;
}

const Thread& this_thread() { return state->current->self; }
const Block& this_block() { return state->block; }

void meet_block(Place place) {
  const unsigned seen = state->barrier;
  if (state->arrived++ == 0) state->meeting = place;
  if (place.line != state->meeting.line || strcmp(place.file, state->meeting.file) != 0)
    abandon(text(name_of(*state->current), " is at the barrier of line ", place.line,
                 " while others wait at that of line ", state->meeting.line));
  open_barrier_if_all_arrived();
  if (state->barrier == seen) wait_for_change(state->barrier, seen);
}

void Slots::check_lane(int lane) const {
  if (lane < 0 || lane >= kWarp || !(mask >> lane & 1))
    abandon(text(name_of(*state->current), " reads lane ", lane, ", which its exchange's mask leaves out"));
}

const Slots* exchange(unsigned mask, const void* value, size_t size) {
  const Running& self = *state->current;
  const auto own = static_cast<unsigned>(self.self.lane);
  if (!(mask >> own & 1)) abandon(text(name_of(self), " is not in the mask of its own exchange"));
  Exchange* e = state->warps[self.linear / kWarp].of(mask);
  if (!e) abandon(text(name_of(self), ": more masks in a warp than the emulation keeps apart"));
  const unsigned turn = e->turn;
  Slots& slots = e->slots[turn & 1];
  slots.mask = mask;
  if (size > 0) memcpy(slots.bytes[own], value, size);
  e->arrived |= 1u << own;
  if (e->arrived == mask) {
    e->arrived = 0;
    ++e->turn;
  } else {
    wait_for_change(e->turn, turn);
  }
  return &slots;
}

void* shared_memory(size_t bytes, size_t alignment) {
  State& s = *state;
  if (!s.shared) {
    if (bytes > kMaxSharedBytes || alignment > alignof(std::max_align_t))
      abandon(text("a block asks for ", bytes, " bytes of shared memory aligned to ", alignment));
    s.shared.reset(new unsigned char[bytes]);  // exactly as long, for AddressSanitizer
    s.shared_bytes = bytes;
    memset(s.shared.get(), kPoison, bytes);
  }
  if (bytes != s.shared_bytes) abandon("the threads of a block ask for different amounts of shared memory");
  return s.shared.get();
}

void copy_later(void* to, const void* from, size_t bytes) {
  const auto* source = static_cast<const unsigned char*>(from);
  auto data = source ? std::vector<unsigned char>(source, source + bytes) : std::vector<unsigned char>(bytes);
  state->current->open_group.push_back({to, std::move(data)});
  memset(to, kPoison, bytes);
}

void end_copy_group() {
  Running& self = *state->current;
  self.copy_groups.push_back(std::move(self.open_group));
  self.open_group.clear();
}

void wait_for_copies(int groups_left) {
  auto& groups = state->current->copy_groups;
  while (groups.size() > static_cast<size_t>(groups_left)) {
    for (const PendingCopy& copy : groups.front()) memcpy(copy.to, copy.bytes.data(), copy.bytes.size());
    groups.pop_front();
  }
}

void run(const void* kernel, dim3 grid, dim3 threads, void (*body)(const void*), const void* context) {
  const std::lock_guard<std::mutex> one(launches);
  const size_t count = size_t(threads.x) * threads.y * threads.z;
  check(count > 0 && count <= kMaxThreads, "a launch of ", count, " threads a block, wanted 1 to ", kMaxThreads);
  check(grid.x > 0 && grid.y > 0 && grid.z > 0 && grid.y < 65536 && grid.z < 65536, "a launch of a grid of (", grid.x,
        ", ", grid.y, ", ", grid.z, ") blocks");
  const uint64_t launch = seed_of_launches++;
  ++launches_of[kernel];
  constexpr Schedule kinds[] = {Schedule::forward, Schedule::backward, Schedule::shuffled};
  const Schedule schedule = chosen == Schedule::varied ? kinds[launch % 3] : chosen;
  State fresh;
  state = &fresh;
  fresh.block.grid = grid;
  fresh.block.threads = threads;
  fresh.body = body;
  fresh.context = context;
  fresh.threads.resize(count);
  fresh.warps.resize((count + kWarp - 1) / kWarp);
  Order of_threads(schedule, launch, count), of_blocks(schedule, ~launch, size_t(grid.x) * grid.y * grid.z);
  try {
    for (const size_t b : of_blocks.next())
      run_block({static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                 static_cast<unsigned>(b / grid.x / grid.y)},
                of_threads);
  } catch (...) {
    state = nullptr;
    throw;
  }
  state = nullptr;
}

std::map<size_t, int64_t> launches_by_offset() {
  const std::lock_guard<std::mutex> one(launches);
  Dl_info module{};
  dladdr(reinterpret_cast<const void*>(&launches_by_offset), &module);
  std::map<size_t, int64_t> counts;
  for (const auto& [kernel, count] : launches_of)
    counts[static_cast<size_t>(static_cast<const char*>(kernel) - static_cast<const char*>(module.dli_fbase))] = count;
  return counts;
}

}  // namespace tinydl::emulation
