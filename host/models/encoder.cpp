#include "host/models/encoder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <string_view>

#include "host/base/utf8.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

constexpr const char* kRecurrentPrefix = "rnn.";
constexpr std::int64_t kMostUnits = std::int64_t(1) << 31;

[[noreturn]] void fail(const std::string& what, const std::string& got,
                       const std::string& expected) {
  throw std::invalid_argument(what + ": got " + got + ", expected " + expected);
}

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

std::vector<std::int64_t> sizes_from(const JsonObject& json, const char* name) {
  const nlohmann::json& list = json.at(name);
  if (!list.is_array() || list.empty())
    throw std::runtime_error(json.where() + ": " + name + ": got " +
                             (list.is_array() ? "an empty one" : list.type_name()) +
                             ", expected a list of layer sizes");
  std::vector<std::int64_t> sizes;
  for (const nlohmann::json& size : list) {
    const nlohmann::json member = {{"units", size}};
    sizes.push_back(JsonObject(member, json.where() + ": " + name).integer("units", 1, kMostUnits));
  }
  return sizes;
}

void write_stack(const EncoderConfig& config, nlohmann::json& model) {
  model["cell"] = to_string(config.cell);
  model["hidden"] = config.hidden;
  model["dropout"] = config.dropout;
  if (config.cell == CellKind::kGru)
    model["gru_reset"] = config.reset == GruReset::kBefore ? "before" : "after";
  // What earlier versions did not have is left out where it is not used.
  if (config.input_gate != InputGate::kSeparate) model["lstm_gates"] = to_string(config.input_gate);
  if (config.layer_norm) model["layer_norm"] = true;
  if (config.projection > 0) model["projection"] = config.projection;
  if (config.directions > 1) model["directions"] = config.directions;
}

void read_stack(const JsonObject& model, EncoderConfig& config) {
  config.cell = cell_from(model);
  if (config.cell == CellKind::kGru) config.reset = reset_from(model);
  config.hidden = sizes_from(model, "hidden");
  config.dropout = model.number("dropout", 0, 1);
  if (model.has("lstm_gates")) config.input_gate = input_gate_from(model);
  if (model.has("layer_norm")) config.layer_norm = model.boolean("layer_norm");
  if (model.has("projection")) config.projection = model.integer("projection", 0, kMostUnits);
  if (model.has("directions")) config.directions = int(model.integer("directions", 1, 2));
}

}  // namespace

void EncoderConfig::check() const {
  if (inputs < 0) fail("inputs", std::to_string(inputs), "0 (tokens) or more");
  if (inputs == 0 && vocabulary < 2)
    fail("vocabulary", std::to_string(vocabulary) + " tokens", "2 or more");
  if (embedding < 0) fail("embedding size", std::to_string(embedding), "0 (one-hot) or more");
  if (std::ssize(hidden) > kMaxLayers)
    fail("layers", std::to_string(hidden.size()), "at most " + std::to_string(kMaxLayers));
  validate(recurrent());
}

RecurrentSpec EncoderConfig::recurrent() const {
  RecurrentSpec spec;
  spec.cell = cell;
  spec.reset = reset;
  spec.hidden = hidden;
  spec.directions = directions;
  spec.dropout = float(dropout);
  spec.input_gate = input_gate;
  spec.layer_norm = layer_norm;
  spec.projection = projection;
  return spec;
}

std::string describe_cell(const EncoderConfig& config) {
  std::vector<std::string> parts;
  if (config.layer_norm) parts.emplace_back("layer norm");
  if (config.input_gate != InputGate::kSeparate)
    parts.push_back(to_string(config.input_gate) + " gates");
  if (config.projection > 0)
    parts.push_back("a projection to " + std::to_string(config.projection));
  if (config.directions == 2) parts.emplace_back("two directions");
  std::string text = to_string(config.cell);
  for (std::size_t k = 0; k < parts.size(); ++k)
    text += (k == 0 ? " with " : k + 1 < parts.size() ? ", " : " and ") + parts[k];
  return text;
}

std::string describe_encoder(const EncoderConfig& config) {
  const std::string input =
      config.inputs > 0 ? fmt::format("{} input{}", config.inputs, config.inputs == 1 ? "" : "s")
                        : fmt::format("embedding {}", config.embedding);
  return fmt::format("{}, {}, layers of {} units, dropout {}", describe_cell(config), input,
                     fmt::join(config.hidden, ", "), config.dropout);
}

void write_encoder(const EncoderConfig& config, nlohmann::json& model) {
  model["vocabulary"] = config.vocabulary;
  model["embedding"] = config.embedding;
  write_stack(config, model);
}

void read_encoder(const JsonObject& model, EncoderConfig& config) {
  read_stack(model, config);
  config.vocabulary = model.integer("vocabulary", 2, kMostUnits);
  config.embedding = model.integer("embedding", 0, kMostUnits);
}

void write_real_encoder(const EncoderConfig& config, nlohmann::json& model) {
  model["inputs"] = config.inputs;
  write_stack(config, model);
}

void read_real_encoder(const JsonObject& model, EncoderConfig& config) {
  read_stack(model, config);
  config.inputs = model.integer("inputs", 1, kMostUnits);
}

TensorMetadata encoder_metadata(const EncoderConfig& config) {
  if (config.cell != CellKind::kGru || config.reset == GruReset::kAfter) return {};
  return {{"gru_reset", "before: not PyTorch's GRU, which would compute something else"}};
}

EncoderParameters declare_encoder(Graph& graph, const EncoderConfig& config,
                                  const Initialization& how) {
  const std::string prefix = config.prefix + kRecurrentPrefix;
  RecurrentWeightsOptions recurrent{.prefix = prefix};
  if (how.range > 0)
    recurrent.weight_ih = recurrent.weight_hh = recurrent.weight_hr = recurrent.bias =
        uniform(-how.range, how.range);
  EncoderParameters p;
  if (config.has_table())
    p.table = graph.variable(config.prefix + kEncoder, {config.vocabulary, config.embedding},
                             uniform(-how.table_range(), how.table_range()),
                             {.trainable = !config.frozen});
  p.cells = recurrent_weights(graph, config.recurrent(), config.width(), recurrent);
  return p;
}

RecurrentResult encode(const EncoderConfig& config, const EncoderParameters& parameters,
                       const EncoderInputs& inputs, const Dropping& dropping) {
  const auto& [training, place] = dropping;
  RecurrentSpec spec = config.recurrent();
  if (!training) spec.dropout = 0;
  RecurrentInputs in;
  if (config.inputs > 0)
    in.x = inputs.values;
  else if (config.embedding == 0)
    in.x = one_hot(inputs.ids, config.vocabulary);
  else
    in.x = embedding(parameters.table, inputs.ids);
  if (config.beside > 0) in.x = concat({in.x, inputs.beside}, 2);
  if (training && config.dropout > 0 && config.has_table())
    in.x = dropout(in.x, config.dropout, place + config.prefix + "dropout_embedding");
  in.weights = parameters.cells;
  in.lengths = inputs.lengths;
  in.h0 = inputs.h0;
  in.c0 = inputs.c0;
  return recurrent(spec, in, place + config.prefix + "rnn");
}

Tensor last_states(const EncoderConfig& config, const RecurrentResult& result) {
  const Tensor h = result.h_n.back();  // [D, N, R]
  return reshape(config.directions > 1 ? transpose(h, {1, 0, 2}) : h,
                 {kOpen, config.recurrent().output()});
}

Tensor drop_output(const EncoderConfig& config, Tensor h, const Dropping& dropping) {
  return dropping.training && config.dropout > 0
             ? dropout(h, config.dropout, dropping.place + "dropout_output")
             : h;
}

void initialize_forget_bias(const EncoderConfig& config, const Initialization& how,
                            VariableStore& store) {
  if (config.cell != CellKind::kLstm || !how.forget_bias) return;
  const int gate = config.recurrent().gates() - 3;  // its block of rows
  for (std::size_t layer = 0; layer < config.hidden.size(); ++layer)
    // The cell adds both biases: one carries the value, the other is zero.
    for (const char* bias : {"bias_ih_l", "bias_hh_l"})
      for (int direction = 0; direction < config.directions; ++direction) {
        const std::string name = config.prefix + kRecurrentPrefix + bias + std::to_string(layer) +
                                 (direction == 1 ? "_reverse" : "");
        std::vector<float> values = store.read<float>(name);
        const auto units = std::ptrdiff_t(config.hidden[layer]);
        const bool carries = std::string_view(bias).starts_with("bias_ih");
        std::fill(values.begin() + gate * units, values.begin() + (gate + 1) * units,
                  carries ? float(*how.forget_bias) : 0.0F);
        store.write<float>(name, values);
      }
}

}  // namespace unroll
