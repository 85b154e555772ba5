#include "host/train/model_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "host/data/strict_json.h"
#include "host/data/utf8.h"

namespace unroll {
namespace {

constexpr std::int64_t kLargest = std::int64_t(1) << 31;
constexpr const char* kEncoder = "encoder.weight";
constexpr const char* kDecoder = "decoder.weight";
constexpr const char* kProgress = "progress.json";

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

std::vector<std::string> parameter_names(const LanguageModelConfig& model) {
  std::vector<std::string> names;
  for (const VariableInfo& info : parameters(model)) names.push_back(info.name);
  return names;
}

/// Writes the tensors of a file, which must be exactly `names`, and may be `also`, to the store.
void restore(const SafetensorsFile& file, const std::vector<std::string>& names,
             const std::string& also, const std::string& where, VariableStore& store) {
  for (const std::string& name : names) {
    const TensorData* tensor = file.find(name);
    if (!tensor) throw std::runtime_error(where + ": tensor '" + name + "' is missing");
    write_variable(*tensor, where, store);
  }
  for (const std::string& name : file.names())
    if (name != also && std::ranges::find(names, name) == names.end())
      throw std::runtime_error(
          fmt::format("{}: tensor {} is not one of the model's", where, in_quotes(name)));
}

Tokenizer tokenizer_from(const JsonObject& json, const Checkpoint& checkpoint) {
  const std::optional<TokenizerKind> kind = tokenizer_kind(json.string("type"));
  if (!kind)
    throw std::runtime_error(json.where() + ": type: got '" + json.string("type") +
                             "', expected word, char or byte");
  if (*kind != TokenizerKind::kByte && !checkpoint.vocabulary)
    throw std::runtime_error(checkpoint.directory.string() + ": vocab.txt is missing");
  return Tokenizer::parse(*kind, checkpoint.vocabulary.value_or(""),
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
  try {
    model.check();
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(json.where() + ": " + error.what());
  }
  return model;
}

std::filesystem::path save_model(const std::filesystem::path& run_dir, std::int64_t step,
                                 const ModelDescription& description, const Tokenizer& tokenizer,
                                 const VariableStore& store, const CheckpointSave& options,
                                 const ResumeState* state) {
  CheckpointContent content;
  content.config = {{"model", model_to_json(description.model)},
                    {"tokenizer", {{"type", to_string(tokenizer.kind())}}},
                    {"corpus", description.corpus},
                    {"training", description.training},
                    {"metrics", description.metrics},
                    {"unroll_version", UNROLL_VERSION}};
  if (tokenizer.kind() != TokenizerKind::kByte) content.vocabulary = tokenizer.vocabulary_text();
  if (description.model.cell == CellKind::kGru && description.model.reset == GruReset::kBefore)
    content.metadata["gru_reset"] = "before: not PyTorch's GRU, which would compute something else";

  const HostTensors values = read_variables(store, parameter_names(description.model));
  content.tensors = values.tensors;
  if (description.model.tied)
    for (const TensorData& tensor : values.tensors)
      if (tensor.name == kEncoder) {
        content.tensors.push_back(tensor);
        content.tensors.back().name = kDecoder;
      }
  HostTensors state_values;
  if (state) {
    state_values = read_variables(store, state->variables);
    content.state = state_values.tensors;
    content.files[kProgress] = format_json(to_json(state->progress), kProgress);
  }
  return save_checkpoint(run_dir, step, content, options);
}

LoadedModel load_model(const std::filesystem::path& path, std::shared_ptr<Backend> backend,
                       const std::function<void(const std::string&)>& warn) {
  return model_from(load_checkpoint(path, {.damaged = warn}), std::move(backend));
}

LoadedModel model_from(Checkpoint checkpoint, std::shared_ptr<Backend> backend) {
  const std::string where = (checkpoint.directory / "config.json").string();
  const JsonObject config(checkpoint.config, where);
  ModelDescription description;
  description.model = model_from_json(config.object("model"));
  description.corpus = config.string("corpus");
  description.training = config.at("training");
  description.metrics = config.at("metrics");
  Tokenizer tokenizer = tokenizer_from(config.object("tokenizer"), checkpoint);
  if (tokenizer.size() != description.model.vocabulary)
    throw std::runtime_error((checkpoint.directory / "vocab.txt").string() + ": got " +
                             std::to_string(tokenizer.size()) + " tokens, expected " +
                             std::to_string(description.model.vocabulary) + " as in config.json");

  auto store = std::make_shared<VariableStore>(std::move(backend), 0);
  for (const VariableInfo& info : parameters(description.model)) store->require(info);
  restore_parameters(checkpoint, description.model, *store);
  return {checkpoint.directory, checkpoint.step, std::move(description), std::move(tokenizer),
          std::move(store)};
}

void restore_parameters(const Checkpoint& checkpoint, const LanguageModelConfig& model,
                        VariableStore& store) {
  const std::string where = (checkpoint.directory / "model.safetensors").string();
  std::vector<std::string> names = parameter_names(model);
  restore(checkpoint.model, names, model.tied ? kDecoder : "", where, store);
  if (!model.tied) return;
  const TensorData *encoder = checkpoint.model.find(kEncoder),
                   *decoder = checkpoint.model.find(kDecoder);
  if (!decoder || !std::ranges::equal(encoder->bytes, decoder->bytes))
    throw std::runtime_error(where + ": tied weights: " + kDecoder +
                             " is missing or differs from " + kEncoder);
}

Progress restore_state(const Checkpoint& checkpoint, const std::vector<std::string>& variables,
                       VariableStore& store) {
  const std::string where = checkpoint.directory.string();
  const auto progress = checkpoint.files.find(kProgress);
  if (!checkpoint.state || progress == checkpoint.files.end())
    throw std::runtime_error(where +
                             ": holds a model without the state of its training, expected "
                             "both to go on from");
  restore(*checkpoint.state, variables, "", where + "/state.safetensors", store);
  const std::string file = where + "/" + kProgress;
  const nlohmann::json json = parse_json(progress->second, file);
  return progress_from(JsonObject(json, file));
}

}  // namespace unroll
