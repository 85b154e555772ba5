/// Packet's operations on arrays, for packet_test.cpp: one table per instruction set, defined by
/// the three compilations of packet_test_kernel.cpp.
#pragma once

#include <cstdint>

namespace unroll::host {

struct PacketTestKernels {
  using Unary = void (*)(const float* x, float* y, std::int64_t n);
  using Binary = void (*)(const float* a, const float* b, float* y, std::int64_t n);

  int width;
  // Arrays of any length and alignment; the last packet is partial.
  Unary exp, tanh, log, sqrt, abs, negative;
  Unary logistic;  // a template written for any scalar, instantiated for Packet
  Binary add, subtract, multiply, divide, min, max, copysign;
  Binary less, less_equal, equal, not_equal, greater, greater_equal;  // 1 or 0
  Binary between;                                                     // 1 if a < b and a > -b
  Binary fma;                                                         // a * b + a
  // On one packet.
  float (*sum)(const float* x);
  float (*largest)(const float* x);
};

namespace avx512 {
extern const PacketTestKernels kPacketTestKernels;
}
namespace avx2 {
extern const PacketTestKernels kPacketTestKernels;
}
namespace baseline {
extern const PacketTestKernels kPacketTestKernels;
}

}  // namespace unroll::host
