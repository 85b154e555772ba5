/// Products of matrices: shape rule, forward and gradient.
#include "host/graph/operation.h"
#include "host/ops/elementwise.h"
#include "host/ops/reduce.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

std::int64_t from_last(const Shape& shape, int k) {
  return shape[shape.rank() - k];
}

/// The dimensions before the last two.
Shape stack(const Shape& shape) {
  return Shape(shape.dims().first(std::size_t(shape.rank() - 2)));
}

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
    for (const TensorType* operand : {&a, &b})
      if (operand->shape.rank() < 2)
        shape_error((operand == &a ? "a " : "b ") + to_string(operand->shape),
                    "2 or more dimensions");
    const std::int64_t k = from_last(a.shape, transpose_a_ ? 2 : 1);
    if (!dims_agree(k, from_last(b.shape, transpose_b_ ? 1 : 2)))
      shape_error("a " + to_string(a.shape) + (transpose_a_ ? " transposed" : "") + " and b " +
                      to_string(b.shape) + (transpose_b_ ? " transposed" : ""),
                  "equal inner dimensions");
    Shape shape = broadcast_shape(stack(a.shape), stack(b.shape));
    shape.append(from_last(a.shape, transpose_a_ ? 1 : 2));
    shape.append(from_last(b.shape, transpose_b_ ? 2 : 1));
    return {{shape, DType::kFloat32}};
  }

  void run(const RunContext& c) const override {
    const bool rows = is_one_product(c.inputs[0].shape, c.inputs[1].shape);
    const auto flat = [&](View v) {
      if (rows) v.shape = {v.shape.rows(), v.shape.last()};
      return v;
    };
    c.backend.matmul(
        {flat(c.inputs[0]), c.inputs[1], transpose_a_, transpose_b_, flat(c.outputs[0])});
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dys) const override {
    const Tensor a = node.inputs[0], b = node.inputs[1], dy = dys[0];
    // As one product, unless a last dimension that is open cannot be kept apart from the rows.
    const bool rows =
        is_one_product(a.shape(), b.shape()) &&
        (a.shape().rank() == 2 || (a.shape().last() != kOpen && dy.shape().last() != kOpen));
    const auto flat = [&](Tensor t) {
      return !rows || t.shape().rank() == 2 ? t : reshape(t, {kOpen, t.shape().last()});
    };
    // da = dy op(b)^T, db = op(a)^T dy, each transposed where its operand is.
    const Tensor da = transpose_a_
                          ? matmul(b, dy, {.transpose_a = transpose_b_, .transpose_b = true})
                          : matmul(dy, b, {.transpose_b = !transpose_b_});
    const Tensor db =
        transpose_b_ ? matmul(flat(dy), flat(a), {.transpose_a = true, .transpose_b = transpose_a_})
                     : matmul(flat(a), flat(dy), {.transpose_a = !transpose_a_});
    if (rows) return {da, db};
    return {sum_to(da, a), sum_to(db, b)};
  }

 private:
  /// One matrix b multiplies every matrix of a: the dimensions before a's last are rows.
  bool is_one_product(const Shape& a, const Shape& b) const {
    return b.rank() == 2 && (a.rank() == 2 || !transpose_a_);
  }

  bool transpose_a_, transpose_b_;
};

}  // namespace

Tensor matmul(Tensor a, Tensor b, const MatmulOptions& options) {
  return add_node(std::make_shared<MatmulOperation>(options), {a, b});
}

}  // namespace unroll
