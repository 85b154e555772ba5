/// Recurrent stacks by our own kernels. The stepwise algorithm uses one product for h_{t-1} R^T and
/// one fused gate kernel per timestep, for all cells that can advance at the same time. The
/// persistent algorithm uses one kernel for all timesteps of a layer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cuda/device/device.h"
#include "cuda/recurrent/recurrent_weights.h"
#include "unroll/backend.h"

namespace unroll::gpu {

/// How our own kernels compute one pass.
struct PassAlgorithm {
  std::int64_t block =
      0;  // timesteps K of a wavefront's blocks (wavefront.h); 0: layer after layer
  bool persistent = false;

  bool operator==(const PassAlgorithm&) const = default;
};
/// "stepwise", "stepwise:K" or "persistent".
std::string to_string(const PassAlgorithm& algorithm);

struct StackAlgorithm {
  PassAlgorithm forward{}, backward{};

  bool operator==(const StackAlgorithm&) const = default;
};
/// One name if both passes use the same algorithm, otherwise "FORWARD+BACKWARD".
std::string to_string(const StackAlgorithm& algorithm);

/// `weights` provides padded copies of the weights, see recurrent_weights.h. It must outlive the
/// plan.
std::unique_ptr<RecurrentPlan> make_stack_plan(SharedWeightCopies& weights,
                                               const RecurrentArgs& args,
                                               const StackAlgorithm& algorithm);

}  // namespace unroll::gpu
