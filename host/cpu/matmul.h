/// Products of matrices, each optionally transposed, and of stacks of them.
#pragma once

#include "host/cpu/device.h"
#include "unroll/kernels/tensor.h"

namespace unroll::host {

void matmul(Device& device, const Matmul& args);

}  // namespace unroll::host
