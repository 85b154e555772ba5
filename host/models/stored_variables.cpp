#include "host/models/stored_variables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <stdexcept>

#include "host/base/utf8.h"
#include "unroll/backend.h"
#include "unroll/optimizer.h"

namespace unroll {
namespace {

/// The place of the first value that is not accepted, or nothing.
std::optional<std::size_t> find_refused(std::span<const std::byte> piece, Accepted accepted) {
  for (std::size_t k = 0; k < piece.size() / sizeof(float); ++k) {
    float value = 0;
    std::memcpy(&value, piece.data() + k * sizeof value, sizeof value);
    if (std::isnan(value) || (accepted == Accepted::kFinite && !std::isfinite(value))) return k;
  }
  return std::nullopt;
}

/// The shapes that the variable may have in a checkpoint: its own, or that of earlier versions,
/// which had fewer numbers.
bool is_shape_of(const TensorData& tensor, const Shape& shape) {
  if (std::ranges::equal(tensor.shape, shape.dims())) return true;
  std::int64_t earlier = 0;
  if (tensor.name == Optimizer::kCounters) earlier = 4;
  if (tensor.name == Optimizer::kStatistics) earlier = 7;
  return earlier > 0 && shape.rank() == 1 && tensor.shape == std::vector<std::int64_t>{earlier};
}

}  // namespace

void clear_variables(const std::vector<std::string>& names, VariableStore& store) {
  for (const std::string& name : names) {
    const View state = store.view(name);
    store.backend().clear(state.data, state.bytes());
    store.touch(name);
  }
}

std::vector<TensorData> variable_tensors(const VariableStore& store,
                                         const std::vector<std::string>& names) {
  std::vector<TensorData> tensors;
  for (const std::string& name : names) {
    const View view = store.view(name);
    const auto read = [&store, view](std::int64_t at, std::span<std::byte> to) {
      store.backend().download(to.data(), static_cast<const std::byte*>(view.data) + at, to.size());
    };
    const auto dims = view.shape.dims();
    tensors.push_back({name,
                       stored_type_of(view.dtype),
                       {dims.begin(), dims.end()},
                       TensorBytes(static_cast<std::int64_t>(view.bytes()), read)});
  }
  return tensors;
}

void check_type(const TensorData& tensor, const TensorType& type, const std::string& where) {
  const StoredType expected = stored_type_of(type.dtype);
  if (tensor.type == expected && is_shape_of(tensor, type.shape)) return;
  throw std::runtime_error(fmt::format("{}: tensor {}: got {} [{}], expected {} {}", where,
                                       in_quotes(tensor.name), stored_type_name(tensor.type),
                                       fmt::join(tensor.shape, ", "), stored_type_name(expected),
                                       to_string(type.shape)));
}

void write_variable(const TensorData& tensor, const std::string& where, Accepted accepted,
                    VariableStore& store) {
  const View target = store.view(tensor.name);
  check_type(tensor, {target.shape, target.dtype}, where);
  const bool looks = target.dtype == DType::kFloat32 && accepted != Accepted::kAny;
  std::size_t at = 0;
  tensor.bytes.for_each_piece([&](std::span<const std::byte> piece) {
    if (const auto bad = looks ? find_refused(piece, accepted) : std::nullopt) {
      float value = 0;
      std::memcpy(&value, piece.data() + *bad * sizeof value, sizeof value);
      throw std::runtime_error(
          fmt::format("{}: tensor {}: value {} of {} is {}, expected {}", where,
                      in_quotes(tensor.name), at / sizeof value + *bad, to_string(target.shape),
                      value, accepted == Accepted::kFinite ? "finite numbers" : "numbers"));
    }
    store.backend().upload(static_cast<std::byte*>(target.data) + at, piece.data(), piece.size());
    at += piece.size();
  });
  if (at < target.bytes())  // the file of an earlier version has fewer
    store.backend().clear(static_cast<std::byte*>(target.data) + at, target.bytes() - at);
  store.touch(tensor.name);
}

}  // namespace unroll
