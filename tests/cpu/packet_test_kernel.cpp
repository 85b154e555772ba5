/// Compiled once per instruction set, like every kernel file (see host/cpu/isa.h).
#include "tests/cpu/packet_test_kernel.h"

#include <cmath>

#include "host/cpu/packet.h"

namespace unroll::host::UNROLL_ISA {
namespace {

template <typename T>
T logistic(T x) {
  using std::exp;
  return T(1) / (T(1) + exp(-x));
}

template <typename Function>
void map(const float* x, float* y, std::int64_t n, Function f) {
  std::int64_t i = 0;
  for (; i + kPacketWidth <= n; i += kPacketWidth) store(y + i, f(load(x + i)));
  store(y + i, f(load(x + i, n - i)), n - i);
}

template <typename Function>
void map(const float* a, const float* b, float* y, std::int64_t n, Function f) {
  std::int64_t i = 0;
  for (; i + kPacketWidth <= n; i += kPacketWidth) store(y + i, f(load(a + i), load(b + i)));
  store(y + i, f(load(a + i, n - i), load(b + i, n - i)), n - i);
}

// A closure without captures can be constructed from its type, so it needs no storage.
template <typename Function>
constexpr PacketTestKernels::Unary unary(Function) {
  return [](const float* x, float* y, std::int64_t n) { map(x, y, n, Function{}); };
}

template <typename Function>
constexpr PacketTestKernels::Binary binary(Function) {
  return
      [](const float* a, const float* b, float* y, std::int64_t n) { map(a, b, y, n, Function{}); };
}

template <typename Function>
constexpr PacketTestKernels::Binary test(Function) {
  return [](const float* a, const float* b, float* y, std::int64_t n) {
    map(a, b, y, n, [](Packet u, Packet v) { return select(Function{}(u, v), 1.0f, 0.0f); });
  };
}

}  // namespace

extern const PacketTestKernels kPacketTestKernels = {
    kPacketWidth,
    unary([](Packet x) { return exp(x); }),
    unary([](Packet x) { return tanh(x); }),
    unary([](Packet x) { return log(x); }),
    unary([](Packet x) { return sqrt(x); }),
    unary([](Packet x) { return abs(x); }),
    unary([](Packet x) { return -x; }),
    unary([](Packet x) { return logistic(x); }),
    binary([](Packet a, Packet b) { return a + b; }),
    binary([](Packet a, Packet b) { return a - b; }),
    binary([](Packet a, Packet b) { return a * b; }),
    binary([](Packet a, Packet b) { return a / b; }),
    binary([](Packet a, Packet b) { return min(a, b); }),
    binary([](Packet a, Packet b) { return max(a, b); }),
    binary([](Packet a, Packet b) { return copysign(a, b); }),
    test([](Packet a, Packet b) { return a < b; }),
    test([](Packet a, Packet b) { return a <= b; }),
    test([](Packet a, Packet b) { return a == b; }),
    test([](Packet a, Packet b) { return a != b; }),
    test([](Packet a, Packet b) { return a > b; }),
    test([](Packet a, Packet b) { return a >= b; }),
    test([](Packet a, Packet b) { return (a < b) & !((a < -b) | (a == -b)); }),
    binary([](Packet a, Packet b) { return fma(a, b, a); }),
    [](const float* x) { return horizontal_sum(load(x)); },
    [](const float* x) { return horizontal_max(load(x)); },
};

}  // namespace unroll::host::UNROLL_ISA
