/// Plans recurrent stacks by the requested algorithm, or by the fastest.
#pragma once

#include <memory>

#include "cuda/cudnn/recurrent_cudnn.h"
#include "cuda/device/device.h"
#include "cuda/recurrent/recurrent.h"
#include "cuda/recurrent_choices.h"
#include "unroll/kernels/recurrent.h"

namespace unroll::gpu {

/// Makes plans, times candidates if the algorithm is automatic, and keeps the copies of the
/// weights, which all plans over the same variables share.
class RecurrentPlanner {
 public:
  /// Throws Unsupported for an algorithm whose library is not installed.
  RecurrentPlanner(Device& device, const RecurrentAlgorithm& algorithm);

  /// The requested algorithm or, if that is automatic, the one chosen last.
  RecurrentAlgorithm algorithm() const;
  /// Throws Unsupported if the requested algorithm cannot compute it. What was chosen gives way to
  /// stepwise instead.
  std::unique_ptr<RecurrentPlan> plan(const RecurrentArgs& args);

 private:
  /// For the algorithm auto.
  StackAlgorithm choose(const RecurrentArgs& args);
  StackAlgorithm fastest(const RecurrentArgs& args);
  bool can_take(const RecurrentArgs& args, const PassAlgorithm& pass, bool backward) const;

  Device& device_;
  RecurrentAlgorithm algorithm_;
  RecurrentChoices choices_;             // if the algorithm is automatic
  std::unique_ptr<CudnnPlanner> cudnn_;  // null unless cuDNN is the algorithm
  SharedWeightCopies copies_;
};

}  // namespace unroll::gpu
