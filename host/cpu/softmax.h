/// Softmax and its logarithm, over rows.
#pragma once

#include "host/cpu/device.h"
#include "unroll/kernels/tensor.h"

namespace unroll::host {

void softmax(Device& device, const Softmax& args);
void softmax_gradient(Device& device, const SoftmaxGradient& args);

}  // namespace unroll::host
