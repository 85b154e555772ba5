/// Arithmetic on single elements, with broadcasting.
#pragma once

#include "cuda/device/device.h"
#include "unroll/kernels/tensor.h"

namespace unroll::gpu {

void elementwise(Device& device, const Elementwise& args);
void cast(Device& device, const Cast& args);
void where(Device& device, const Where& args);

}  // namespace unroll::gpu
