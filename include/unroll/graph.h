/// A graph of operations on tensors, built once and run by a Session. Building is cheap and knows
/// no device. Shapes are checked when a node is added, and again with the feeds' sizes when a
/// session plans a run. Not thread-safe.
///
/// While the function that describes a loop's or a branch's body runs (ops/control_flow.h), what it
/// adds goes into the body's own graph, whichever graph it asks. A body may use tensors from
/// outside and declare variables, which are the outer graph's.
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
  Tensor() = default;  // empty
  Tensor(const Node* node, int index) : node_(node), index_(index) {}

  explicit operator bool() const { return node_ != nullptr; }
  bool operator==(const Tensor&) const = default;

  const Node& node() const { return *node_; }
  int index() const { return index_; }
  Graph& graph() const;
  const std::string& name() const;  // the node's
  const Shape& shape() const;       // kOpen where only the feeds decide
  DType dtype() const;

 private:
  const Node* node_ = nullptr;
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

struct VariableOptions {
  bool trainable = true;  // optimisers change it
  DType dtype = DType::kFloat32;
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

  /// A tensor that every run which needs it is fed with. Dimensions may be kOpen.
  /// Errors    std::invalid_argument in a body.
  Tensor placeholder(std::string_view name, const Shape& shape, DType dtype = DType::kFloat32);

  /// A tensor that keeps its value between runs. It lives in the session's store under `name`;
  /// graphs that share the store share it. Asking again for a name gives the same node.
  /// Errors    std::invalid_argument if the name is empty or that of another kind of node, if the
  ///           shape is open, or if shape or element type differ from those asked for before.
  Tensor variable(std::string_view name, const Shape& shape, const Initializer& initializer,
                  const VariableOptions& options = {});

  /// Every element is `value`. Broadcasting lets a scalar (the default) stand for any shape.
  /// Errors    std::invalid_argument if an integer type or bool has no such value up to 2^53.
  Tensor constant(double value, const Shape& shape = {}, DType dtype = DType::kFloat32);
  /// The element type is the values'. An int64 above 2^53 is exact only in this form.
  /// Errors    std::invalid_argument unless there are as many values as the shape has elements.
  Tensor constant(std::span<const float> values, const Shape& shape);
  Tensor constant(std::span<const double> values, const Shape& shape);
  Tensor constant(std::span<const std::int32_t> values, const Shape& shape);
  Tensor constant(std::span<const std::int64_t> values, const Shape& shape);
  Tensor constant(std::span<const bool> values, const Shape& shape);

  /// Adds a node. `name` is made unique by a suffix; it keys dropout's random numbers.
  const Node& add(std::string_view name, std::shared_ptr<const Operation> operation,
                  std::vector<Tensor> inputs);

  /// In order of creation, as are the variables.
  const std::vector<std::unique_ptr<Node>>& nodes() const { return nodes_; }
  std::vector<Tensor> variables() const;
  std::vector<Tensor> trainable_variables() const;

  /// The nodes as a text for people, one line each in order of creation: name, operation, inputs,
  /// attributes, and types of the outputs.
  ///
  ///     x = placeholder -> float32 [?, 784]
  ///     w = variable {trainable: true, initializer: xavier, blocks: 1} -> float32 [10, 784]
  ///     matmul = matmul(x, w) {transpose_a: false, transpose_b: true} -> float32 [?, 10]
  ///
  /// Output k > 0 of a node is NAME:k. A name of other characters than letters, digits and _ - . /
  /// stands in quotes, with what a terminal would obey escaped. Long lists are cut. The bodies of a
  /// loop or branch follow its line, indented.
  std::string describe() const;
  /// The same for Graphviz, where `dot -Tsvg` draws it: placeholders are ellipses, variables
  /// cylinders, constants have no frame, operations are boxes, bodies are frames of their own. An
  /// edge from a node with several outputs says which one it is.
  std::string dot() const;

 private:
  friend class BodyBuilder;
  Tensor constant_of(std::span<const std::byte> bytes, const TensorType& type);

  struct Name {
    Node* node = nullptr;
    int next_suffix = 1;  // all below are taken
  };
  const Node& add_here(std::string_view name, std::shared_ptr<const Operation> operation,
                       std::vector<Tensor> inputs);
  Tensor inside(Tensor tensor);

  std::vector<std::unique_ptr<Node>> nodes_;
  std::unordered_map<std::string, Name> names_;
  Graph* body_ = nullptr;    // the body that is being described, where nodes now go
  Graph* parent_ = nullptr;  // of such a body
  std::vector<std::pair<Tensor, Tensor>> captured_;  // a body's: outside, and its placeholder here
};

}  // namespace unroll
