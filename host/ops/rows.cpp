/// Operations that address rows of a table by id: embedding, gather, one_hot, and the sparse
/// gradients that embedding gives rise to.
#include "host/ops/rows.h"

#include "host/graph/operation.h"
#include "host/ops/elementwise.h"
#include "host/ops/layout.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

View flat(View ids) {
  ids.shape = {ids.elements()};
  return ids;
}

/// The same elements as rows of `columns`.
View as_rows(View view, std::int64_t rows, std::int64_t columns) {
  view.shape = {rows, columns};
  return view;
}

/// Elements of a row of `table`, which may have no rows.
std::int64_t columns_of(const View& table) {
  return table.shape.without(0).elements();
}

/// x [V, ...], ids [M, ...] -> [M, ..., ...]: the rows of x.
class GatherOperation final : public Operation {
 public:
  std::string kind() const override { return "gather"; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_dtype(inputs[1], DType::kInt32, "ids");
    const Shape& from = inputs[0].shape;
    if (from.rank() < 1) shape_error("a scalar", "1 or more dimensions");
    require_addressable(from[0]);
    Shape shape = inputs[1].shape;
    const Shape row = from.without(0);
    for (const std::int64_t dim : row.dims()) shape.append(dim);
    return {{shape, inputs[0].dtype}};
  }

  void run(const RunContext& c) const override {
    const View& table = c.inputs[0];
    const std::int64_t columns = columns_of(table);
    c.backend.gather_rows({as_rows(table, table.shape[0], columns), flat(c.inputs[1]),
                           as_rows(c.outputs[0], c.inputs[1].elements(), columns)});
  }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    if (dy[0].dtype() != DType::kFloat32)
      throw std::invalid_argument("gather '" + node.name + "': got a gradient of " +
                                  to_string(dy[0].dtype()) + ", expected float32");
    return {scatter_add_rows(zeros_like(node.inputs[0]), node.inputs[1], dy[0]), {}};
  }

  static void require_addressable(std::int64_t rows) {
    if (rows > INT32_MAX)
      shape_error(std::to_string(rows) + " rows", "at most " + std::to_string(INT32_MAX));
  }
};

class EmbeddingOperation final : public Operation {
 public:
  std::string kind() const override { return "embedding"; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    require_dtype(inputs[0], DType::kFloat32, "the table");
    require_rank(inputs[0], 2, "the table");
    require_dtype(inputs[1], DType::kInt32, "ids");
    GatherOperation::require_addressable(inputs[0].shape[0]);
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

class NarrowIdsOperation final : public Operation {
 public:
  std::string kind() const override { return "narrow_ids"; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {{inputs[0].shape, DType::kInt32}};
  }

  void run(const RunContext& c) const override {
    c.backend.narrow_ids({flat(c.inputs[0]), flat(c.outputs[0])});
  }

  std::vector<Gradient> gradient(const Node&, std::span<const Tensor>) const override {
    return {{}};
  }
};

/// Ids as the kernels and sparse gradients have them.
Tensor int32_ids(Tensor ids) {
  if (!ids || ids.dtype() != DType::kInt64) return ids;
  return add_node(std::make_shared<NarrowIdsOperation>(), {ids});
}

class ScatterAddRowsOperation final : public Operation {
 public:
  std::string kind() const override { return "scatter_add_rows"; }

  std::vector<TensorType> infer(std::span<const TensorType> inputs) const override {
    return {inputs[0]};
  }

  void run(const RunContext& c) const override {
    const View& out = c.outputs[0];
    if (out.data != c.inputs[0].data) c.backend.copy(out.data, c.inputs[0].data, out.bytes());
    const std::int64_t columns = columns_of(out);
    c.backend.scatter_add_rows({flat(c.inputs[1]),
                                as_rows(c.inputs[2], c.inputs[1].elements(), columns),
                                as_rows(out, out.shape[0], columns)});
  }

  int in_place(int) const override { return 0; }

  std::vector<Gradient> gradient(const Node& node, std::span<const Tensor> dy) const override {
    return {dy[0], {}, gather(dy[0], node.inputs[1])};
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
  return add_node(std::make_shared<EmbeddingOperation>(), {table, int32_ids(ids)});
}

Tensor gather(Tensor x, Tensor ids, int axis) {
  const int counted = axis_of(x, axis, x ? x.shape().rank() : 0, "gather");
  const auto gather_first = [&](Tensor rows) {
    return add_node(std::make_shared<GatherOperation>(), {rows, int32_ids(ids)});
  };
  if (counted == 0) return gather_first(x);
  // The axis first, then the ids' axes back in its place.
  const int rank = x.shape().rank();
  std::vector<int> order{counted};
  for (int k = 0; k < rank; ++k)
    if (k != counted) order.push_back(k);
  const Tensor rows = gather_first(transpose(x, order));
  const int id_axes = rows.shape().rank() - (rank - 1);
  order.clear();
  for (int k = 0; k < counted; ++k) order.push_back(id_axes + k);
  for (int k = 0; k < id_axes; ++k) order.push_back(k);
  for (int k = counted; k < rank - 1; ++k) order.push_back(id_axes + k);
  return transpose(rows, order);
}

Tensor one_hot(Tensor ids, std::int64_t classes) {
  return add_node(std::make_shared<OneHotOperation>(classes), {int32_ids(ids)});
}

Tensor scatter_add_rows(Tensor table, Tensor ids, Tensor rows) {
  return add_node(std::make_shared<ScatterAddRowsOperation>(), {table, ids, rows});
}

CoalescedRows coalesce_rows(Tensor ids, Tensor rows, Tensor table) {
  const Tensor unique = add_node(std::make_shared<CoalesceRowsOperation>(), {ids, rows, table});
  return {unique, {&unique.node(), 1}};
}

}  // namespace unroll
