/// Copies between layouts: slices, concatenation, transposition.
#pragma once

#include "cuda/device/device.h"
#include "unroll/kernels/tensor.h"

namespace unroll::gpu {

void copy_region(Device& device, const CopyRegion& args);

}  // namespace unroll::gpu
