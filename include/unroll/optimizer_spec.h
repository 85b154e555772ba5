/// Which optimiser, with which numbers: what optimizer.h and the devices agree on.
#pragma once

#include <cstdint>

namespace unroll {

enum class OptimizerKind : std::uint8_t { kSgd, kMomentum, kRmsProp, kAdam, kAdamW };

/// p is a parameter, g its gradient, lr the learning rate.
struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::kSgd;  // p -= lr g
  float momentum = 0.9F;                     // kMomentum: v = momentum v + g;  p -= lr v
  float decay = 0.99F;  // kRmsProp: s = decay s + (1 - decay) g^2;  p -= lr g / (sqrt s + eps)
  float beta1 = 0.9F, beta2 = 0.999F;  // kAdam, kAdamW: bias-corrected moments
  float epsilon = 1e-8F;
  /// kAdamW: p -= lr weight_decay p. All others: g += weight_decay p, after clipping, as in
  /// PyTorch.
  float weight_decay = 0;
  float clip_norm = 0;   // scales all gradients so that their joint norm is at most this; 0: off
  float clip_value = 0;  // then bounds each element to [-clip_value, clip_value]; 0: off
};

}  // namespace unroll
