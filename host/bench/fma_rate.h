/// The arithmetic peak of this CPU, measured.
#pragma once

namespace unroll::benchmark {

/// The floating-point operations per second of this CPU's vector units on this many threads (0: one
/// per processor), executing only multiply-adds in registers.
double fma_rate(int threads);

/// One per instruction set, see host/cpu/isa.h: `rounds` times kFmaChains independent vector
/// multiply-adds. Returns a value so that the compiler keeps them.
struct FmaKernels {
  int width;  // floats per vector
  float (*multiply_add)(long rounds);
};
/// The latency of one, 4 cycles, times the 2 that start per cycle, and some more.
inline constexpr int kFmaChains = 12;

}  // namespace unroll::benchmark
