#include "unroll/graph.h"

#include <algorithm>
#include <stdexcept>

#include "host/graph/element_range.h"
#include "host/graph/operation.h"

namespace unroll {

Graph& Tensor::graph() const {
  return *node_->graph;
}
const std::string& Tensor::name() const {
  return node_->name;
}
const Shape& Tensor::shape() const {
  return node_->outputs[std::size_t(index_)].shape;
}
DType Tensor::dtype() const {
  return node_->outputs[std::size_t(index_)].dtype;
}

Graph::Graph() = default;
Graph::~Graph() = default;

const Node& Graph::add(std::string_view name, std::shared_ptr<const Operation> operation,
                       std::vector<Tensor> inputs) {
  if (body_) return body_->add(name, std::move(operation), std::move(inputs));
  for (Tensor& input : inputs) {
    if (!input) throw std::invalid_argument(operation->kind() + ": an input is an empty tensor");
    const Tensor here = inside(input);
    if (!here)
      throw std::invalid_argument(operation->kind() + ": input '" + input.name() +
                                  "' belongs to another graph");
    input = here;
  }
  return add_here(name, std::move(operation), std::move(inputs));
}

const Node& Graph::add_here(std::string_view name, std::shared_ptr<const Operation> operation,
                            std::vector<Tensor> inputs) {
  std::vector<TensorType> types;
  for (const Tensor& input : inputs) types.push_back({input.shape(), input.dtype()});
  auto node = std::make_unique<Node>();
  node->graph = this;
  node->id = std::int64_t(nodes_.size());
  try {
    node->outputs = operation->infer(types);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(operation->kind() + ": " + error.what());
  }
  const std::string base = name.empty() ? operation->kind() : std::string(name);
  node->name = base;
  while (!names_.try_emplace(node->name, Name{node.get()}).second)
    node->name = base + "_" + std::to_string(names_[base].next_suffix++);
  node->operation = std::move(operation);
  node->inputs = std::move(inputs);
  nodes_.push_back(std::move(node));
  return *nodes_.back();
}

/// The tensor as this graph's nodes may read it: itself, or, in a body, the placeholder of one from
/// around it. Empty if it belongs elsewhere.
Tensor Graph::inside(Tensor tensor) {
  if (&tensor.graph() == this) return tensor;
  if (!parent_) return {};
  const Tensor outside = parent_->inside(tensor);
  if (!outside) return {};
  for (const auto& [known, here] : captured_)
    if (known == outside) return here;
  const TensorType type{outside.shape(), outside.dtype()};
  const Tensor here(&add_here(outside.name(), std::make_shared<PlaceholderOperation>(type), {}), 0);
  captured_.emplace_back(outside, here);
  return here;
}

Tensor Graph::placeholder(std::string_view name, const Shape& shape, DType dtype) {
  if (body_ || parent_)
    throw std::invalid_argument("placeholder '" + std::string(name) +
                                "': got one in a body, expected it outside");
  return {&add_here(name, std::make_shared<PlaceholderOperation>(TensorType{shape, dtype}), {}), 0};
}

Tensor Graph::variable(std::string_view name, const Shape& shape, const Initializer& initializer,
                       const VariableOptions& options) {
  if (parent_) return inside(parent_->variable(name, shape, initializer, options));
  if (shape.is_open())
    throw std::invalid_argument("variable '" + std::string(name) + "': shape " + to_string(shape) +
                                " is open");
  if (name.empty()) throw std::invalid_argument("variable: got an empty name, expected one");
  if (const auto found = names_.find(std::string(name)); found != names_.end()) {
    const Tensor known(found->second.node, 0);
    if (!operation_as<VariableOperation>(known))
      throw std::invalid_argument("variable '" + std::string(name) +
                                  "': another kind of node has this name");
    if (known.shape() != shape || known.dtype() != options.dtype)
      throw std::invalid_argument("variable '" + std::string(name) + "': got shape " +
                                  to_string(shape) + ", expected " + to_string(known.shape()) +
                                  " as before");
    return known;
  }
  VariableInfo info{std::string(name), {shape, options.dtype}, initializer, options.trainable};
  return {&add_here(name, std::make_shared<VariableOperation>(std::move(info)), {}), 0};
}

namespace {

TensorType listed(std::size_t values, const Shape& shape, DType dtype) {
  if (shape.is_open() || std::int64_t(values) != shape.elements())
    throw std::invalid_argument("constant: got " + std::to_string(values) +
                                " values, expected those of shape " + to_string(shape));
  return {shape, dtype};
}

}  // namespace

Tensor Graph::constant_of(std::span<const std::byte> bytes, const TensorType& type) {
  auto operation = std::make_shared<ConstantOperation>();
  operation->type = type;
  operation->bytes.assign(bytes.begin(), bytes.end());
  return {&add("", std::move(operation), {}), 0};
}

Tensor Graph::constant(double value, const Shape& shape, DType dtype) {
  if (shape.is_open())
    throw std::invalid_argument("constant: got shape " + to_string(shape) +
                                ", expected a closed one");
  const auto of = [&]<typename T>(T converted) {
    return constant_of(std::as_bytes(std::span(&converted, 1)), {shape, dtype});
  };
  if (!holds(dtype, value))
    throw std::invalid_argument("constant: got " + std::to_string(value) +
                                ", expected a value of " + to_string(dtype));
  switch (dtype) {
    case DType::kFloat32:
      return of(float(value));
    case DType::kInt32:
      return of(std::int32_t(value));
    case DType::kInt64:
      return of(std::int64_t(value));
    case DType::kBool:
      return of(value == 1);
    default:
      return of(value);
  }
}

Tensor Graph::constant(std::span<const float> values, const Shape& shape) {
  return constant_of(std::as_bytes(values), listed(values.size(), shape, dtype_of<float>()));
}
Tensor Graph::constant(std::span<const double> values, const Shape& shape) {
  return constant_of(std::as_bytes(values), listed(values.size(), shape, dtype_of<double>()));
}
Tensor Graph::constant(std::span<const std::int32_t> values, const Shape& shape) {
  return constant_of(std::as_bytes(values), listed(values.size(), shape, dtype_of<std::int32_t>()));
}
Tensor Graph::constant(std::span<const std::int64_t> values, const Shape& shape) {
  return constant_of(std::as_bytes(values), listed(values.size(), shape, dtype_of<std::int64_t>()));
}
Tensor Graph::constant(std::span<const bool> values, const Shape& shape) {
  return constant_of(std::as_bytes(values), listed(values.size(), shape, dtype_of<bool>()));
}

std::vector<Tensor> Graph::variables() const {
  std::vector<Tensor> found;
  for (const auto& node : nodes_)
    if (const Tensor tensor(node.get(), 0); operation_as<VariableOperation>(tensor))
      found.push_back(tensor);
  return found;
}

std::vector<Tensor> Graph::trainable_variables() const {
  std::vector<Tensor> found = variables();
  std::erase_if(found, [](const Tensor& variable) {
    return !operation_as<VariableOperation>(variable)->info.trainable;
  });
  return found;
}

void VariableOperation::attributes(const AttributeVisitor& visit) const {
  using Kind = Initializer::Kind;
  visit("trainable", info.trainable);
  switch (const Initializer& how = info.initializer; how.kind) {
    case Kind::kConstant:
      visit("initializer", "constant");
      visit("value", how.low);
      break;
    case Kind::kUniform:
      visit("initializer", "uniform");
      visit("low", how.low);
      visit("high", how.high);
      break;
    case Kind::kXavier:
    case Kind::kOrthogonal:
      visit("initializer", how.kind == Kind::kXavier ? "xavier" : "orthogonal");
      visit("blocks", how.blocks);
      break;
  }
}

void ConstantOperation::attributes(const AttributeVisitor& visit) const {
  const auto visit_values = [&]<typename T, typename Shown>(std::span<const T> list, Shown) {
    if (list.size() == 1)
      visit("value", Shown(list.front()));
    else
      visit("values", std::vector<Shown>(list.begin(), list.end()));
  };
  switch (type.dtype) {
    case DType::kFloat32:
      return visit_values(values<float>(), double());
    case DType::kFloat64:
      return visit_values(values<double>(), double());
    case DType::kInt32:
      return visit_values(values<std::int32_t>(), std::int64_t());
    case DType::kInt64:
      return visit_values(values<std::int64_t>(), std::int64_t());
    case DType::kBool:
      return visit_values(values<bool>(), std::int64_t());
    case DType::kByte:
      return;
  }
}

Tensor add_node(std::shared_ptr<const Operation> operation, std::vector<Tensor> inputs,
                std::string_view name) {
  if (inputs.empty() || !inputs.front())
    throw std::invalid_argument(operation->kind() + ": an input is an empty tensor");
  return {&inputs.front().graph().add(name, std::move(operation), inputs), 0};
}

bool shapes_agree(const Shape& a, const Shape& b) {
  return std::ranges::equal(a.dims(), b.dims(), dims_agree);
}

void shape_error(const std::string& got, const std::string& expected) {
  throw std::invalid_argument("got " + got + ", expected " + expected);
}

void require_rank(const TensorType& type, int rank, const char* what) {
  if (type.shape.rank() != rank)
    shape_error(std::string(what) + " " + to_string(type.shape),
                std::to_string(rank) + " dimensions");
}

void require_dtype(const TensorType& type, DType dtype, const char* what) {
  if (type.dtype != dtype)
    shape_error(std::string(what) + " of " + to_string(type.dtype), to_string(dtype));
}

std::int64_t agreed_dim(std::int64_t a, std::int64_t b, const char* what) {
  if (!dims_agree(a, b))
    shape_error(std::string(what) + " " + std::to_string(a) + " and " + std::to_string(b),
                "the same");
  return a == kOpen ? b : a;
}

int normal_axis(int axis, int rank) {
  const int normal = axis < 0 ? axis + rank : axis;
  if (normal < 0 || normal >= rank)
    shape_error("axis " + std::to_string(axis),
                "one of a tensor of " + std::to_string(rank) + " dimensions");
  return normal;
}

}  // namespace unroll
