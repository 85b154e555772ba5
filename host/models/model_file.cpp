#include "host/models/model_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "host/base/strict_json.h"
#include "host/base/utf8.h"
#include "host/models/checkpoint_format.h"
#include "host/models/stored_variables.h"

namespace unroll {
namespace {

/// The names of the tensors of model.safetensors.
std::vector<std::string> tensor_names(const Task& task) {
  std::vector<std::string> names;
  for (const VariableInfo& info : task.parameters()) names.push_back(info.name);
  for (const auto& [name, parameter] : task.copies()) names.push_back(name);
  return names;
}

}  // namespace

LoadedModel load_model(const std::filesystem::path& path, std::shared_ptr<Backend> backend,
                       const std::function<void(const std::string&)>& warn) {
  return model_from(load_checkpoint(path, {.damaged = warn, .most_bytes = most_bytes}),
                    std::move(backend));
}

std::int64_t most_bytes(const Checkpoint& checkpoint, const std::string& file) {
  // An optimiser holds few values for each parameter. Carried states are a batch of units; no
  // machine trains with that many.
  constexpr double kSlots = 4, kCarried = double(std::int64_t(1) << 36);
  constexpr double kHeader = 1e8, kMost = double(std::int64_t(1) << 62);
  double numbers = 0;
  for (const VariableInfo& info : model_parameters(checkpoint)) {
    double elements = 1;  // which may be more than 63 bits hold
    for (const std::int64_t size : info.type.shape.dims()) elements *= double(size);
    numbers += elements;
  }
  // A copy of a parameter is in the file beside it.
  const double values =
      checkpoint_format::kModel == file ? 2 * numbers : kSlots * numbers + kCarried;
  return std::int64_t(std::min(kHeader + sizeof(float) * values, kMost));
}

LoadedModel model_from(const Checkpoint& checkpoint, std::shared_ptr<Backend> backend) {
  const JsonObject config(checkpoint.config, (checkpoint.directory / "config.json").string());
  LoadedModel model{checkpoint.directory,
                    checkpoint.step,
                    read_task(checkpoint),
                    {config.string("corpus"), config.at("training"), config.at("metrics")},
                    std::make_shared<VariableStore>(std::move(backend), 0)};
  restore_parameters(checkpoint, *model.task, *model.store);
  return model;
}

void check_names(const SafetensorsFile& file, const std::vector<std::string>& names,
                 const std::string& where) {
  const std::set<std::string_view> known(names.begin(), names.end());
  for (const std::string& name : names)
    if (!file.find(name))
      throw std::runtime_error(fmt::format("{}: tensor '{}' is missing", where, name));
  for (const TensorData& tensor : file.tensors())
    if (!known.contains(tensor.name))
      throw std::runtime_error(
          fmt::format("{}: tensor {} is not one of the model's", where, in_quotes(tensor.name)));
}

void restore_parameters(const Checkpoint& checkpoint, const Task& task, VariableStore& store) {
  const std::string where = (checkpoint.directory / checkpoint_format::kModel).string();
  const SafetensorsFile& file = checkpoint.model;
  const std::vector<VariableInfo> infos = task.parameters();
  check_names(file, tensor_names(task), where);
  for (const VariableInfo& info : infos) check_type(*file.find(info.name), info.type, where);
  for (const auto& [name, parameter] : task.copies())
    if (!(file.find(name)->bytes == file.find(parameter)->bytes))
      throw std::runtime_error(
          fmt::format("{}: tied weights: {} differs from {}", where, name, parameter));
  for (const VariableInfo& info : infos) {
    store.require(info);
    write_variable(*file.find(info.name), where, Accepted::kFinite, store);
  }
}

void fail_task(const LoadedModel& model, const std::string& expected) {
  throw std::runtime_error(fmt::format("{}: got a model of the task {}, expected {}",
                                       model.directory.string(), model.task->name(), expected));
}

}  // namespace unroll
