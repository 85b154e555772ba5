/// Recurrent stacks by our own kernels. The stepwise algorithm queues products and fused kernels
/// for each timestep, for all cells that can advance at the same time. The
/// persistent algorithm uses one kernel for all timesteps of a layer.
#pragma once

#include <memory>

#include "cuda/device/device.h"
#include "cuda/recurrent/recurrent_weights.h"
#include "unroll/kernels/recurrent.h"

namespace unroll::gpu {

/// `weights` provides padded copies of the weights, see recurrent_weights.h. It must outlive the
/// plan.
std::unique_ptr<RecurrentPlan> make_stack_plan(SharedWeightCopies& weights,
                                               const RecurrentArgs& args,
                                               const StackAlgorithm& algorithm);

}  // namespace unroll::gpu
