#include "cuda/cudnn/cudnn_weights.h"

#include <utility>

#include "cuda/device/memory_layout.h"

namespace unroll::gpu {
namespace {

/// Calls visit(which, values, offset, elements) for every part of one cell's weights, gate by gate;
/// `which` is 0 to 3 for weight_ih, weight_hh, bias_ih, bias_hh.
template <typename Visit>
void for_each_part(const CudnnStack& stack, std::size_t cell, const RecurrentWeights& weights,
                   const Visit& visit) {
  const std::size_t parts = stack.weight_offsets().size() / stack.cells(), gates = parts / 2;
  const int layer = stack.first() + int(cell * std::size_t(stack.count()) / stack.cells());
  for (std::size_t part = 0; part < parts; ++part) {
    const CudnnStack::WeightOffsets& at = stack.weight_offsets()[cell * parts + part];
    const std::size_t recurrent = part / gates;
    const View& matrix = recurrent ? weights.weight_hh : weights.weight_ih;
    const View& bias = recurrent ? weights.bias_hh : weights.bias_ih;
    const std::int64_t columns = recurrent ? stack.hidden() : stack.layer_input(layer);
    const auto gate = std::int64_t(part % gates) * stack.hidden();
    if (matrix)
      visit(recurrent, matrix.as<float>() + gate * columns, at.matrix, stack.hidden() * columns);
    if (bias) visit(2 + recurrent, bias.as<float>() + gate, at.bias, stack.hidden());
  }
}

}  // namespace

CudnnWeights::CudnnWeights(Device& device, CudnnElement element, std::span<const CudnnStack> stacks,
                           bool of_variables)
    : device_(device), element_(element), of_variables_(of_variables) {
  MemoryLayout layout;
  std::size_t cells = 0;
  for (const CudnnStack& stack : stacks) {
    spaces_.push_back(layout.take(std::int64_t(stack.weight_bytes()), 1));
    cells += stack.cells();
  }
  versions_.resize(cells);
  memory_ = device.allocate(layout.bytes());
  // The gaps between the weights must hold finite numbers; zeros are harmless.
  UNROLL_CUDA_CHECK(cudaMemsetAsync(memory_.get(), 0, layout.bytes(), device.stream()));
}

void CudnnWeights::update(std::span<const CudnnStack> stacks,
                          std::span<const RecurrentWeights> weights) {
  pieces_.clear();
  std::size_t index = 0;
  for (std::size_t k = 0; k < stacks.size(); ++k) {
    auto* const space = static_cast<std::byte*>(memory_.get()) + spaces_[k];
    for (std::size_t cell = 0; cell < stacks[k].cells(); ++cell, ++index) {
      const RecurrentWeights& w = weights[index];
      bool is_new[4] = {true, true, true, true};
      const View* const views[4] = {&w.weight_ih, &w.weight_hh, &w.bias_ih, &w.bias_hh};
      for (std::size_t which = 0; of_variables_ && which < 4; ++which) {
        const std::uint64_t now = *views[which]->version;
        is_new[which] = std::exchange(versions_[index][which], now) != now;
      }
      for_each_part(
          stacks[k], cell, w,
          [&](std::size_t which, const float* values, std::size_t offset, std::int64_t elements) {
            if (is_new[which]) pieces_.push_back({values, space + offset, elements});
          });
    }
  }
  from_float32(device_.stream(), element_, pieces_);
}

void take_weight_gradients(Device& device, CudnnElement element, const CudnnStack& stack,
                           const void* space, std::span<const RecurrentWeights> dweights) {
  std::vector<Piece> pieces;
  for (std::size_t cell = 0; cell < dweights.size(); ++cell)
    for_each_part(
        stack, cell, dweights[cell],
        [&](std::size_t, float* values, std::size_t offset, std::int64_t elements) {
          pieces.push_back({static_cast<const std::byte*>(space) + offset, values, elements});
        });
  to_float32(device.stream(), element, pieces);
}

}  // namespace unroll::gpu
