/// Recurrent stacks by cuDNN: as one stack of its own where layers are of one size and nothing is
/// dropped between them, else as several, with our dropout in between.
///
/// A bare form is for a benchmark of cuDNN without the seam. Its plans compute what they are given
/// in the first forward and the first backward pass after each prepare(). In all later passes they
/// only call cuDNN, on what those have left in its types in the reserve and the scratch memory, and
/// clear the space into which it adds gradients: nothing is converted or brought back.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "cuda/cudnn/cudnn.h"
#include "cuda/cudnn/cudnn_stack.h"
#include "cuda/device/device.h"
#include "unroll/backend.h"

namespace unroll::gpu {

class CudnnWeights;

/// Makes plans, and keeps the weights' copies, which plans over the same variables share.
class CudnnPlanner {
 public:
  /// Throws Unsupported where cuDNN is not installed.
  CudnnPlanner(Device& device, const CudnnForm& form);

  /// Throws Unsupported for what cuDNN does not do.
  std::unique_ptr<RecurrentPlan> plan(const RecurrentArgs& args);
  std::shared_ptr<CudnnWeights> weights(std::span<const CudnnStack> stacks,
                                        std::span<const RecurrentWeights> weights);

 private:
  /// Where cuDNN wants each part, and the variables.
  using Key = std::pair<std::vector<std::size_t>, std::vector<const void*>>;

  Device& device_;
  CudnnContext context_;
  std::map<Key, std::weak_ptr<CudnnWeights>> weights_;
};

}  // namespace unroll::gpu
