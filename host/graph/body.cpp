#include "host/graph/body.h"

#include <stdexcept>
#include <utility>

namespace unroll {

std::vector<TensorType> Body::infer(std::span<const TensorType> types) const {
  std::vector<std::vector<TensorType>> all(graph.nodes().size());
  for (std::size_t k = 0; k < inputs.size(); ++k)
    all[std::size_t(inputs[k].node().id)] = {types[k]};
  const auto type_of = [&](const Tensor& tensor) {
    return all[std::size_t(tensor.node().id)][std::size_t(tensor.index())];
  };
  for (const auto& node : graph.nodes()) {
    std::vector<TensorType>& own = all[std::size_t(node->id)];
    if (!own.empty()) continue;  // an input
    std::vector<TensorType> read;
    for (const Tensor& input : node->inputs) read.push_back(type_of(input));
    try {
      own = node->operation->infer(read);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument("in its body, " + node->operation->kind() + " '" + node->name +
                                  "': " + error.what());
    }
  }
  std::vector<TensorType> result;
  for (const Tensor& output : outputs) result.push_back(type_of(output));
  return result;
}

std::vector<Tensor> Body::copy_to(Graph& copy, std::span<const Tensor> tensors) const {
  const auto copied = [&](const Tensor& tensor) {
    return Tensor(copy.nodes()[std::size_t(tensor.node().id)].get(), tensor.index());
  };
  for (const auto& node : graph.nodes()) {
    std::vector<Tensor> read;
    for (const Tensor& input : node->inputs) read.push_back(copied(input));
    copy.add(node->name, node->operation, std::move(read));
  }
  std::vector<Tensor> result;
  for (const Tensor& tensor : tensors) result.push_back(copied(tensor));
  return result;
}

const Node* Body::decider() const {
  for (const auto& node : graph.nodes())
    if (node->operation->host_decides()) return node.get();
  return nullptr;
}

BodyBuilder::BodyBuilder(Graph& outer, std::string what)
    : outer_(&innermost(outer)), what_(std::move(what)), body_(std::make_shared<Body>()) {
  outer_->body_ = &body_->graph;
  body_->graph.parent_ = outer_;
}

BodyBuilder::~BodyBuilder() {
  close();
}

void BodyBuilder::close() {
  if (!outer_) return;
  outer_->body_ = nullptr;
  body_->graph.parent_ = nullptr;
  body_->graph.captured_.clear();
  outer_ = nullptr;
}

Graph& BodyBuilder::innermost(Graph& graph) {
  Graph* innermost = &graph;
  while (innermost->body_) innermost = innermost->body_;
  return *innermost;
}

Tensor BodyBuilder::add_input(std::string_view name, const TensorType& type) {
  body_->inputs.emplace_back(
      &body_->graph.add_here(name, std::make_shared<PlaceholderOperation>(type), {}), 0);
  return body_->inputs.back();
}

std::shared_ptr<const Body> BodyBuilder::finish(std::span<const Tensor> outputs) {
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const std::string which = what_ + ": result " + std::to_string(k) + " of its body ";
    if (!outputs[k]) throw std::invalid_argument(which + "is an empty tensor");
    const Tensor here = body_->graph.inside(outputs[k]);
    if (!here) throw std::invalid_argument(which + "belongs to another graph");
    body_->outputs.push_back(here);
  }
  for (const auto& node : body_->graph.nodes())
    if (!node->operation->written_inputs().empty())
      throw std::invalid_argument(what_ + ": got " + node->operation->kind() + " '" + node->name +
                                  "' in its body, expected nothing that writes to a variable");
  for (const auto& [outside, here] : body_->graph.captured_) {
    captured_.push_back(outside);
    body_->inputs.push_back(here);
  }
  close();
  return std::move(body_);
}

}  // namespace unroll
