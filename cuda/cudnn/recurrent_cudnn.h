/// Recurrent stacks by cuDNN. Layers of one size without dropout between them are one cuDNN stack;
/// otherwise there are several, with our dropout in between.
///
/// A bare form is for benchmarks of cuDNN without the seam. Its plans compute the given values in
/// the first forward and the first backward pass after each prepare(). All later passes only call
/// cuDNN, on the data that those two left in its types in the reserve and the scratch memory, and
/// clear the space into which cuDNN adds gradients: nothing is converted or copied back.
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
#include "unroll/kernels/recurrent.h"

namespace unroll::gpu {

class CudnnWeights;

/// Makes plans, and keeps the copies of the weights, which plans over the same variables share.
class CudnnPlanner {
 public:
  /// Throws Unsupported if cuDNN is not installed.
  CudnnPlanner(Device& device, const CudnnForm& form);

  /// `args.spec`: one that why_not() has nothing against. Throws Unsupported for lengths, and for
  /// what cuDNN itself refuses.
  std::unique_ptr<RecurrentPlan> plan(const RecurrentArgs& args);
  std::shared_ptr<CudnnWeights> weights(std::span<const CudnnStack> stacks,
                                        std::span<const RecurrentWeights> weights);

 private:
  /// The layout of the weight spaces, and the variables.
  using Key = std::pair<std::vector<std::size_t>, std::vector<const void*>>;

  Device& device_;
  CudnnContext context_;
  std::map<Key, std::weak_ptr<CudnnWeights>> weights_;
};

}  // namespace unroll::gpu
