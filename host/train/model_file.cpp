#include "host/train/model_file.h"

#include <fmt/format.h>

#include <cstring>
#include <set>
#include <stdexcept>

#include "host/data/strict_json.h"
#include "host/train/checkpoint.h"

namespace unroll {
namespace {

constexpr std::int64_t kLargest = std::int64_t(1) << 31;
constexpr const char* kEncoder = "encoder.weight";
constexpr const char* kDecoder = "decoder.weight";

nlohmann::json to_json(const LanguageModelConfig& model) {
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

CellKind cell_from(const JsonObject& json) {
  const std::string name = json.string("cell");
  for (const CellKind cell : {CellKind::kRnnTanh, CellKind::kRnnRelu, CellKind::kRnnLogistic,
                              CellKind::kLstm, CellKind::kGru})
    if (to_string(cell) == name) return cell;
  throw std::runtime_error(json.where() + ": cell: got '" + name +
                           "', expected rnn_tanh, rnn_relu, rnn_logistic, lstm or gru");
}

GruReset reset_from(const JsonObject& json) {
  const std::string name = json.string("gru_reset");
  if (name == "before") return GruReset::kBefore;
  if (name == "after") return GruReset::kAfter;
  throw std::runtime_error(json.where() + ": gru_reset: got '" + name +
                           "', expected before or after");
}

LanguageModelConfig model_from(const JsonObject& json) {
  LanguageModelConfig model;
  if (json.string("type") != "language_model")
    throw std::runtime_error(json.where() + ": type: got '" + json.string("type") +
                             "', expected language_model");
  model.cell = cell_from(json);
  if (model.cell == CellKind::kGru) model.reset = reset_from(json);
  model.vocabulary = json.integer("vocabulary", 2, kLargest);
  model.embedding = json.integer("embedding", 1, kLargest);
  const nlohmann::json& hidden = json.at("hidden");
  if (!hidden.is_array() || hidden.empty())
    throw std::runtime_error(json.where() + ": hidden: got " + hidden.dump() +
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

void load_parameter(const SafetensorsFile& file, const VariableInfo& info, const std::string& name,
                    const std::string& where, VariableStore& store) {
  const TensorData* tensor = file.find(name);
  if (!tensor) throw std::runtime_error(where + ": tensor '" + name + "' is missing");
  const std::span<const std::int64_t> dims = info.type.shape.dims();
  if (tensor->type != StoredType::kF32 || !std::ranges::equal(tensor->shape, dims))
    throw std::runtime_error(where + ": tensor '" + name + "': got " +
                             std::string(stored_type_name(tensor->type)) + " " +
                             to_string(Shape(std::span<const std::int64_t>(tensor->shape))) +
                             ", expected F32 " + to_string(info.type.shape));
  std::vector<float> values(tensor->bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor->bytes.data(), tensor->bytes.size());
  store.require(info);
  store.write<float>(info.name, values);
}

}  // namespace

std::filesystem::path save_model(const std::filesystem::path& run_dir, std::int64_t step,
                                 const ModelDescription& description, const Tokenizer& tokenizer,
                                 const VariableStore& store, bool best) {
  CheckpointContent content;
  content.config = {
      {"model", to_json(description.model)}, {"tokenizer", {{"type", to_string(tokenizer.kind())}}},
      {"corpus", description.corpus},        {"training", description.training},
      {"metrics", description.metrics},      {"unroll_version", UNROLL_VERSION}};
  if (tokenizer.kind() != TokenizerKind::kByte) content.vocabulary = tokenizer.vocabulary_text();
  if (description.model.cell == CellKind::kGru && description.model.reset == GruReset::kBefore)
    content.metadata["gru_reset"] = "before: not PyTorch's GRU, which would compute something else";

  std::vector<std::vector<float>> values;
  std::vector<TensorData> tensors;
  for (const VariableInfo& info : parameters(description.model)) {
    values.push_back(store.read<float>(info.name));
    const auto dims = info.type.shape.dims();
    tensors.push_back({info.name,
                       StoredType::kF32,
                       {dims.begin(), dims.end()},
                       std::as_bytes(std::span<const float>(values.back()))});
    if (description.model.tied && info.name == kEncoder) {
      tensors.push_back(tensors.back());
      tensors.back().name = kDecoder;
    }
  }
  content.tensors = std::move(tensors);
  constexpr int kKept = 2;  // the newest, beside the best
  return save_checkpoint(run_dir, step, content, best, kKept);
}

LoadedModel load_model(const std::filesystem::path& path, std::shared_ptr<Backend> backend) {
  Checkpoint checkpoint = load_checkpoint(path);
  const std::string where = (checkpoint.directory / "config.json").string();
  const JsonObject config(checkpoint.config, where);
  ModelDescription description;
  description.model = model_from(config.object("model"));
  description.corpus = config.string("corpus");
  description.training = config.at("training");
  description.metrics = config.at("metrics");
  Tokenizer tokenizer = tokenizer_from(config.object("tokenizer"), checkpoint);
  if (tokenizer.size() != description.model.vocabulary)
    throw std::runtime_error((checkpoint.directory / "vocab.txt").string() + ": got " +
                             std::to_string(tokenizer.size()) + " tokens, expected " +
                             std::to_string(description.model.vocabulary) + " as in config.json");

  auto store = std::make_shared<VariableStore>(std::move(backend), 0);
  const std::string tensors = (checkpoint.directory / "model.safetensors").string();
  std::set<std::string> expected;
  for (const VariableInfo& info : parameters(description.model)) {
    load_parameter(checkpoint.model, info, info.name, tensors, *store);
    expected.insert(info.name);
  }
  if (description.model.tied) {
    const TensorData* encoder = checkpoint.model.find(kEncoder);
    const TensorData* decoder = checkpoint.model.find(kDecoder);
    if (!decoder || !std::ranges::equal(encoder->bytes, decoder->bytes))
      throw std::runtime_error(tensors + ": tied weights: " + kDecoder +
                               " is missing or differs from " + kEncoder);
    expected.insert(kDecoder);
  }
  for (const std::string& name : checkpoint.model.names())
    if (!expected.contains(name))
      throw std::runtime_error(
          fmt::format("{}: tensor '{}' is not one of the model's", tensors, name));
  return {checkpoint.directory, checkpoint.step, std::move(description), std::move(tokenizer),
          std::move(store)};
}

}  // namespace unroll
