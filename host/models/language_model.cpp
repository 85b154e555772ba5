#include "host/models/language_model.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>

#include "host/data/batches.h"
#include "unroll/backend.h"

namespace unroll {
namespace {

constexpr const char* kRecurrentPrefix = "rnn.";
constexpr double kEmbeddingRange = 0.1;

struct Parameters {
  Tensor encoder, decoder, decoder_bias;
  std::vector<CellWeights> cells;
};

Parameters declare(Graph& graph, const LanguageModelConfig& config,
                   const LanguageModelInitialization& how) {
  const bool uniform_range = how.range > 0;
  const double range = uniform_range ? how.range : kEmbeddingRange;
  RecurrentWeightsOptions recurrent{.prefix = kRecurrentPrefix};
  if (uniform_range)
    recurrent.weight_ih = recurrent.weight_hh = recurrent.weight_hr = recurrent.bias =
        uniform(-range, range);
  Parameters p;
  if (config.embedding > 0)
    p.encoder =
        graph.variable(kEncoder, {config.vocabulary, config.embedding}, uniform(-range, range));
  const RecurrentSpec spec = config.recurrent();
  p.cells = recurrent_weights(
      graph, spec, config.embedding > 0 ? config.embedding : config.vocabulary, recurrent);
  p.decoder = config.tied ? p.encoder
                          : graph.variable(kDecoder, {config.vocabulary, spec.output()},
                                           uniform(-range, range));
  p.decoder_bias = graph.variable(kDecoderBias, {config.vocabulary},
                                  uniform_range ? uniform(-range, range) : constant(0));
  return p;
}

struct Body {
  Parameters parameters;
  Tensor h;                     // [T N, R] what the decoder reads
  std::vector<Tensor> carries;  // assignments of the new state
};

/// From token ids to the decoder's input, with the state carried in variables of `name`.
Body build_body(Graph& graph, const LanguageModelConfig& config, Tensor inputs, std::int64_t batch,
                const std::string& name, bool training,
                const LanguageModelInitialization& how = {}) {
  Body body{declare(graph, config, how), {}, {}};
  RecurrentSpec spec = config.recurrent();
  if (!training) spec.dropout = 0;
  const double dropout_rate = training ? config.dropout : 0;
  const auto dropped = [&](Tensor x, const char* site) {
    return dropout_rate > 0 ? dropout(x, dropout_rate, site) : x;
  };

  RecurrentInputs in;
  in.x = config.embedding > 0
             ? dropped(embedding(body.parameters.encoder, inputs), "dropout_embedding")
             : one_hot(inputs, config.vocabulary);
  in.weights = body.parameters.cells;
  const std::vector<std::string> names = state_names(config, name);
  for (int k = 0; k < int(names.size()); ++k) {
    const bool is_h = k < spec.layers();
    const int layer = k % spec.layers();
    (is_h ? in.h0 : in.c0)
        .push_back(graph.variable(names[std::size_t(k)],
                                  is_h ? spec.h_shape(layer, batch) : spec.c_shape(layer, batch),
                                  constant(0), {.trainable = false}));
  }
  const RecurrentResult result = recurrent(spec, in);
  // A batch that training refuses must not reach the batches after it. An evaluation shows it.
  const auto carry = [&](Tensor state, Tensor next) {
    body.carries.push_back(training ? assign_finite(state, next) : assign(state, next));
  };
  for (std::size_t k = 0; k < in.h0.size(); ++k) carry(in.h0[k], result.h_n[k]);
  for (std::size_t k = 0; k < in.c0.size(); ++k) carry(in.c0[k], result.c_n[k]);
  body.h = reshape(dropped(result.y, "dropout_output"), {kOpen, spec.output()});
  return body;
}

}  // namespace

void LanguageModelConfig::check() const {
  const auto fail = [](const std::string& what, const std::string& got,
                       const std::string& expected) {
    throw std::invalid_argument(what + ": got " + got + ", expected " + expected);
  };
  if (vocabulary < 2) fail("vocabulary", std::to_string(vocabulary) + " tokens", "2 or more");
  if (embedding < 0) fail("embedding size", std::to_string(embedding), "0 (one-hot) or more");
  if (std::ssize(hidden) > kMaxLayers)
    fail("layers", std::to_string(hidden.size()), "at most " + std::to_string(kMaxLayers));
  const RecurrentSpec spec = recurrent();
  validate(spec);
  if (tied && embedding != spec.output())
    fail("tied weights",
         "embedding size " + std::to_string(embedding) + " and " +
             (projection > 0 ? "a projection to " + std::to_string(projection) + " elements"
                             : std::to_string(hidden.back()) + " units in the last layer"),
         "the same");
}

RecurrentSpec LanguageModelConfig::recurrent() const {
  RecurrentSpec spec;
  spec.cell = cell;
  spec.reset = reset;
  spec.hidden = hidden;
  spec.dropout = float(dropout);
  spec.input_gate = input_gate;
  spec.layer_norm = layer_norm;
  spec.projection = projection;
  return spec;
}

std::string describe_cell(const LanguageModelConfig& config) {
  std::vector<std::string> parts;
  if (config.layer_norm) parts.emplace_back("layer norm");
  if (config.input_gate != InputGate::kSeparate)
    parts.push_back(to_string(config.input_gate) + " gates");
  if (config.projection > 0)
    parts.push_back("a projection to " + std::to_string(config.projection));
  std::string text = to_string(config.cell);
  for (std::size_t k = 0; k < parts.size(); ++k)
    text += (k == 0 ? " with " : k + 1 < parts.size() ? ", " : " and ") + parts[k];
  return text;
}

std::vector<std::string> state_names(const LanguageModelConfig& config, const std::string& graph) {
  std::vector<std::string> names;
  for (const char* state : {"h", "c"}) {
    if (*state == 'c' && !config.recurrent().has_c()) continue;
    for (std::size_t layer = 0; layer < config.hidden.size(); ++layer)
      names.push_back(graph + "/" + state + "_l" + std::to_string(layer));
  }
  return names;
}

TrainingGraph::TrainingGraph(const LanguageModelConfig& config, const Options& options) {
  config.check();
  inputs = graph.placeholder("inputs", {kOpen, options.batch}, DType::kInt32);
  targets = graph.placeholder("targets", {kOpen}, DType::kInt32);
  Body body = build_body(graph, config, inputs, options.batch, kName, true, options.initialization);
  const SoftmaxCrossEntropyResult result = softmax_cross_entropy(
      body.h, body.parameters.decoder, body.parameters.decoder_bias, targets, {},
      {.chunk_rows = options.chunk_rows,
       .ignored_id = kIgnoredId,
       .mean = options.reduction == LossReduction::kMean,
       .scale = 1 / double(options.batch)});
  std::vector<Tensor> parts = std::move(body.carries);
  MinimizeOptions guarded{.guard = options.guard};
  if (options.reduction == LossReduction::kTime) guarded.loss = -reduce_mean(result.log_prob);
  parts.push_back(
      Optimizer(options.optimizer, options.learning_rate).minimize(result.loss, guarded));
  step = group(parts);
}

EvaluationGraph::EvaluationGraph(const LanguageModelConfig& config, std::int64_t batch,
                                 std::int64_t chunk_rows, const std::string& name) {
  config.check();
  inputs = graph.placeholder("inputs", {kOpen, batch}, DType::kInt32);
  targets = graph.placeholder("targets", {kOpen}, DType::kInt32);
  const Body body = build_body(graph, config, inputs, batch, name, false);
  const SoftmaxCrossEntropyResult result =
      softmax_cross_entropy(body.h, body.parameters.decoder, body.parameters.decoder_bias, targets,
                            {}, {.chunk_rows = chunk_rows, .ignored_id = kIgnoredId});
  log_prob = result.log_prob;
  hit = result.hit;
  fetches = {log_prob, hit, group(body.carries)};
}

StepGraph::StepGraph(const LanguageModelConfig& config,
                     const std::optional<SamplingOptions>& sampler) {
  config.check();
  input = graph.placeholder("input", {1, 1}, DType::kInt32);
  const Body body = build_body(graph, config, input, 1, kName, false);
  const Tensor logits = matmul(body.h, body.parameters.decoder, {.transpose_b = true});
  log_prob = reshape(log_softmax(logits + body.parameters.decoder_bias), {config.vocabulary});
  if (sampler) token = sample(log_prob, *sampler);
  fetches = {sampler ? token : log_prob, group(body.carries)};
}

void initialize_forget_bias(const LanguageModelConfig& config,
                            const LanguageModelInitialization& initialization,
                            VariableStore& store) {
  if (config.cell != CellKind::kLstm || !initialization.forget_bias) return;
  const int gate = config.recurrent().gates() - 3;  // its block of rows
  for (std::size_t layer = 0; layer < config.hidden.size(); ++layer) {
    // The cell adds both biases: one carries the value, the other is zero.
    for (const char* bias : {"bias_ih_l", "bias_hh_l"}) {
      const std::string name = kRecurrentPrefix + std::string(bias) + std::to_string(layer);
      std::vector<float> values = store.read<float>(name);
      const auto units = std::ptrdiff_t(config.hidden[layer]);
      const bool carries = std::string_view(bias).starts_with("bias_ih");
      std::fill(values.begin() + gate * units, values.begin() + (gate + 1) * units,
                carries ? float(*initialization.forget_bias) : 0.0F);
      store.write<float>(name, values);
    }
  }
}

void clear_state(const LanguageModelConfig& config, const std::string& graph,
                 VariableStore& store) {
  for (const std::string& name : state_names(config, graph)) {
    const View state = store.view(name);
    store.backend().clear(state.data, state.bytes());
    store.touch(name);
  }
}

std::vector<VariableInfo> parameters(const LanguageModelConfig& config) {
  Graph graph;
  declare(graph, config, {});
  std::vector<VariableInfo> infos;
  for (const Tensor& variable : graph.variables())
    infos.push_back({variable.name(), {variable.shape(), variable.dtype()}, constant(0), true});
  return infos;
}

std::int64_t parameter_count(const LanguageModelConfig& config) {
  std::int64_t count = 0;
  for (const VariableInfo& info : parameters(config)) count += info.type.shape.elements();
  return count;
}

}  // namespace unroll
