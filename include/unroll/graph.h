/// A graph of operations on tensors, built once and run by a Session. Building is cheap and knows
/// no device; shapes are checked as nodes are added, and again with the feeds' sizes when a session
/// plans a run. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "unroll/initializer.h"
#include "unroll/tensor.h"

namespace unroll {

class Graph;
class Operation;
struct Node;

struct TensorType {
  Shape shape;
  DType dtype = DType::kFloat32;
};

/// One output of one node: a handle, copied freely, valid as long as its graph.
class Tensor {
 public:
  Tensor() = default;
  Tensor(Node* node, int index) : node_(node), index_(index) {}

  explicit operator bool() const { return node_ != nullptr; }
  bool operator==(const Tensor&) const = default;

  Node& node() const { return *node_; }
  int index() const { return index_; }
  Graph& graph() const;
  const std::string& name() const;  // the node's
  const Shape& shape() const;       // kOpen where only feeds decide
  DType dtype() const;

 private:
  Node* node_ = nullptr;
  int index_ = 0;
};

struct Node {
  Graph* graph;
  std::int64_t id;  // order of creation, which is an order of execution
  std::string name;
  std::shared_ptr<const Operation> operation;
  std::vector<Tensor> inputs;
  std::vector<TensorType> outputs;
};

/// What a variable is in every graph and store that uses its name.
struct VariableInfo {
  std::string name;
  TensorType type;
  Initializer initializer;
  bool trainable = true;
};

class Graph {
 public:
  Graph();
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Fed on every run that needs it. Dimensions may be kOpen.
  Tensor placeholder(std::string_view name, const Shape& shape, DType dtype = DType::kFloat32);

  /// Persistent and mutable; lives in the session's store under `name`, which graphs that share the
  /// store share too. Asking again for a name gives the same node; std::invalid_argument if its
  /// shape differs.
  Tensor variable(std::string_view name, const Shape& shape, const Initializer& initializer,
                  bool trainable = true, DType dtype = DType::kFloat32);

  Tensor constant(double value, const Shape& shape = {});
  Tensor constant(std::span<const float> values, const Shape& shape);

  /// Adds a node. `name` is made unique by a suffix; it keys dropout's random numbers.
  Node& add(std::string_view name, std::shared_ptr<const Operation> operation,
            std::vector<Tensor> inputs);

  const std::vector<std::unique_ptr<Node>>& nodes() const { return nodes_; }
  /// In order of creation.
  std::vector<Tensor> variables(bool trainable_only = false) const;

 private:
  struct Name {
    Node* node = nullptr;
    int next_suffix = 1;  // all below are taken
  };
  std::vector<std::unique_ptr<Node>> nodes_;
  std::unordered_map<std::string, Name> names_;
};

/// A gradient as storage: a tensor of the variable's shape, or, if `ids` is set, rows that stand
/// for a tensor that is zero elsewhere (rows with equal ids add up).
struct Gradient {
  Tensor values;
  Tensor ids;

  explicit operator bool() const { return bool(values); }
  bool is_sparse() const { return bool(ids); }
};

/// d cost / d x for each x, as nodes added to the graph; empty where cost does not depend on x.
/// cost must have one element. Sparse only for a table that is used by embedding() alone.
std::vector<Gradient> gradients(Tensor cost, std::span<const Tensor> xs);

/// The same as tensors of x's shape; zeros where cost does not depend on x.
std::vector<Tensor> dense_gradients(Tensor cost, std::span<const Tensor> xs);

}  // namespace unroll
