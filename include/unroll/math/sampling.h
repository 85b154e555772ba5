/// The parts of drawing from log probabilities: the order of the ids, and their weights.
#pragma once

#include <cmath>
#include <cstdint>

#include "unroll/host_device.h"

namespace unroll::math {

/// Sorting these keys in ascending order sorts log probabilities in descending order. Both zeros
/// have the same key; a NaN has the least.
UNROLL_HD inline std::uint32_t descending_key(float log_prob) {
  if (std::isnan(log_prob)) return 0;
  const auto bits = __builtin_bit_cast(std::uint32_t, log_prob == 0 ? 0.0F : log_prob);
  return bits >> 31 != 0 ? bits : ~(bits | 0x80000000u);
}

/// The log probability with this key.
UNROLL_HD inline float log_prob_of(std::uint32_t key) {
  return __builtin_bit_cast(float, key >> 31 != 0 ? key : ~key & 0x7FFFFFFFu);
}

/// Proportional to p^(1 / temperature), and 1 for the most probable id. temperature > 0.
UNROLL_HD inline double sampling_weight(float log_prob, float best, double temperature) {
  return std::exp((double(log_prob) - double(best)) / temperature);
}

}  // namespace unroll::math
