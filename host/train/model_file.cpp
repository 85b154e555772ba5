#include "host/train/model_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string_view>

#include "host/base/strict_json.h"
#include "host/base/utf8.h"
#include "unroll/version.h"

namespace unroll {
namespace {

constexpr std::int64_t kLargest = std::int64_t(1) << 31;
constexpr const char* kModelFile = "model.safetensors";
constexpr const char* kProgress = "progress.json";
constexpr const char* kModelKey = "unroll";
constexpr const char* kResetKey = "gru_reset";  // for people who read PyTorch's way

CellKind cell_from(const JsonObject& json) {
  const std::string name = json.string("cell");
  for (const CellKind cell : kCellKinds)
    if (to_string(cell) == name) return cell;
  throw std::runtime_error(json.where() + ": cell: got " + in_quotes(name) +
                           ", expected rnn_tanh, rnn_relu, rnn_logistic, lstm or gru");
}

GruReset reset_from(const JsonObject& json) {
  const std::string name = json.string("gru_reset");
  if (name == "before") return GruReset::kBefore;
  if (name == "after") return GruReset::kAfter;
  throw std::runtime_error(json.where() + ": gru_reset: got " + in_quotes(name) +
                           ", expected before or after");
}

InputGate input_gate_from(const JsonObject& json) {
  const std::string name = json.string("lstm_gates");
  for (const InputGate gate : kInputGates)
    if (to_string(gate) == name) return gate;
  throw std::runtime_error(json.where() + ": lstm_gates: got " + in_quotes(name) +
                           ", expected separate, coupled or capped");
}

/// What an LSTM may have; files without these keys have nothing of it.
void read_variants(const JsonObject& json, LanguageModelConfig& model) {
  if (json.has("lstm_gates")) model.input_gate = input_gate_from(json);
  if (json.has("layer_norm")) model.layer_norm = json.boolean("layer_norm");
  if (json.has("projection")) model.projection = json.integer("projection", 0, kLargest);
}

std::vector<std::string> parameter_names(const LanguageModelConfig& model) {
  std::vector<std::string> names;
  for (const VariableInfo& info : parameters(model)) names.push_back(info.name);
  return names;
}

/// The file's tensors must be exactly `names`, and may be `also`.
void check_names(const SafetensorsFile& file, const std::vector<std::string>& names,
                 const std::string& also, const std::string& where) {
  const std::set<std::string_view> known(names.begin(), names.end());
  for (const std::string& name : names)
    if (!file.find(name))
      throw std::runtime_error(fmt::format("{}: tensor '{}' is missing", where, name));
  for (const TensorData& tensor : file.tensors())
    if (tensor.name != also && !known.contains(tensor.name))
      throw std::runtime_error(
          fmt::format("{}: tensor {} is not one of the model's", where, in_quotes(tensor.name)));
}

nlohmann::json tokenizer_to_json(TokenizerKind kind) {
  return {{"type", to_string(kind)}};
}

TokenizerKind tokenizer_from(const JsonObject& json) {
  const std::string name = json.string("type");
  const std::optional<TokenizerKind> kind = tokenizer_kind(name);
  if (!kind)
    throw std::runtime_error(fmt::format("{}: type: got {}, expected word, char or byte",
                                         json.where(), in_quotes(name)));
  return *kind;
}

Tokenizer read_tokenizer(TokenizerKind kind, const Checkpoint& checkpoint) {
  if (kind != TokenizerKind::kByte && !checkpoint.vocabulary)
    throw std::runtime_error(checkpoint.directory.string() + ": vocab.txt is missing");
  return Tokenizer::parse(kind, checkpoint.vocabulary.value_or(""),
                          (checkpoint.directory / "vocab.txt").string());
}

}  // namespace

nlohmann::json model_to_json(const LanguageModelConfig& model) {
  nlohmann::json json = {{"type", "language_model"},
                         {"cell", to_string(model.cell)},
                         {"vocabulary", model.vocabulary},
                         {"embedding", model.embedding},
                         {"hidden", model.hidden},
                         {"dropout", model.dropout},
                         {"tied", model.tied}};
  if (model.cell == CellKind::kGru)
    json["gru_reset"] = model.reset == GruReset::kBefore ? "before" : "after";
  if (model.input_gate != InputGate::kSeparate) json["lstm_gates"] = to_string(model.input_gate);
  if (model.layer_norm) json["layer_norm"] = true;
  if (model.projection > 0) json["projection"] = model.projection;
  return json;
}

LanguageModelConfig model_from_json(const JsonObject& json) {
  LanguageModelConfig model;
  if (json.string("type") != "language_model")
    throw std::runtime_error(json.where() + ": type: got " + in_quotes(json.string("type")) +
                             ", expected language_model");
  model.cell = cell_from(json);
  if (model.cell == CellKind::kGru) model.reset = reset_from(json);
  model.vocabulary = json.integer("vocabulary", 2, kLargest);
  model.embedding = json.integer("embedding", 0, kLargest);
  const nlohmann::json& hidden = json.at("hidden");
  if (!hidden.is_array() || hidden.empty())
    throw std::runtime_error(json.where() + ": hidden: got " +
                             (hidden.is_array() ? "an empty one" : hidden.type_name()) +
                             ", expected a list of layer sizes");
  model.hidden.clear();
  for (std::size_t k = 0; k < hidden.size(); ++k) {
    const nlohmann::json member = {{"units", hidden[k]}};
    model.hidden.push_back(
        JsonObject(member, json.where() + ": hidden").integer("units", 1, kLargest));
  }
  model.dropout = json.number("dropout", 0, 1);
  model.tied = json.boolean("tied");
  read_variants(json, model);
  try {
    model.check();
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(json.where() + ": " + error.what());
  }
  return model;
}

TensorMetadata model_metadata(const StoredModel& model) {
  const nlohmann::json json = {{"model", model_to_json(model.config)},
                               {"tokenizer", tokenizer_to_json(model.tokenizer)}};
  TensorMetadata metadata = {{kModelKey, json.dump()}};
  if (model.config.cell == CellKind::kGru && model.config.reset == GruReset::kBefore)
    metadata[kResetKey] = "before: not PyTorch's GRU, which would compute something else";
  return metadata;
}

std::optional<StoredModel> stored_model(const TensorMetadata& metadata, const std::string& where) {
  const auto found = metadata.find(kModelKey);
  if (found == metadata.end()) return std::nullopt;
  const std::string name = fmt::format("{}: metadata '{}'", where, kModelKey);
  const nlohmann::json json = parse_json(found->second, name);
  const JsonObject object(json, name);
  return StoredModel{model_from_json(object.object("model")),
                     tokenizer_from(object.object("tokenizer"))};
}

std::filesystem::path save_model(const std::filesystem::path& run_dir, std::int64_t step,
                                 const ModelDescription& description, const Tokenizer& tokenizer,
                                 const VariableStore& store, const CheckpointSave& options,
                                 const ResumeState* state) {
  CheckpointContent content;
  content.config = {{"model", model_to_json(description.model)},
                    {"tokenizer", tokenizer_to_json(tokenizer.kind())},
                    {"corpus", description.corpus},
                    {"training", description.training},
                    {"metrics", description.metrics},
                    {"unroll_version", kVersion}};
  if (tokenizer.kind() != TokenizerKind::kByte) content.vocabulary = tokenizer.vocabulary_text();
  content.metadata = model_metadata({description.model, tokenizer.kind()});
  content.tensors = variable_tensors(store, parameter_names(description.model));
  if (description.model.tied) {
    content.tensors.push_back(variable_tensors(store, {kEncoder}).front());
    content.tensors.back().name = kDecoder;
  }
  if (state) {
    content.state = variable_tensors(store, state->variables);
    content.files[kProgress] = format_json(to_json(state->progress), kProgress);
  }
  return save_checkpoint(run_dir, step, content, options);
}

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
  const JsonObject config(checkpoint.config, (checkpoint.directory / "config.json").string());
  double numbers = 0;
  for (const VariableInfo& info : parameters(model_from_json(config.object("model")))) {
    double elements = 1;  // which may be more than 63 bits hold
    for (const std::int64_t size : info.type.shape.dims()) elements *= double(size);
    numbers += elements;
  }
  // A tied decoder is in the file twice.
  const double bytes =
      kHeader + sizeof(float) * (kModelFile == file ? 2 * numbers : kSlots * numbers + kCarried);
  return std::int64_t(std::min(bytes, kMost));
}

LoadedModel model_from(const Checkpoint& checkpoint, std::shared_ptr<Backend> backend) {
  const std::string where = (checkpoint.directory / "config.json").string();
  const JsonObject config(checkpoint.config, where);
  ModelDescription description;
  description.model = model_from_json(config.object("model"));
  description.corpus = config.string("corpus");
  description.training = config.at("training");
  description.metrics = config.at("metrics");
  Tokenizer tokenizer = read_tokenizer(tokenizer_from(config.object("tokenizer")), checkpoint);
  if (tokenizer.size() != description.model.vocabulary)
    throw std::runtime_error((checkpoint.directory / "vocab.txt").string() + ": got " +
                             std::to_string(tokenizer.size()) + " tokens, expected " +
                             std::to_string(description.model.vocabulary) + " as in config.json");

  auto store = std::make_shared<VariableStore>(std::move(backend), 0);
  restore_parameters(checkpoint, description.model, *store);
  return {checkpoint.directory, checkpoint.step, std::move(description), std::move(tokenizer),
          std::move(store)};
}

void restore_parameters(const Checkpoint& checkpoint, const LanguageModelConfig& model,
                        VariableStore& store) {
  const std::string where = (checkpoint.directory / kModelFile).string();
  const std::vector<VariableInfo> infos = parameters(model);
  check_names(checkpoint.model, parameter_names(model), model.tied ? kDecoder : "", where);
  for (const VariableInfo& info : infos)
    check_type(*checkpoint.model.find(info.name), info.type, where);
  if (model.tied) {
    const TensorData* decoder = checkpoint.model.find(kDecoder);
    if (!decoder || !(decoder->bytes == checkpoint.model.find(kEncoder)->bytes))
      throw std::runtime_error(where + ": tied weights: " + kDecoder +
                               " is missing or differs from " + kEncoder);
  }
  for (const VariableInfo& info : infos) {
    store.require(info);
    write_variable(*checkpoint.model.find(info.name), where, Accepted::kFinite, store);
  }
}

Progress restore_state(const Checkpoint& checkpoint, const std::vector<std::string>& variables,
                       VariableStore& store) {
  const std::string where = checkpoint.directory.string();
  const auto progress = checkpoint.files.find(kProgress);
  if (!checkpoint.state || progress == checkpoint.files.end())
    throw std::runtime_error(where +
                             ": holds a model without the state of its training, expected "
                             "both to go on from");
  const std::string tensors = where + "/state.safetensors";
  check_names(*checkpoint.state, variables, "", tensors);
  for (const std::string& name : variables)
    write_variable(*checkpoint.state->find(name), tensors,
                   // A refused step may have left infinity or NaN there.
                   name == Optimizer::kStatistics ? Accepted::kAny : Accepted::kNumbers, store);
  const std::string file = where + "/" + kProgress;
  const nlohmann::json json = parse_json(progress->second, file);
  return progress_from(JsonObject(json, file));
}

}  // namespace unroll
