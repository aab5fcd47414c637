// Stacks of their own between which one thread of the system switches: the emulated GPU's threads.
#pragma once
#include <cstddef>
#include <memory>

namespace tinydl::emulation {

// Runs body(argument) on its own stack. The body never returns: it hands control back with `leave`, and goes on after
// it at the next `enter`.
class Fiber {
 public:
  using Body = void (*)(void* argument);

  Fiber(Body body, void* argument);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void enter();
  void leave();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace tinydl::emulation
