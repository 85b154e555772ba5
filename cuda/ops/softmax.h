/// Softmax over the last dimension, its logarithm, and the gradients of both.
#pragma once

#include "cuda/device/device.h"
#include "unroll/kernels/tensor.h"

namespace unroll::gpu {

void softmax(Device& device, const Softmax& args);
void softmax_gradient(Device& device, const SoftmaxGradient& args);

}  // namespace unroll::gpu
