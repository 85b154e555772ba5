/// The weights of a recurrent stack in cuDNN's weight spaces and its type.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cuda/cudnn/cudnn_stack.h"
#include "cuda/device/device.h"
#include "unroll/backend.h"

namespace unroll::gpu {

class CudnnWeights {
 public:
  /// `of_variables`: as in RecurrentWeightCopies.
  CudnnWeights(Device& device, CudnnElement element, std::span<const CudnnStack> stacks,
               bool of_variables);

  /// Brings up to date what is not: all, or of variables those whose version is another one.
  /// `stacks`: these or equal ones.
  void update(std::span<const CudnnStack> stacks, std::span<const RecurrentWeights> weights);
  const void* space(std::size_t stack) const {
    return static_cast<const std::byte*>(memory_.get()) + spaces_[stack];
  }

 private:
  Device& device_;
  CudnnElement element_;
  bool of_variables_;
  std::vector<std::size_t> spaces_;  // offsets in memory_
  std::vector<std::array<std::uint64_t, 4>> versions_;
  std::vector<Piece> pieces_;  // here for its memory
  std::shared_ptr<void> memory_;
};

/// From a weight space of gradients, those of one stack, to where they are wanted. `dweights`: of
/// the stack's cells.
void take_weight_gradients(Device& device, CudnnElement element, const CudnnStack& stack,
                           const void* space, std::span<const RecurrentWeights> dweights);

}  // namespace unroll::gpu
