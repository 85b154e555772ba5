#include "tests/cuda_emulation/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulation {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kStackBytes = 256 << 10;  // its frames are larger
#else
constexpr std::size_t kStackBytes = 64 << 10;
#endif
constexpr std::size_t kGuardBytes = 4096;

Fiber* left = nullptr;     // the origin of the last switch
Fiber* arrived = nullptr;  // and its target

}  // namespace

#if defined(__x86_64__)
extern "C" void unroll_switch_stack(void** from, void* to);
asm(R"(
.text
.type unroll_switch_stack, @function
unroll_switch_stack:
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
.size unroll_switch_stack, .-unroll_switch_stack
)");
#endif

Fiber::Fiber(void (*entry)()) : entry_(entry), stack_bytes_(kStackBytes) {
  void* const memory = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, kGuardBytes, PROT_NONE) != 0) throw std::bad_alloc();
  stack_ = static_cast<std::byte*>(memory) + kGuardBytes;
#if defined(__x86_64__)
  // Stack tops that are a power of two apart would share few cache lines.
  static std::size_t made = 0;
  std::byte* const top = stack_ + stack_bytes_ - 64 * (1 + made++ % 64);
  void** const frame = reinterpret_cast<void**>(top) - 8;
  for (int k = 0; k < 8; ++k) frame[k] = nullptr;     // six registers; [7] ends backtraces
  frame[6] = reinterpret_cast<void*>(&Fiber::start);  // the first switch returns there
  stack_pointer_ = frame;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_;
  context_.uc_stack.ss_size = stack_bytes_;
  makecontext(&context_, &Fiber::start, 0);
#endif
}

void Fiber::start() {
#if defined(__SANITIZE_ADDRESS__)
  const void* stack = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(nullptr, &stack, &bytes);
  if (!left->entry_) {  // the own stack of a thread; next time it may be another thread
    left->stack_ = static_cast<std::byte*>(const_cast<void*>(stack));
    left->stack_bytes_ = bytes;
  }
#endif
  arrived->entry_();
}

void Fiber::switch_to(Fiber& other) {
  if (&other == this) return;
  left = this;
  arrived = &other;
#if defined(__SANITIZE_ADDRESS__)
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, other.stack_, other.stack_bytes_);
#endif
#if defined(__x86_64__)
  unroll_switch_stack(&stack_pointer_, other.stack_pointer_);
#else
  swapcontext(&context_, &other.context_);
#endif
#if defined(__SANITIZE_ADDRESS__)
  const void* stack = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(fake_stack, &stack, &bytes);
  if (!left->entry_) {  // the own stack of a thread; next time it may be another thread
    left->stack_ = static_cast<std::byte*>(const_cast<void*>(stack));
    left->stack_bytes_ = bytes;
  }
#endif
}

}  // namespace emulation
