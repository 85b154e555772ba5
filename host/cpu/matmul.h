/// A product of two matrices, each optionally transposed.
#pragma once

#include "host/cpu/device.h"
#include "unroll/kernels/tensor.h"

namespace unroll::host {

void matmul(Device& device, const Matmul& args);

}  // namespace unroll::host
