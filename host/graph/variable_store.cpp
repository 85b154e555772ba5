#include "unroll/variable_store.h"

#include <atomic>
#include <stdexcept>
#include <utility>

#include "unroll/backend.h"

namespace unroll {
namespace {

/// Unique over all stores, so that a version seen once never means anything else.
std::uint64_t new_version() {
  static std::atomic<std::uint64_t> counter{0};
  return ++counter;
}

void require_size(const std::string& name, const View& view, DType dtype, std::size_t size) {
  if (view.dtype != dtype || view.elements() != std::int64_t(size))
    throw std::invalid_argument("variable '" + name + "': got " + std::to_string(size) + " " +
                                to_string(dtype) + " values, expected " + to_string(view.dtype) +
                                " " + to_string(view.shape));
}

}  // namespace

VariableStore::VariableStore(std::shared_ptr<Backend> backend, std::uint64_t seed)
    : backend_(std::move(backend)), seed_(seed) {}

std::vector<std::string> VariableStore::names() const {
  std::vector<std::string> names;
  for (const auto& [name, variable] : variables_) names.push_back(name);
  return names;
}

void VariableStore::require(const VariableInfo& info) {
  if (const auto found = variables_.find(info.name); found != variables_.end()) {
    const TensorType& type = found->second.type;
    if (type.shape != info.type.shape || type.dtype != info.type.dtype)
      throw std::invalid_argument("variable '" + info.name + "': got " +
                                  to_string(info.type.dtype) + " " + to_string(info.type.shape) +
                                  ", expected " + to_string(type.dtype) + " " +
                                  to_string(type.shape) + " as in the store");
    return;
  }
  const std::size_t elements = std::size_t(info.type.shape.elements());
  const std::size_t bytes = elements * size_of(info.type.dtype);
  Variable variable{info.type, backend_->allocate(bytes), new_version()};
  if (info.initializer.kind == Initializer::Kind::kConstant && info.initializer.low == 0) {
    backend_->clear(variable.memory.get(), bytes);
  } else if (info.type.dtype == DType::kFloat32) {
    std::vector<float> values(elements);
    initialize(info.initializer, info.type.shape, seed_, info.name, values);
    backend_->upload(variable.memory.get(), values.data(), bytes);
  } else {
    throw std::invalid_argument("variable '" + info.name + "': got an initializer for " +
                                to_string(info.type.dtype) +
                                ", expected constant(0): only float32 starts otherwise");
  }
  variables_.emplace(info.name, std::move(variable));
}

const VariableStore::Variable& VariableStore::find(const std::string& name) const {
  const auto found = variables_.find(name);
  if (found == variables_.end())
    throw std::invalid_argument("no variable is called '" + name + "'");
  return found->second;
}

View VariableStore::view(const std::string& name) const {
  const Variable& variable = find(name);
  return {variable.memory.get(), variable.type.shape, variable.type.dtype, &variable.version};
}

void VariableStore::touch(const std::string& name) {
  const_cast<Variable&>(find(name)).version = new_version();
}

void VariableStore::write_bytes(const std::string& name, const void* values, std::size_t size,
                                DType dtype) {
  const View target = view(name);
  require_size(name, target, dtype, size);
  backend_->upload(target.data, values, target.bytes());
  touch(name);
}

void VariableStore::read_bytes(const std::string& name, void* values, std::size_t size,
                               DType dtype) const {
  const View source = view(name);
  require_size(name, source, dtype, size);
  backend_->download(values, source.data, source.bytes());
}

}  // namespace unroll
