#include "cuda/cudnn/cudnn_weights.h"

#include <utility>

#include "cuda/device/memory_layout.h"

namespace unroll::gpu {
CudnnWeights::CudnnWeights(Device& device, CudnnElement element, std::span<const CudnnStack> stacks,
                           bool of_variables)
    : device_(device), element_(element), of_variables_(of_variables) {
  MemoryLayout layout;
  std::size_t parts = 0;
  for (const CudnnStack& stack : stacks) {
    spaces_.push_back(layout.take(std::int64_t(stack.weight_bytes()), 1));
    parts += stack.weight_parts().size();
  }
  versions_.resize(parts);
  memory_ = device.allocate(layout.bytes());
  // The gaps between the weights must hold finite numbers; zeros are harmless.
  UNROLL_CUDA_CHECK(cudaMemsetAsync(memory_.get(), 0, layout.bytes(), device.stream()));
}

void CudnnWeights::update(std::span<const CudnnStack> stacks,
                          std::span<const RecurrentWeights> weights) {
  pieces_.clear();
  auto version = versions_.begin();
  for (std::size_t k = 0; k < stacks.size(); ++k) {
    auto* const space = static_cast<std::byte*>(memory_.get()) + spaces_[k];
    for (const CudnnStack::WeightPart& part : stacks[k].weight_parts()) {
      const View& values = weights[part.cell].*part.parameter;
      if (of_variables_ && std::exchange(*version++, *values.version) == *values.version) continue;
      pieces_.push_back({values.as<float>() + part.first, space + part.offset, part.elements});
    }
    weights = weights.subspan(stacks[k].cells());
  }
  from_float32(device_.stream(), element_, pieces_);
}

std::vector<Piece> gradient_pieces(const CudnnStack& stack, const void* space,
                                   std::span<const RecurrentWeights> dweights) {
  std::vector<Piece> pieces;
  for (const CudnnStack::WeightPart& part : stack.weight_parts())
    if (const View& gradient = dweights[part.cell].*part.parameter)
      pieces.push_back({static_cast<const std::byte*>(space) + part.offset,
                        gradient.as<float>() + part.first, part.elements});
  return pieces;
}

}  // namespace unroll::gpu
