/// Elementwise operations, written once per kind as a functor over packets.
#include "host/cpu/kernels.h"
#include "host/cpu/packet.h"
#include "unroll/cells/activations.h"

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

void map(Kind kind, std::int64_t n, const float* a, int a_step, const float* b, int b_step,
         float* out, float alpha, float beta) {
  if (!b) {
    b = a;  // never used, but loaded
    b_step = a_step;
  }
  const auto with = [&](const auto& f) { map_with(n, a, a_step, b, b_step, out, f); };
  const Packet one(1.0f), zero(0.0f);
  switch (kind) {
    case Kind::kCopy:
      return with([](Packet x, Packet) { return x; });
    case Kind::kAffine: {
      const Packet scale(alpha), shift(beta);
      return with([=](Packet x, Packet) { return x * scale + shift; });
    }
    case Kind::kAdd:
      return with([](Packet x, Packet y) { return x + y; });
    case Kind::kSubtract:
      return with([](Packet x, Packet y) { return x - y; });
    case Kind::kMultiply:
      return with([](Packet x, Packet y) { return x * y; });
    case Kind::kDivide:
      return with([](Packet x, Packet y) { return x / y; });
    case Kind::kTanh:
      return with([](Packet x, Packet) { return tanh(x); });
    case Kind::kLogistic:
      return with([](Packet x, Packet) { return cells::logistic(x); });
    case Kind::kRelu:
      return with([](Packet x, Packet) { return flushed(cells::relu(x)); });
    case Kind::kExp:
      return with([](Packet x, Packet) { return exp(x); });
    case Kind::kLog:
      return with([](Packet x, Packet) { return log(x); });
    case Kind::kEqual:
      return with([=](Packet x, Packet y) { return select(x == y, one, zero); });
    case Kind::kFinite:  // infinity - infinity is NaN
      return with([=](Packet x, Packet) { return flushed(select(x - x == zero, x, zero)); });
    case Kind::kTanhGradient:
      return with(
          [](Packet y, Packet dy) { return dy * cells::derivative<cells::Activation::kTanh>(y); });
    case Kind::kLogisticGradient:
      return with([](Packet y, Packet dy) {
        return dy * cells::derivative<cells::Activation::kLogistic>(y);
      });
    case Kind::kReluGradient:
      return with(
          [](Packet y, Packet dy) { return dy * cells::derivative<cells::Activation::kRelu>(y); });
  }
}

}  // namespace

extern const ElementwiseKernels kElementwiseKernels;
const ElementwiseKernels kElementwiseKernels = {map};

}  // namespace unroll::host::UNROLL_ISA
