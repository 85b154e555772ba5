/// A bool from a float32 that is 0 or 1, for tests of branches and loops.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/graph/operation.h"
#include "unroll/ops.h"

namespace unroll::test {

class IsOneOperation final : public Operation {
 public:
  std::string kind() const override { return "is_one"; }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {{inputs[0].shape, DType::kBool}};
  }
  /// 1.0F is 3F800000: its byte 2 is not zero.
  void run(const RunContext& c) const override {
    c.backend.copy(c.outputs[0].data, static_cast<const std::byte*>(c.inputs[0].data) + 2, 1);
  }
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    return {{}};
  }
};

/// x [1] or []: whether it is 1.
inline Tensor is_one(Tensor x) {
  return add_node(std::make_shared<IsOneOperation>(), {x});
}
/// x and the limit are whole numbers.
inline Tensor is_below(Tensor x, double limit) {
  return is_one(relu(limit - x) - relu(limit - 1 - x));
}

}  // namespace unroll::test
