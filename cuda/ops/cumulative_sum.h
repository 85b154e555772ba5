/// Running sums along an axis.
#pragma once

#include "cuda/device/device.h"
#include "unroll/kernels/array.h"

namespace unroll::gpu {

void cumulative_sum(Device& device, const CumulativeSum& args);

}  // namespace unroll::gpu
