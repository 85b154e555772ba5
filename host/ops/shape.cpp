/// What a tensor's dimensions are, as tensors: known when a run is planned, written when it runs.
#include "host/graph/operation.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

class RankOperation final : public Operation {
 public:
  std::string kind() const override { return "rank"; }
  std::vector<TensorType> infer(std::span<const TensorType>) const override {
    return {{{}, DType::kInt64}};
  }
  void run(const RunContext& c) const override {
    c.backend.fill({c.outputs[0], double(c.inputs[0].shape.rank())});
  }
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    return {{}};
  }
};

class ShapeOperation final : public Operation {
 public:
  std::string kind() const override { return "shape"; }
  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {{{inputs[0].shape.rank()}, DType::kInt64}};
  }
  void run(const RunContext& c) const override {
    View dim = c.outputs[0];
    dim.shape = {};
    for (const std::int64_t size : c.inputs[0].shape.dims()) {
      c.backend.fill({dim, double(size)});
      dim.data = static_cast<std::int64_t*>(dim.data) + 1;
    }
  }
  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    return {{}};
  }
};

}  // namespace

Tensor rank(Tensor x) {
  return add_node(std::make_shared<RankOperation>(), {x});
}

Tensor shape(Tensor x) {
  return add_node(std::make_shared<ShapeOperation>(), {x});
}

}  // namespace unroll
