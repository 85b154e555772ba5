/// Matrix product: shape rule, forward and gradient.
#include "host/graph/operation.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

class MatmulOperation final : public Operation {
 public:
  explicit MatmulOperation(const MatmulOptions& options)
      : transpose_a_(options.transpose_a), transpose_b_(options.transpose_b) {}

  std::string kind() const override { return "matmul"; }

  void attributes(const AttributeVisitor& visit) const override {
    visit("transpose_a", transpose_a_);
    visit("transpose_b", transpose_b_);
  }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    const TensorType &a = inputs[0], &b = inputs[1];
    require_dtype(a, DType::kFloat32, "a");
    require_dtype(b, DType::kFloat32, "b");
    require_rank(b, 2, "b");
    if (transpose_a_) require_rank(a, 2, "a");
    if (a.shape.rank() < 2) shape_error("a " + to_string(a.shape), "2 or more dimensions");
    const std::int64_t k = transpose_a_ ? a.shape[0] : a.shape.last();
    if (!dims_agree(k, b.shape[transpose_b_ ? 1 : 0]))
      shape_error("a " + to_string(a.shape) + (transpose_a_ ? " transposed" : "") + " and b " +
                      to_string(b.shape) + (transpose_b_ ? " transposed" : ""),
                  "equal inner dimensions");
    Shape shape;
    if (transpose_a_)
      shape.append(a.shape[1]);
    else
      for (int axis = 0; axis < a.shape.rank() - 1; ++axis) shape.append(a.shape[axis]);
    shape.append(b.shape[transpose_b_ ? 0 : 1]);
    return {{shape, DType::kFloat32}};
  }

  void run(const RunContext& c) const override {
    const auto flat = [](View v) {  // leading dimensions are rows
      v.shape = {v.shape.rows(), v.shape.last()};
      return v;
    };
    c.backend.matmul(
        {flat(c.inputs[0]), c.inputs[1], transpose_a_, transpose_b_, flat(c.outputs[0])});
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dys) const override {
    const Tensor a = node.inputs[0], b = node.inputs[1], dy = dys[0];
    const auto flat = [](Tensor t) {
      return t.shape().rank() == 2 ? t : reshape(t, {kOpen, t.shape().last()});
    };
    // da = dy op(b)^T, db = op(a)^T dy, each transposed where its operand is.
    const Tensor da = transpose_a_
                          ? matmul(b, dy, {.transpose_a = transpose_b_, .transpose_b = true})
                          : matmul(dy, b, {.transpose_b = !transpose_b_});
    const Tensor db =
        transpose_b_ ? matmul(flat(dy), flat(a), {.transpose_a = true, .transpose_b = transpose_a_})
                     : matmul(flat(a), flat(dy), {.transpose_a = !transpose_a_});
    return {da, db};
  }

 private:
  bool transpose_a_, transpose_b_;
};

}  // namespace

Tensor matmul(Tensor a, Tensor b, const MatmulOptions& options) {
  return add_node(std::make_shared<MatmulOperation>(options), {a, b});
}

}  // namespace unroll
