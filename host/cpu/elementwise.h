/// Elementwise operations, with broadcasting.
#pragma once

#include "host/cpu/device.h"
#include "unroll/kernels/tensor.h"

namespace unroll::host {

void elementwise(Device& device, const Elementwise& args);

}  // namespace unroll::host
