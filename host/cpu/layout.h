/// Copies of regions: slices, concatenations, transpositions. And fillings around them.
#pragma once

#include "host/cpu/device.h"
#include "unroll/kernels/array.h"
#include "unroll/kernels/tensor.h"

namespace unroll::host {

void copy_region(Device& device, const CopyRegion& args);
void fill(Device& device, const Fill& args);

}  // namespace unroll::host
