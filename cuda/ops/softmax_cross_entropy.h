/// Decoder, softmax and cross-entropy as one node.
#pragma once

#include <memory>

#include "cuda/device/device.h"
#include "unroll/kernels/loss.h"

namespace unroll::gpu {

std::unique_ptr<SoftmaxCrossEntropyPlan> make_softmax_cross_entropy_plan(
    Device& device, const SoftmaxCrossEntropyArgs& args);

}  // namespace unroll::gpu
