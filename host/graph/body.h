/// The body of a loop or branch: a graph of its own, whose placeholders stand for what the node
/// that holds it hands in. Immutable once it is built, and shared by nodes.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/graph/operation.h"

namespace unroll {

struct Body {
  Graph graph;
  std::vector<Tensor> inputs;  // placeholders
  std::vector<Tensor> outputs;

  /// The outputs' types for these types of the inputs. Throws std::invalid_argument if they do not
  /// fit.
  std::vector<TensorType> infer(std::span<const TensorType> types) const;
  /// The same graph in `copy`, with the same names and ids; returns `tensors` of it.
  std::vector<Tensor> copy_to(Graph& copy, std::span<const Tensor> tensors) const;
  /// A node of which the host decides something; null if there is none.
  const Node* decider() const;
};

/// Builds a body. While this lives, nodes that are added to the outer graph go into the body
/// instead, and tensors of the outer graph that they read become inputs.
class BodyBuilder {
 public:
  /// `what`: of the node that will hold the body, for messages.
  BodyBuilder(Graph& outer, std::string what);
  ~BodyBuilder();
  BodyBuilder(const BodyBuilder&) = delete;
  BodyBuilder& operator=(const BodyBuilder&) = delete;

  Tensor add_input(std::string_view name, const TensorType& type);
  /// Ends the body. Its inputs are those that were added, then one for each of captured().
  /// Throws std::invalid_argument if an output is not the body's, or if the body has effects.
  std::shared_ptr<const Body> finish(std::span<const Tensor> outputs);
  /// Tensors of the outer graph.
  const std::vector<Tensor>& captured() const { return captured_; }

  /// The graph itself, or the body within it that is being built.
  static Graph& innermost(Graph& graph);

 private:
  void close();

  Graph* outer_;
  std::string what_;
  std::shared_ptr<Body> body_;
  std::vector<Tensor> captured_;
};

}  // namespace unroll
