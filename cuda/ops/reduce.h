/// Sums and maxima over dimensions of a tensor. The order of the additions depends on the shape
/// alone.
#pragma once

#include "cuda/device/device.h"
#include "unroll/backend.h"

namespace unroll::gpu {

void reduce(Device& device, const Reduce& args);

}  // namespace unroll::gpu
