/// Sums of windows that overlap.
#pragma once

#include "cuda/device/device.h"
#include "unroll/kernels/array.h"

namespace unroll::gpu {

void fold(Device& device, const Fold& args);

}  // namespace unroll::gpu
