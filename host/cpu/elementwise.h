/// Elementwise operations, with broadcasting. Those on float32 run in vector registers, those that
/// take or give another element type in plain loops.
#pragma once

#include "host/cpu/device.h"
#include "unroll/kernels/tensor.h"

namespace unroll::host {

void elementwise(Device& device, const Elementwise& args);
void cast(Device& device, const Cast& args);
void where(Device& device, const Where& args);

}  // namespace unroll::host
