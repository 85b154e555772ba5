/// Draws from rows of log probabilities: for each a sort, then one block that draws.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/device/device.h"
#include "unroll/kernels/random.h"

namespace unroll::gpu {

std::size_t sample_scratch_bytes(std::int64_t ids);
void sample(Device& device, const Sample& args);

}  // namespace unroll::gpu
