#include "host/bench/fma_rate.h"
#include "host/cpu/packet.h"

namespace unroll::host::UNROLL_ISA {
namespace {

float multiply_add(long rounds) {
  constexpr int kChains = benchmark::kFmaChains;
  Packet chain[kChains];
  for (int k = 0; k < kChains; ++k) chain[k] = Packet(float(k));
  const Packet factor(0.5F), term(1.0F);
  for (long round = 0; round < rounds; ++round) {
    // Unrolled to keep the chains in registers.
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) chain[k] = fma(chain[k], factor, term);
  }
  float sum = 0;
  for (int k = 0; k < kChains; ++k)
    for (int lane = 0; lane < kPacketWidth; ++lane) sum += chain[k].v[lane];
  return sum;
}

}  // namespace

extern const benchmark::FmaKernels kFmaKernels;
const benchmark::FmaKernels kFmaKernels = {kPacketWidth, multiply_add};

}  // namespace unroll::host::UNROLL_ISA
