/// A separate stack for each thread of a block. A switch costs a few nanoseconds: there is no
/// system call, and only the registers that a function call preserves are saved.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulation {

class Fiber {
 public:
  /// The current stack of the calling thread.
  Fiber() = default;
  /// A new stack. The first switch to it calls `entry` there, which must not return.
  explicit Fiber(void (*entry)());
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Switches from this fiber, which must be the running one; returns when another switches back.
  void switch_to(Fiber& other);

 private:
  static void start();

  void (*entry_)() = nullptr;
  std::byte* stack_ = nullptr;  // lowest address; AddressSanitizer knows it and the size
  std::size_t stack_bytes_ = 0;
#if defined(__x86_64__)
  void* stack_pointer_ = nullptr;
#else
  ucontext_t context_;
#endif
};

}  // namespace emulation
