#pragma once

namespace unroll::benchmark {

/// Floating-point operations a second of this CPU's vector units on so many threads (0: one per
/// processor), when they do nothing but multiply-adds in registers.
double fma_rate(int threads);

/// Of an instruction set, see host/cpu/isa.h: `rounds` times kFmaChains vector multiply-adds that
/// do not wait for each other. Returns a value so that they are not left out.
struct FmaKernels {
  int width;  // floats of a vector
  float (*multiply_add)(long rounds);
};
/// As many as the latency of one times the number that begin in a cycle, 4 x 2, and some more.
inline constexpr int kFmaChains = 12;

}  // namespace unroll::benchmark
