/// A product of two matrices, either of them transposed or not.
#pragma once

#include "host/cpu/device.h"
#include "unroll/backend.h"

namespace unroll::host {

void matmul(Device& device, const Matmul& args);

}  // namespace unroll::host
