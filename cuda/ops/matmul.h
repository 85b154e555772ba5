/// Products of matrices, each optionally transposed, and of stacks of them.
#pragma once

#include "cuda/device/device.h"
#include "unroll/kernels/tensor.h"

namespace unroll::gpu {

void matmul(Device& device, const Matmul& args);

}  // namespace unroll::gpu
