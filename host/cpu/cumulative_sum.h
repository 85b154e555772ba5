/// Running sums along an axis.
#pragma once

#include "host/cpu/device.h"
#include "unroll/kernels/array.h"

namespace unroll::host {

void cumulative_sum(Device& device, const CumulativeSum& args);

}  // namespace unroll::host
