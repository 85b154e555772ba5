/// The weights of a recurrent stack, copied into cuDNN's weight spaces and data type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cuda/cudnn/cudnn_stack.h"
#include "cuda/device/device.h"
#include "unroll/kernels/recurrent.h"

namespace unroll::gpu {

class CudnnWeights {
 public:
  /// `of_variables`: see RecurrentWeightCopies::Use.
  CudnnWeights(Device& device, CudnnElement element, std::span<const CudnnStack> stacks,
               bool of_variables);

  /// Copies the weights that are out of date: variables whose version has changed, and all weights
  /// that are not variables. `stacks`: these or equal ones.
  void update(std::span<const CudnnStack> stacks, std::span<const RecurrentWeights> weights);
  const void* space(std::size_t stack) const {
    return static_cast<const std::byte*>(memory_.get()) + spaces_[stack];
  }

 private:
  Device& device_;
  CudnnElement element_;
  bool of_variables_;
  std::vector<std::size_t> spaces_;      // offsets in memory_
  std::vector<std::uint64_t> versions_;  // of the parameter of each part
  std::vector<Piece> pieces_;            // a member to reuse its memory
  std::shared_ptr<void> memory_;
};

/// The gradients in the weight space of one stack, and where to copy them. `dweights`: those of the
/// stack's cells.
std::vector<Piece> gradient_pieces(const CudnnStack& stack, const void* space,
                                   std::span<const RecurrentWeights> dweights);

}  // namespace unroll::gpu
