/// Layer norm of single rows: n(x) = (x - mean(x)) / sqrt(variance(x) + kNormEpsilon).
#pragma once

#include <cstdint>

namespace unroll::host {

/// The elements over which mean and variance are taken: `count` blocks of n elements, each `stride`
/// after the one before.
struct NormBlocks {
  std::int64_t count, n, stride;
};

/// x becomes n(x). Returns 1 / sqrt(variance + kNormEpsilon).
float normalize(const NormBlocks& blocks, float* x);

/// d, the gradient of y = n(x), becomes that of x. scale: what normalize() returned.
void normalize_backward(const NormBlocks& blocks, const float* y, float scale, float* d);

}  // namespace unroll::host
