#include "host/cpu/recurrent/layer_norm.h"

#include <cmath>

#include "host/cpu/kernels.h"
#include "unroll/cells/lstm.h"

namespace unroll::host {
namespace {

/// The sum of what block(offset) returns for each block.
template <typename Block>
float sum_over(const NormBlocks& blocks, const Block& block) {
  float sum = 0;
  for (std::int64_t k = 0; k < blocks.count; ++k) sum += block(k * blocks.stride);
  return sum;
}

}  // namespace

float normalize(const NormBlocks& blocks, float* x) {
  const RowKernels& kernels = row_kernels();
  const auto elements = float(blocks.count * blocks.n);
  const float mean =
      sum_over(blocks, [&](std::int64_t at) { return kernels.sum(x + at, blocks.n); }) / elements;
  const float variance = sum_over(blocks,
                                  [&](std::int64_t at) {
                                    kernels.shift(x + at, mean, 0, x + at, blocks.n);
                                    return kernels.dot(x + at, x + at, blocks.n);
                                  }) /
                         elements;
  const float scale = 1 / std::sqrt(variance + cells::kNormEpsilon);
  for (std::int64_t k = 0; k < blocks.count; ++k)
    kernels.scale(x + k * blocks.stride, scale, blocks.n);
  return scale;
}

void normalize_backward(const NormBlocks& blocks, const float* y, float scale, float* d) {
  const RowKernels& kernels = row_kernels();
  const auto elements = float(blocks.count * blocks.n);
  const float mean =
      sum_over(blocks, [&](std::int64_t at) { return kernels.sum(d + at, blocks.n); }) / elements;
  const float slope =
      sum_over(blocks, [&](std::int64_t at) { return kernels.dot(d + at, y + at, blocks.n); }) /
      elements;
  for (std::int64_t k = 0; k < blocks.count; ++k) {
    float* const part = d + k * blocks.stride;
    kernels.shift(part, mean, 0, part, blocks.n);
    kernels.accumulate_scaled(y + k * blocks.stride, -slope, part, blocks.n);
    kernels.scale(part, scale, blocks.n);
  }
}

}  // namespace unroll::host
