/// A stack of its own for each thread of a block. Switching costs a few nanoseconds: no system
/// call, and only the registers that a function call preserves.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulation {

class Fiber {
 public:
  /// The stack on which everything runs already.
  Fiber() = default;
  /// A new stack. `entry` runs there when it is first switched to, and must not return.
  explicit Fiber(void (*entry)());
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Leaves this fiber, which must be the one that runs; returns when another switches back to it.
  void switch_to(Fiber& other);

 private:
  static void start();

  void (*entry_)() = nullptr;
  std::byte* stack_ = nullptr;  // lowest address; known to AddressSanitizer, like the size
  std::size_t stack_bytes_ = 0;
#if defined(__x86_64__)
  void* stack_pointer_ = nullptr;
#else
  ucontext_t context_;
#endif
};

}  // namespace emulation
