/// Sums of windows that overlap.
#pragma once

#include "host/cpu/device.h"
#include "unroll/kernels/array.h"

namespace unroll::host {

void fold(Device& device, const Fold& args);

}  // namespace unroll::host
