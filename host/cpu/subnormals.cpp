#include "host/cpu/subnormals.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace unroll::host {
namespace {

#if defined(__x86_64__)
// Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, 10.2.3: bit 15 of MXCSR
// flushes results to zero, bit 6 reads operands as zero. AVX and AVX-512 obey them like SSE.
constexpr std::uint64_t kFlush = 0x8040;
std::uint64_t control() {
  return _mm_getcsr();
}
void set_control(std::uint64_t word) {
  _mm_setcsr(static_cast<unsigned>(word));
}
#elif defined(__aarch64__)
// Arm Architecture Reference Manual, FPCR: bit 24 does both.
constexpr std::uint64_t kFlush = std::uint64_t{1} << 24;
std::uint64_t control() {
  std::uint64_t word;
  asm volatile("mrs %0, fpcr" : "=r"(word));
  return word;
}
void set_control(std::uint64_t word) {
  asm volatile("msr fpcr, %0" : : "r"(word));
}
#else
constexpr std::uint64_t kFlush = 0;
std::uint64_t control() {
  return 0;
}
void set_control(std::uint64_t) {}
#endif

}  // namespace

std::uint64_t subnormal_mode() {
  return control() & kFlush;
}

void set_subnormal_mode(std::uint64_t mode) {
  const std::uint64_t now = control();
  if ((now & kFlush) != mode) set_control((now & ~kFlush) | mode);
}

FlushSubnormals::FlushSubnormals() : before_(subnormal_mode()) {
  set_subnormal_mode(kFlush);
}

}  // namespace unroll::host
