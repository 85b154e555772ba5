#include "host/train/training_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>

#include "host/data/utf8.h"

namespace unroll {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr double kFinite = std::numeric_limits<double>::max();

StoredType stored_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return StoredType::kF32;
    case DType::kInt32:
      return StoredType::kI32;
    case DType::kInt64:
      return StoredType::kI64;
    case DType::kByte:
      return StoredType::kU8;
  }
  throw std::invalid_argument("a variable of unknown type");
}

/// The place of the first value that is not accepted, or nothing.
std::optional<std::size_t> find_refused(std::span<const std::byte> piece, Accepted accepted) {
  for (std::size_t k = 0; k < piece.size() / sizeof(float); ++k) {
    float value = 0;
    std::memcpy(&value, piece.data() + k * sizeof value, sizeof value);
    if (std::isnan(value) || (accepted == Accepted::kFinite && !std::isfinite(value))) return k;
  }
  return std::nullopt;
}

/// Lists the members of Progress once, for both directions.
template <typename P, typename Visit>
void visit(P& p, Visit&& member) {
  member("step", p.step, 0);
  member("epoch", p.epoch, 1);
  member("position", p.position, 0);
  member("best_log_prob", p.best.log_prob, -kFinite);
  member("best_tokens", p.best.tokens, 0);
  member("best_hits", p.best.hits, 0);
  member("best_step", p.best_step, 0);
  member("best_epoch", p.best_epoch, 0);
  member("last_log_prob", p.last.log_prob, -kFinite);
  member("last_tokens", p.last.tokens, 0);
  member("last_hits", p.last.hits, 0);
  member("evaluated_step", p.evaluated_step, -1);
  member("without_gain", p.without_gain, 0);
  member("epoch_improved", p.epoch_improved, 0);
  member("rate_divisor", p.rate_divisor, 1);
  member("rate_scale", p.rate_scale, 0);
  member("scheduled_save", p.scheduled_save, 0);
  member("rollbacks", p.rollbacks, 0);
  member("skipped", p.skipped, 0);
  member("interval_start", p.interval_start, 0);
  member("metrics_bytes", p.metrics_bytes, 0);
  member("seconds", p.seconds, 0);
}

}  // namespace

nlohmann::json to_json(const Progress& progress) {
  nlohmann::json json;
  visit(progress, [&](const char* name, const auto& value, auto) { json[name] = value; });
  return json;
}

Progress progress_from(const JsonObject& json) {
  struct Read {
    const JsonObject& json;
    void operator()(const char* name, std::int64_t& value, std::int64_t low) const {
      value = json.integer(name, low, kMost);
    }
    void operator()(const char* name, double& value, double low) const {
      value = json.number(name, low, kFinite);
    }
    void operator()(const char* name, bool& value, int) const { value = json.boolean(name); }
  };
  Progress progress;
  visit(progress, Read{json});
  return progress;
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
                       stored_type(view.dtype),
                       {dims.begin(), dims.end()},
                       TensorBytes(static_cast<std::int64_t>(view.bytes()), read)});
  }
  return tensors;
}

void check_type(const TensorData& tensor, const TensorType& type, const std::string& where) {
  const StoredType expected = stored_type(type.dtype);
  if (tensor.type == expected && std::ranges::equal(tensor.shape, type.shape.dims())) return;
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
  store.touch(tensor.name);
}

}  // namespace unroll
