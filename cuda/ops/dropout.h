/// Dropout, with the same masks as on the CPU.
#pragma once

#include "cuda/device/device.h"
#include "unroll/kernels/random.h"

namespace unroll::gpu {

void dropout(Device& device, const Dropout& args);

}  // namespace unroll::gpu
