/// Sums, extremes and their places over dimensions of a tensor. The order of additions depends only
/// on the shape.
#pragma once

#include "cuda/device/device.h"
#include "unroll/kernels/tensor.h"

namespace unroll::gpu {

void reduce(Device& device, const Reduce& args);

}  // namespace unroll::gpu
