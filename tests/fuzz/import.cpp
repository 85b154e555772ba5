/// Fuzz target: foreign weights, a safetensors file after a byte of options. Accepted input is a
/// model whose own file is imported as the same model, without options.
#include "host/train/import.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "host/models/stored_variables.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

/// One for all inputs: making it takes longer than reading one.
std::shared_ptr<Backend> backend() {
  static const std::shared_ptr<Backend> made = cpu(1);
  return made;
}

/// The lower bits choose a cell or none, the next ones the other options.
ImportOptions options_of(std::uint8_t byte) {
  ImportOptions options;
  if (const std::size_t cell = byte % 8; cell < kCellKinds.size()) options.cell = kCellKinds[cell];
  if (byte & 8) options.reset = byte & 16 ? GruReset::kBefore : GruReset::kAfter;
  if (byte & 32) options.dropout = 0.5;
  if (byte & 64) options.tokenizer = TokenizerKind::kByte;
  if (byte & 128) options.input_gate = byte & 16 ? InputGate::kCapped : InputGate::kCoupled;
  return options;
}

/// The file that this program writes for a model.
std::string file_of(const ImportedModel& model) {
  std::vector<std::string> names;
  for (const VariableInfo& info : LanguageModelTask(model.config).parameters())
    names.push_back(info.name);
  const SafetensorsImage image =
      make_safetensors(variable_tensors(*model.store, names),
                       metadata_of({model.config, model.tokenizer, model.start}));
  std::string text = image.header;
  for (const TensorBytes& bytes : image.data)
    bytes.for_each_piece([&](std::span<const std::byte> piece) {
      text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    });
  return text;
}

SafetensorsFile parse(std::string_view text, const std::string& name) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  return SafetensorsFile::parse({bytes.begin(), bytes.end()}, name);
}

void check(const ImportedModel& model) {
  model.config.check();
  const std::string written = file_of(model);
  const ImportedModel again = import_weights(parse(written, "again"), "again", {}, backend());
  require(to_json(again.config) == to_json(model.config), "the model comes back");
  require(again.tokenizer == model.tokenizer && again.start == model.start, "its tokens come back");
  require(again.notes.empty(), "nothing is concluded of a file of ours");
  require(file_of(again) == written, "its values come back");
}

/// A model with that cell and all parameters zero.
ImportedModel small_model(CellKind cell, bool tied) {
  LanguageModelConfig config;
  config.cell = cell;
  config.vocabulary = 3;
  config.embedding = 3;
  config.hidden = {8, 3};
  config.tied = tied;
  auto store = std::make_shared<VariableStore>(backend(), 0);
  for (const VariableInfo& info : LanguageModelTask(config).parameters()) store->require(info);
  return {config, TokenizerKind::kWord, "", store, {}};
}

/// The same with an LSTM that has everything.
ImportedModel varied_model() {
  LanguageModelConfig config{{.vocabulary = 3, .embedding = 2, .hidden = {4, 3}}, true};
  config.input_gate = InputGate::kCoupled;
  config.layer_norm = true;
  config.projection = 2;
  auto store = std::make_shared<VariableStore>(backend(), 0);
  for (const VariableInfo& info : LanguageModelTask(config).parameters()) store->require(info);
  return {config, TokenizerKind::kWord, "", store, {}};
}

/// The file as PyTorch would write it: with other metadata.
std::string foreign(const ImportedModel& model, const TensorMetadata& metadata) {
  const SafetensorsFile ours = parse(file_of(model), "ours");
  const SafetensorsImage image = make_safetensors(ours.tensors(), metadata);
  std::string text = image.header;
  for (const TensorBytes& bytes : image.data) text.append(std::size_t(bytes.size()), '\0');
  return text;
}

/// The same as a wrapper of AWD-LSTM would write it, in a type of so many bytes.
std::string wrapped(const ImportedModel& model, StoredType type, std::size_t size) {
  const SafetensorsFile ours = parse(file_of(model), "ours");
  std::vector<TensorData> tensors;
  const std::vector<std::byte> zeros(1 << 12);
  for (TensorData tensor : ours.tensors()) {
    tensor.type = type;
    tensor.bytes = std::span<const std::byte>(zeros).first(std::size_t(tensor.bytes.size()) /
                                                           sizeof(float) * size);
    if (const std::size_t layer = tensor.name.find("_l"); tensor.name.starts_with("rnn."))
      tensor.name = "rnns." + tensor.name.substr(layer + 2) + ".module." +
                    tensor.name.substr(4, layer - 4) + "_l0" +
                    (tensor.name.starts_with("rnn.weight_hh") ? "_raw" : "");
    tensor.name = "module." + tensor.name;
    tensors.push_back(std::move(tensor));
  }
  const SafetensorsImage image = make_safetensors(tensors);
  std::string text = image.header;
  for (const TensorBytes& bytes : image.data) text.append(std::size_t(bytes.size()), '\0');
  return text;
}

}  // namespace

std::vector<std::string> seeds() {
  return {
      '\x7' + file_of(small_model(CellKind::kRnnRelu, false)),
      '\x7' + foreign(small_model(CellKind::kLstm, false), {}),
      '\x9' + foreign(small_model(CellKind::kGru, false), {{"gru_reset", "before"}}),
      '\x7' + foreign(small_model(CellKind::kLstm, true), {{"decoder.weight", "encoder.weight"}}),
      '\x42' + foreign(small_model(CellKind::kRnnTanh, false), {}),
      '\x7' + file_of(varied_model()),
      '\x87' + foreign(varied_model(), {}),
      '\x7' + wrapped(small_model(CellKind::kLstm, false), StoredType::kF16, 2),
      '\x7' + wrapped(small_model(CellKind::kGru, false), StoredType::kF64, 8)};
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  if (size == 0) return 0;
  const std::string_view text = fuzz::text_of(data + 1, size - 1);
  std::optional<ImportedModel> model;
  if (fuzz::accepts([&] {
        model = import_weights(fuzz::parse(text, "file"), "file", fuzz::options_of(data[0]),
                               fuzz::backend());
      }))
    fuzz::check(*model);
  return 0;
}
