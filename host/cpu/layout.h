/// Copies of regions: slices, concatenations, transpositions.
#pragma once

#include "host/cpu/device.h"
#include "unroll/kernels/tensor.h"

namespace unroll::host {

void copy_region(Device& device, const CopyRegion& args);

}  // namespace unroll::host
