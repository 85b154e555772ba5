#include "host/train/training_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

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

HostTensors read_variables(const VariableStore& store, const std::vector<std::string>& names) {
  HostTensors host;
  for (const std::string& name : names) {
    const View view = store.view(name);
    std::vector<std::byte>& bytes = host.bytes.emplace_back(view.bytes());
    store.backend().download(bytes.data(), view.data, bytes.size());
    const auto dims = view.shape.dims();
    host.tensors.push_back({name, stored_type(view.dtype), {dims.begin(), dims.end()}, bytes});
  }
  return host;
}

void write_variable(const TensorData& tensor, const std::string& where, VariableStore& store) {
  const View target = store.view(tensor.name);
  if (tensor.type != stored_type(target.dtype) ||
      !std::ranges::equal(tensor.shape, target.shape.dims()))
    throw std::runtime_error(
        fmt::format("{}: tensor '{}': got {} [{}], expected {} {}", where, tensor.name,
                    stored_type_name(tensor.type), fmt::join(tensor.shape, ", "),
                    stored_type_name(stored_type(target.dtype)), to_string(target.shape)));
  store.backend().upload(target.data, tensor.bytes.data(), tensor.bytes.size());
  store.touch(tensor.name);
}

}  // namespace unroll
