/// Operations that address rows of a table by id: embedding, one_hot, and the sparse gradients that
/// embedding gives rise to.
#include "host/ops/rows.h"

#include "host/graph/operation.h"
#include "host/ops/elementwise.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

View flat(View ids) {
  ids.shape = {ids.elements()};
  return ids;
}

class EmbeddingOperation final : public Operation {
 public:
  std::string kind() const override { return "embedding"; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_dtype(inputs[0], DType::kFloat32, "the table");
    require_rank(inputs[0], 2, "the table");
    require_dtype(inputs[1], DType::kInt32, "ids");
    Shape shape = inputs[1].shape;
    shape.append(inputs[0].shape[1]);
    return {{shape, DType::kFloat32}};
  }

  void run(const RunContext& c) const override {
    View out = c.outputs[0];
    out.shape = {out.shape.rows(), out.shape.last()};
    c.backend.gather_rows({c.inputs[0], flat(c.inputs[1]), out});
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    const Tensor ids = reshape(node.inputs[1], {kOpen});
    return {{reshape(dy[0], {kOpen, node.inputs[0].shape()[1]}), ids}, {}};
  }
};

class ScatterAddRowsOperation final : public Operation {
 public:
  std::string kind() const override { return "scatter_add_rows"; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {inputs[0]};
  }

  void run(const RunContext& c) const override {
    const View& out = c.outputs[0];
    if (out.data != c.inputs[0].data) c.backend.copy(out.data, c.inputs[0].data, out.bytes());
    c.backend.scatter_add_rows({c.inputs[1], c.inputs[2], out});
  }

  int in_place(int) const override { return 0; }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    return {dy[0], {}, embedding(dy[0], node.inputs[1])};
  }
};

class CoalesceRowsOperation final : public Operation {
 public:
  std::string kind() const override { return "coalesce_rows"; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {inputs[0], inputs[1]};
  }

  void plan(PlanContext& context) const override {
    context.scratch_bytes = context.backend.coalesce_scratch_bytes(context.inputs[0].shape[0]);
  }

  void run(const RunContext& c) const override {
    c.backend.coalesce_rows(
        {c.inputs[0], c.inputs[1], c.inputs[2].shape[0], c.outputs[0], c.outputs[1], c.scratch});
  }

  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    throw std::invalid_argument("coalesce_rows: has no gradient of its own");
  }
};

class OneHotOperation final : public Operation {
 public:
  explicit OneHotOperation(std::int64_t classes) : classes_(classes) {}

  std::string kind() const override { return "one_hot"; }

  void attributes(const AttributeVisitor& visit) const override { visit("classes", classes_); }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_dtype(inputs[0], DType::kInt32, "ids");
    if (classes_ < 1) shape_error(std::to_string(classes_) + " classes", "1 or more");
    Shape shape = inputs[0].shape;
    shape.append(classes_);
    return {{shape, DType::kFloat32}};
  }

  void run(const RunContext& c) const override {
    View out = c.outputs[0];
    out.shape = {out.shape.rows(), out.shape.last()};
    c.backend.one_hot({flat(c.inputs[0]), out});
  }

  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    return {{}};
  }

 private:
  std::int64_t classes_;
};

}  // namespace

Tensor embedding(Tensor table, Tensor ids) {
  return add_node(std::make_shared<EmbeddingOperation>(), {table, ids});
}

Tensor one_hot(Tensor ids, std::int64_t classes) {
  return add_node(std::make_shared<OneHotOperation>(classes), {ids});
}

Tensor scatter_add_rows(Tensor table, Tensor ids, Tensor rows) {
  return add_node(std::make_shared<ScatterAddRowsOperation>(), {table, ids, rows});
}

CoalescedRows coalesce_rows(Tensor ids, Tensor rows, Tensor table) {
  const Tensor unique = add_node(std::make_shared<CoalesceRowsOperation>(), {ids, rows, table});
  return {unique, {&unique.node(), 1}};
}

Tensor to_dense(const Gradient& gradient, Tensor x) {
  if (!gradient.is_sparse()) return gradient.values;
  return scatter_add_rows(zeros_like(x), gradient.ids, gradient.values);
}

}  // namespace unroll
