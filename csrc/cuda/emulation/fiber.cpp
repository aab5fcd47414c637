// A switch of stacks is nine instructions on x86-64; elsewhere POSIX contexts do it, with a system call each.
// AddressSanitizer is told about every switch.
#include "cuda/emulation/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace tinydl::emulation {

namespace {

constexpr size_t kStackBytes = size_t(256) << 10;  // touched pages alone take memory

// What AddressSanitizer remembers of a stack that control has left.
struct Watched {
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  void before_switch(const void* bottom, size_t size) { __sanitizer_start_switch_fiber(&fake, bottom, size); }
  void after_switch(const void** from, size_t* size) { __sanitizer_finish_switch_fiber(fake, from, size); }
#else
  void before_switch(const void*, size_t) {}
  void after_switch(const void**, size_t*) {}
#endif
};

}  // namespace

#if defined(__x86_64__)

// Saves the registers that a function must keep on the stack, that stack's pointer in *from, and takes the other stack.
extern "C" void tinydl_switch_stacks(void** from, void* to);
asm(R"(
  .text
  .type tinydl_switch_stacks, @function
tinydl_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size tinydl_switch_stacks, .-tinydl_switch_stacks
)");

struct Machine {
  void *outside = nullptr, *inside = nullptr;

  void prepare(char* stack, void (*start)()) {
    // `start` is entered as if called: the stack pointer is 8 past a multiple of 16.
    auto** top = reinterpret_cast<void**>(stack + kStackBytes - 64);
    top[0] = reinterpret_cast<void*>(start);
    inside = top - 6;
    for (int i = 1; i <= 6; ++i) top[-i] = nullptr;
  }
  void go_in() { tinydl_switch_stacks(&outside, inside); }
  void go_out() { tinydl_switch_stacks(&inside, outside); }
};

#else

struct Machine {
  ucontext_t outside, inside;

  void prepare(char* stack, void (*start)()) {
    getcontext(&inside);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = kStackBytes;
    inside.uc_link = nullptr;
    makecontext(&inside, start, 0);
  }
  void go_in() { swapcontext(&outside, &inside); }
  void go_out() { swapcontext(&inside, &outside); }
};

#endif

struct Fiber::Context {
  Machine machine;
  Watched inner, outer;
  const void* outer_stack = nullptr;
  size_t outer_size = 0;
  char* stack;
  Body body;
  void* argument;
};

namespace {

thread_local Fiber* entering = nullptr;

}  // namespace

Fiber::Fiber(Body body, void* argument) : context_(new Context) {
  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED) throw std::bad_alloc();
  context_->stack = static_cast<char*>(stack);
  context_->body = body;
  context_->argument = argument;
  context_->machine.prepare(context_->stack, [] {
    Context& c = *entering->context_;
    c.inner.after_switch(&c.outer_stack, &c.outer_size);
    c.body(c.argument);
    __builtin_trap();
  });
}

Fiber::~Fiber() {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(context_->stack, kStackBytes);
#endif
  munmap(context_->stack, kStackBytes);
}

void Fiber::enter() {
  entering = this;
  Context& c = *context_;
  c.outer.before_switch(c.stack, kStackBytes);
  c.machine.go_in();
  c.outer.after_switch(nullptr, nullptr);
}

void Fiber::leave() {
  Context& c = *context_;
  c.inner.before_switch(c.outer_stack, c.outer_size);
  c.machine.go_out();
  c.inner.after_switch(&c.outer_stack, &c.outer_size);
}

}  // namespace tinydl::emulation
