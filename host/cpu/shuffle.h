/// A random permutation: ids sorted by their random words.
#pragma once

#include "host/cpu/device.h"
#include "unroll/kernels/random.h"

namespace unroll::host {

std::size_t permutation_scratch_bytes(std::int64_t ids);
void permutation(Device& device, const Permutation& args);

}  // namespace unroll::host
