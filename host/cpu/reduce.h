/// Sums, extremes and their places over axes.
#pragma once

#include "host/cpu/device.h"
#include "unroll/kernels/tensor.h"

namespace unroll::host {

void reduce(Device& device, const Reduce& args);

}  // namespace unroll::host
