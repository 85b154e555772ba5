/// A random permutation: ids sorted by their random words.
#pragma once

#include "cuda/device/device.h"
#include "unroll/kernels/random.h"

namespace unroll::gpu {

std::size_t permutation_scratch_bytes(std::int64_t ids);
void permutation(Device& device, const Permutation& args);

}  // namespace unroll::gpu
