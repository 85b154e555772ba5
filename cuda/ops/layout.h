/// Copies between layouts: slices, concatenation, transposition. And fillings around them.
#pragma once

#include "cuda/device/device.h"
#include "unroll/kernels/array.h"
#include "unroll/kernels/tensor.h"

namespace unroll::gpu {

void copy_region(Device& device, const CopyRegion& args);
void fill(Device& device, const Fill& args);

}  // namespace unroll::gpu
