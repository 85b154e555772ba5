/// Copies weights between PyTorch's layout and the one that a oneDNN primitive has chosen.
/// PyTorch's has a matrix [G H, I] per layer and direction, in our order of gates; oneDNN's is [L,
/// D, I, G, H] in its own order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <span>
#include <vector>

namespace unroll::benchmark {

struct WeightShape {
  std::int64_t layers, directions, input, hidden;  // L, D, I, H
  std::vector<std::int64_t> gate_order;            // oneDNN's gate k is our gate gate_order[k]
};

class WeightReorder {
 public:
  enum class Way : std::uint8_t { kToOnednn, kFromOnednn };

  WeightReorder() = default;
  WeightReorder(const dnnl::engine& engine, const WeightShape& shape,
                const dnnl::memory::desc& chosen, Way way);

  /// The copy is complete when `stream` is. `ours`: [L D] pointers to matrices, null if not wanted.
  void run(dnnl::stream& stream, void* theirs, std::span<float* const> ours);

 private:
  struct Gate {
    dnnl::reorder reorder;
    dnnl::memory ours, theirs;
    std::size_t matrix;   // which of ours
    std::int64_t offset;  // of the gate in the matrix
  };

  Way way_ = Way::kToOnednn;
  std::vector<Gate> gates_;
  // If the layout does not consist of gates, for example because it is packed for products, weights
  // are copied through a plain layout.
  std::optional<dnnl::memory> plain_;
  dnnl::memory whole_;
  dnnl::reorder reorder_whole_;
};

}  // namespace unroll::benchmark
