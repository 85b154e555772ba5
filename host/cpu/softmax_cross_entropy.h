/// Decoder, softmax and cross-entropy as one node.
#pragma once

#include <memory>

#include "host/cpu/device.h"
#include "unroll/kernels/loss.h"

namespace unroll::host {

std::unique_ptr<SoftmaxCrossEntropyPlan> make_softmax_cross_entropy_plan(
    Device& device, const SoftmaxCrossEntropyArgs& args);

}  // namespace unroll::host
