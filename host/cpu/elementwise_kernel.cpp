/// Elementwise operations that take and give float32, by packets.
#include "host/cpu/kernels.h"
#include "host/cpu/packet.h"
#include "unroll/kernels/elementwise.h"

namespace unroll::host::UNROLL_ISA {
namespace {

using Kind = ElementwiseKind;

UNROLL_INLINE Packet load_step(const float* p, int step, std::int64_t i) {
  return step == 0 ? Packet(*p) : load(p + i);
}

UNROLL_INLINE Packet load_step(const float* p, int step, std::int64_t i, std::int64_t n) {
  return step == 0 ? Packet(*p) : load(p + i, n);
}

template <typename Function>
UNROLL_INLINE void map_with(std::int64_t n, const float* a, int a_step, const float* b, int b_step,
                            float* out, const Function& f) {
  std::int64_t i = 0;
  for (; i + kPacketWidth <= n; i += kPacketWidth)
    store(out + i, f(load_step(a, a_step, i), load_step(b, b_step, i)));
  if (i < n)
    store(out + i, f(load_step(a, a_step, i, n - i), load_step(b, b_step, i, n - i)), n - i);
}

/// Whether it may give an operand as it is. Subnormal ones must become zero.
constexpr bool passes_through(Kind kind) {
  return kind == Kind::kRelu || kind == Kind::kLeakyRelu || kind == Kind::kFinite ||
         kind == Kind::kAbs || kind == Kind::kMaximum || kind == Kind::kMinimum ||
         kind == Kind::kClip || kind == Kind::kClipGradient;
}

void map(Kind kind, std::int64_t n, const float* a, int a_step, const float* b, int b_step,
         float* out, float alpha, float beta) {
  if (!b) {
    b = a;  // never used, but loaded
    b_step = a_step;
  }
  const Packet first(alpha), second(beta);
  with_kind<float>(kind, [&](auto constant) {
    constexpr Kind kKind = decltype(constant)::value;
    if constexpr (!gives_bool(kKind))
      map_with(n, a, a_step, b, b_step, out, [&](Packet x, Packet y) {
        const Packet result = element<kKind>(x, y, first, second);
        return passes_through(kKind) ? flushed(result) : result;
      });
  });
}

}  // namespace

extern const ElementwiseKernels kElementwiseKernels;
const ElementwiseKernels kElementwiseKernels = {map};

}  // namespace unroll::host::UNROLL_ISA
