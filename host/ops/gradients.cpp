/// Reverse-mode differentiation, graph to graph: walks the nodes from the cost backwards and adds
/// the nodes that compute each gradient.
#include "host/ops/gradients.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <vector>

#include "host/graph/operation.h"
#include "host/ops/elementwise.h"
#include "host/ops/rows.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

using TensorKey = std::pair<std::int64_t, int>;

TensorKey key_of(const Tensor& tensor) {
  return {tensor.node().id, tensor.index()};
}

/// Nodes on a path from one of xs to one of ys, by id.
std::vector<char> nodes_between(const std::vector<Tensor>& xs, const std::vector<Tensor>& ys) {
  const auto& nodes = ys.front().graph().nodes();
  std::vector<char> depends(nodes.size(), 0), reached(nodes.size(), 0);
  for (const Tensor& x : xs) depends[std::size_t(x.node().id)] = 1;
  for (const auto& node : nodes)
    for (const Tensor& input : node->inputs)
      if (depends[std::size_t(input.node().id)]) depends[std::size_t(node->id)] = 1;
  for (const Tensor& y : ys) reached[std::size_t(y.node().id)] = 1;
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node)
    if (reached[std::size_t((*node)->id)])
      for (const Tensor& input : (*node)->inputs) reached[std::size_t(input.node().id)] = 1;
  for (std::size_t k = 0; k < depends.size(); ++k) depends[k] &= reached[k];
  return depends;
}

/// The sum of a tensor's gradients, one per use. Sparse if all are.
Gradient sum(const std::vector<Gradient>& parts) {
  Gradient dense;
  std::vector<Tensor> ids, rows;
  for (const Gradient& part : parts) {
    if (part.is_sparse()) {
      ids.push_back(part.ids);
      rows.push_back(part.values);
    } else {
      dense.values = dense ? dense.values + part.values : part.values;
    }
  }
  if (ids.empty()) return dense;
  if (dense) {
    for (std::size_t k = 0; k < ids.size(); ++k)
      dense.values = scatter_add_rows(dense.values, ids[k], rows[k]);
    return dense;
  }
  if (ids.size() == 1) return {rows.front(), ids.front()};
  return {concat(rows, 0), concat(ids, 0)};
}

}  // namespace

std::vector<Gradient> gradients(Tensor cost, const std::vector<Tensor>& xs) {
  if (!cost || cost.dtype() != DType::kFloat32 || cost.shape().is_open() ||
      cost.shape().elements() != 1)
    throw std::invalid_argument("gradients: the cost must be float32 with one element, got " +
                                to_string(cost.dtype()) + " " +
                                (cost ? to_string(cost.shape()) : std::string("no tensor")));
  for (const Tensor& x : xs)
    if (!x || &x.graph() != &cost.graph())
      throw std::invalid_argument("gradients: a variable is not of the cost's graph");

  return vector_jacobian({cost}, {cost.graph().constant(1, cost.shape())}, xs);
}

std::vector<Gradient> vector_jacobian(const std::vector<Tensor>& ys, const std::vector<Tensor>& dys,
                                      const std::vector<Tensor>& xs) {
  if (ys.empty()) return std::vector<Gradient>(xs.size());
  const std::vector<char> relevant = nodes_between(xs, ys);
  std::map<TensorKey, std::vector<Gradient>> parts;
  std::int64_t last = 0;
  for (std::size_t k = 0; k < ys.size(); ++k) {
    parts[key_of(ys[k])].emplace_back(dys[k]);
    last = std::max(last, ys[k].node().id);
  }

  // Nodes added on the way are numbered above these and need no visit.
  for (std::int64_t id = last; id >= 0; --id) {
    const Node& node = *ys.front().graph().nodes()[std::size_t(id)];
    if (!relevant[std::size_t(id)] || node.inputs.empty()) continue;
    std::vector<Tensor> dy;
    bool any = false;
    for (int k = 0; k < int(node.outputs.size()); ++k) {
      const auto found = parts.find({id, k});
      dy.push_back(found == parts.end() ? Tensor() : to_dense(sum(found->second), {&node, k}));
      any = any || bool(dy.back());
    }
    if (!any) continue;
    const std::vector<Gradient> dx = node.operation->gradient(node, dy);
    for (std::size_t k = 0; k < dx.size(); ++k) {
      const Tensor& input = node.inputs[k];
      if (dx[k] && relevant[std::size_t(input.node().id)]) parts[key_of(input)].push_back(dx[k]);
    }
  }

  std::vector<Gradient> result;
  for (const Tensor& x : xs) {
    const auto found = parts.find(key_of(x));
    result.push_back(found == parts.end() ? Gradient() : sum(found->second));
  }
  return result;
}

std::vector<Tensor> dense_gradients(Tensor cost, const std::vector<Tensor>& xs) {
  std::vector<Gradient> all = gradients(cost, xs);
  std::vector<Tensor> result;
  for (std::size_t k = 0; k < all.size(); ++k)
    result.push_back(all[k] ? to_dense(all[k], xs[k]) : zeros_like(xs[k]));
  return result;
}

Tensor to_dense(const Gradient& gradient, Tensor x) {
  if (!gradient.is_sparse()) return gradient.values;
  return scatter_add_rows(zeros_like(x), gradient.ids, gradient.values);
}

}  // namespace unroll
