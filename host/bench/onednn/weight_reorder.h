/// Copies of weights between PyTorch's layout, for each layer and direction a matrix [G H, I] in
/// our order of gates, and the one that a primitive of oneDNN has chosen, [L, D, I, G, H] in its
/// own.
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

  /// Done when `stream` is. `ours`: [L D] pointers to matrices, null where one is not wanted.
  void run(dnnl::stream& stream, void* theirs, std::span<float* const> ours);

 private:
  struct Gate {
    dnnl::reorder reorder;
    dnnl::memory ours, theirs;
    std::size_t matrix;   // which of ours
    std::int64_t offset;  // of the gate in it
  };

  Way way_ = Way::kToOnednn;
  std::vector<Gate> gates_;
  // A layout that is not made of gates, such as one packed for products, is reached through a plain
  // one.
  std::optional<dnnl::memory> plain_;
  dnnl::memory whole_;
  dnnl::reorder reorder_whole_;
};

}  // namespace unroll::benchmark
