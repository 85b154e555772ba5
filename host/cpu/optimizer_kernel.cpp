/// Optimiser updates, one pass over parameter, gradient and slots.
#include "host/cpu/kernels.h"
#include "host/cpu/packet.h"

namespace unroll::host::UNROLL_ISA {
namespace {

float sum_of_squares(const float* x, std::int64_t n) {
  Packet total(0.0f);
  std::int64_t i = 0;
  for (; i + kPacketWidth <= n; i += kPacketWidth) {
    const Packet v = load(x + i);
    total = fma(v, v, total);
  }
  if (i < n) {
    const Packet v = load(x + i, n - i);
    total = fma(v, v, total);
  }
  return horizontal_sum(total);
}

struct Element {
  Packet p, g, slot0, slot1;
};

/// Calls f for every element; f changes p and the slots. `slots` is their number.
template <int slots, typename Function>
UNROLL_INLINE void for_each_element(const UpdateArgs& a, std::int64_t n, float* parameter,
                                    const float* gradient, float* slot0, float* slot1,
                                    const Function& f) {
  const Packet scale(a.gradient_scale), bound(a.clip_value), decay(a.weight_decay);
  const bool clips = a.clip_value > 0;
  const bool decays = a.weight_decay > 0 && a.kind != OptimizerKind::kAdamW;
  for (std::int64_t i = 0; i < n; i += kPacketWidth) {
    const std::int64_t count = n - i < kPacketWidth ? n - i : kPacketWidth;
    Element e{load(parameter + i, count),
              gradient ? load(gradient + i, count) * scale : Packet(0.0f), Packet(0.0f),
              Packet(0.0f)};
    if (clips) e.g = max(min(e.g, bound), -bound);
    if (decays) e.g = fma(decay, e.p, e.g);
    if (slots > 0) e.slot0 = load(slot0 + i, count);
    if (slots > 1) e.slot1 = load(slot1 + i, count);
    f(e);
    store(parameter + i, e.p, count);
    if (slots > 0) store(slot0 + i, e.slot0, count);
    if (slots > 1) store(slot1 + i, e.slot1, count);
  }
}

void update(const UpdateArgs& a, std::int64_t n, float* parameter, const float* gradient,
            float* slot0, float* slot1) {
  const Packet lr(a.learning_rate), one(1.0f), epsilon(a.epsilon);
  switch (a.kind) {
    case OptimizerKind::kSgd:
      return for_each_element<0>(a, n, parameter, gradient, slot0, slot1,
                                 [&](Element& e) { e.p -= lr * e.g; });
    case OptimizerKind::kMomentum: {
      const Packet momentum(a.momentum);
      return for_each_element<1>(a, n, parameter, gradient, slot0, slot1, [&](Element& e) {
        e.slot0 = fma(momentum, e.slot0, e.g);
        e.p -= lr * e.slot0;
      });
    }
    case OptimizerKind::kRmsProp: {
      const Packet decay(a.decay), rest = one - decay;
      return for_each_element<1>(a, n, parameter, gradient, slot0, slot1, [&](Element& e) {
        e.slot0 = fma(decay, e.slot0, rest * e.g * e.g);
        e.p -= lr * e.g / (sqrt(e.slot0) + epsilon);
      });
    }
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW: {
      const Packet beta1(a.beta1), beta2(a.beta2), rest1 = one - beta1, rest2 = one - beta2;
      const Packet correction1(a.correction1), correction2(a.correction2);
      const Packet keep(a.kind == OptimizerKind::kAdamW ? 1.0f - a.learning_rate * a.weight_decay
                                                        : 1.0f);
      return for_each_element<2>(a, n, parameter, gradient, slot0, slot1, [&](Element& e) {
        e.slot0 = fma(beta1, e.slot0, rest1 * e.g);
        e.slot1 = fma(beta2, e.slot1, rest2 * e.g * e.g);
        const Packet step = e.slot0 * correction1 / (sqrt(e.slot1 * correction2) + epsilon);
        e.p = e.p * keep - lr * step;
      });
    }
  }
}

}  // namespace

extern const OptimizerKernels kOptimizerKernels;
const OptimizerKernels kOptimizerKernels = {sum_of_squares, update};

}  // namespace unroll::host::UNROLL_ISA
