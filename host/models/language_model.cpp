#include "host/models/language_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "host/base/utf8.h"
#include "host/models/checkpoint.h"
#include "host/models/tokenizer_file.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

/// Rows of logits that an evaluation holds at a time.
constexpr std::int64_t kChunkRows = 256;
constexpr const char* kModelKey = "unroll";

struct StreamColumns {
  Tensor ids, targets;
};

StreamColumns stream_columns(Graph& graph, std::int64_t batch) {
  return {graph.placeholder("inputs", {kOpen, batch}, DType::kInt32),
          graph.placeholder("targets", {kOpen}, DType::kInt32)};
}

/// Declares the variables of a carried state; adds their names to `names`.
EncoderInputs carried_state(Graph& graph, const RecurrentSpec& spec,
                            const LanguageModelInputs& inputs, std::vector<std::string>& names) {
  EncoderInputs in{.ids = inputs.ids};
  for (const bool is_h : {true, false}) {
    if (!is_h && !spec.has_c()) continue;
    for (int layer = 0; layer < spec.layers(); ++layer) {
      names.push_back(
          fmt::format("{}/{}{}_l{}", inputs.name, inputs.place, is_h ? 'h' : 'c', layer));
      const Shape shape =
          is_h ? spec.h_shape(layer, inputs.batch) : spec.c_shape(layer, inputs.batch);
      (is_h ? in.h0 : in.c0)
          .push_back(graph.variable(names.back(), shape, constant(0), {.trainable = false}));
    }
  }
  return in;
}

/// The state in which each stream begins: the carried one, or, for a stream that is drawn, zero.
/// The draw depends on the seed, the step and the stream. All states of a stream share it. Source
/// The settings of Melis, Kocisky & Blunsom 2020 (deepmind/lamb) drop states so, with
///           probability 0.01.
void zero_some_streams(Graph& graph, const LanguageModelInputs& inputs, EncoderInputs& in) {
  const Tensor ones = graph.constant(1, {1, inputs.batch, 1});
  const Tensor goes_on =
      greater(dropout(ones, inputs.zero_state, inputs.place + "zero_state"), 0.0);
  const Tensor zero = graph.constant(0, {1, 1, 1});
  for (std::vector<Tensor>* states : {&in.h0, &in.c0})
    for (Tensor& state : *states) state = where(goes_on, state, zero);
}

}  // namespace

void LanguageModelConfig::check() const {
  EncoderConfig::check();
  if (const std::int64_t width = recurrent().output(); tied && embedding != width)
    throw std::invalid_argument(
        fmt::format("tied weights: got embedding size {} and {}, expected the same", embedding,
                    projection > 0 ? fmt::format("a projection to {} elements", projection)
                                   : fmt::format("{} units in the last layer", hidden.back())));
}

nlohmann::json to_json(const LanguageModelConfig& config) {
  nlohmann::json model = {{"type", LanguageModelTask::kName}, {"tied", config.tied}};
  write_encoder(config, model);
  return model;
}

LanguageModelConfig language_model_from_json(const JsonObject& model) {
  if (const std::string type = model.string("type"); type != LanguageModelTask::kName)
    throw std::runtime_error(fmt::format("{}: type: got {}, expected {}", model.where(),
                                         in_quotes(type), LanguageModelTask::kName));
  LanguageModelConfig config;
  read_encoder(model, config);
  config.tied = model.boolean("tied");
  try {
    config.check();
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(model.where() + ": " + error.what());
  }
  return config;
}

LanguageModelBody language_model_body(Graph& graph, const LanguageModelConfig& config,
                                      const LanguageModelInputs& inputs, bool training,
                                      const Initialization& how) {
  const RecurrentSpec spec = config.recurrent();
  const EncoderParameters parameters = declare_encoder(graph, config, how);
  LanguageModelBody body{SoftmaxDecoder(graph, {spec.output(), config.vocabulary}, how,
                                        config.tied ? parameters.table : Tensor()),
                         {},
                         {},
                         {}};
  const EncoderInputs state = carried_state(graph, spec, inputs, body.carried);
  EncoderInputs in = state;
  if (training && inputs.zero_state > 0) zero_some_streams(graph, inputs, in);
  const Dropping dropping{training, inputs.place};
  const RecurrentResult result = encode(config, parameters, in, dropping);
  // A batch that training refuses must not reach the batches after it. An evaluation shows it.
  const auto carry = [&](Tensor variable, Tensor next) {
    body.carries.push_back(training ? assign_finite(variable, next) : assign(variable, next));
  };
  for (std::size_t k = 0; k < state.h0.size(); ++k) carry(state.h0[k], result.h_n[k]);
  for (std::size_t k = 0; k < state.c0.size(); ++k) carry(state.c0[k], result.c_n[k]);
  body.h = reshape(drop_output(config, result.y, dropping), {kOpen, spec.output()});
  return body;
}

LanguageModelTask::LanguageModelTask(const LanguageModelConfig& config, Tokenizer tokenizer,
                                     LanguageModelTraining training)
    : config_(config), tokenizer_(std::move(tokenizer)), training_(std::move(training)) {
  config_.check();
  if (const std::size_t counts = training_.counts.size();
      counts > 0 && std::int64_t(counts) != config_.vocabulary)
    throw std::invalid_argument(
        fmt::format("counts of tokens: got {}, expected {}", counts, config_.vocabulary));
  if (!(training_.zero_state >= 0 && training_.zero_state < 1))
    throw std::invalid_argument(
        fmt::format("rate of zero states: got {}, expected one in [0, 1)", training_.zero_state));
}

std::shared_ptr<const LanguageModelTask> LanguageModelTask::read(const Checkpoint& checkpoint) {
  const JsonObject config(checkpoint.config, (checkpoint.directory / "config.json").string());
  const LanguageModelConfig model = language_model_from_json(config.object("model"));
  return std::make_shared<LanguageModelTask>(
      model, read_tokenizer(config.object("tokenizer"), checkpoint, model.vocabulary));
}

std::shared_ptr<const LanguageModelTask> LanguageModelTask::configured(const JsonObject& model) {
  return std::make_shared<LanguageModelTask>(language_model_from_json(model));
}

std::vector<VariableInfo> LanguageModelTask::parameters() const {
  Graph graph;
  const EncoderParameters encoder = declare_encoder(graph, config_);
  SoftmaxDecoder(graph, {config_.recurrent().output(), config_.vocabulary}, {},
                 config_.tied ? encoder.table : Tensor());
  return variables_of(graph);
}

std::vector<std::pair<std::string, std::string>> LanguageModelTask::copies() const {
  if (config_.tied) return {{kDecoder, kEncoder}};
  return {};
}

std::int64_t LanguageModelTask::gradient_bytes() const {
  const std::int64_t table = config_.tied ? 0 : config_.vocabulary * config_.embedding;
  return (parameter_count(*this) - table) * std::int64_t(sizeof(float));
}

std::string LanguageModelTask::describe() const {
  return describe_encoder(config_) + (config_.tied ? ", tied" : "");
}

TrainingPart LanguageModelTask::training_part(Graph& graph,
                                              const TrainingPartOptions& options) const {
  const StreamColumns in = stream_columns(graph, options.batch);
  LanguageModelBody body = language_model_body(
      graph, config_, {in.ids, options.batch, "train", options.place, training_.zero_state}, true,
      options.initialization);
  const DecoderLoss result = body.decoder.loss(body.h, in.targets, {},
                                               {.reduction = options.reduction,
                                                .batch = options.batch,
                                                .chunk_rows = options.chunk_rows,
                                                .weight = options.weight});
  TrainingPart part{.inputs = {in.ids, in.targets}, .cost = result.cost};
  if (options.reduction == LossReduction::kTime)
    part.loss = options.inverse_count ? reduce_sum(result.loss) * options.inverse_count
                                      : reduce_mean(result.loss);
  part.carries = std::move(body.carries);
  part.carried = std::move(body.carried);
  return part;
}

std::unique_ptr<EvaluationGraph> LanguageModelTask::evaluation_graph(
    std::int64_t batch, const std::string& name) const {
  auto evaluation = std::make_unique<EvaluationGraph>();
  const StreamColumns in = stream_columns(evaluation->graph, batch);
  LanguageModelBody body =
      language_model_body(evaluation->graph, config_, {in.ids, batch, name}, false);
  const DecoderLoss result = body.decoder.loss(body.h, in.targets, {}, {.chunk_rows = kChunkRows});
  evaluation->inputs = {in.ids, in.targets};
  evaluation->loss = result.loss;
  evaluation->hit = result.hit;
  evaluation->fetches = {result.loss, result.hit, group(body.carries)};
  evaluation->carried = std::move(body.carried);
  return evaluation;
}

void LanguageModelTask::initialize(const Initialization& how, VariableStore& store) const {
  initialize_forget_bias(config_, how, store);
  const std::vector<std::int64_t>& counts = training_.counts;
  if (counts.empty() || how.range > 0) return;
  // ln(V p), so that equal frequencies give 0. A token that was not seen counts as seen once.
  const double total = std::accumulate(counts.begin(), counts.end(), double(counts.size()));
  std::vector<float> bias(counts.size());
  std::ranges::transform(counts, bias.begin(), [&](std::int64_t count) {
    return float(std::log(double(count + 1) * double(counts.size()) / total));
  });
  store.write<float>(kDecoderBias, bias);
}

double LanguageModelTask::loss_ceiling() const {
  return 2 * std::log(double(config_.vocabulary)) + 3;
}

std::vector<Measure> LanguageModelTask::measures(const Evaluation& evaluation) const {
  const double ppl = evaluation.perplexity();
  std::vector<Measure> measures = {
      {.name = "ppl", .value = ppl, .text = fmt::format("{:8.2f}", ppl), .of_loss = true},
      {.name = "accuracy", .value = evaluation.accuracy(), .text = "", .in_lines = false}};
  if (tokenizer_.kind() == TokenizerKind::kChar || tokenizer_.kind() == TokenizerKind::kByte) {
    const double bits = evaluation.loss() / std::numbers::ln2;
    measures.push_back(
        {.name = "bpc", .value = bits, .text = fmt::format("{:8.3f}", bits), .of_loss = true});
  }
  return measures;
}

nlohmann::json LanguageModelTask::to_json() const {
  return {{"model", unroll::to_json(config_)},
          {"tokenizer", tokenizer_to_json(tokenizer_.kind(), tokenizer_.given_start())}};
}

TaskFiles LanguageModelTask::files() const {
  TaskFiles files;
  add_tokenizer(tokenizer_, files);
  return files;
}

TensorMetadata LanguageModelTask::metadata() const {
  return metadata_of({config_, tokenizer_.kind(), tokenizer_.given_start()});
}

TensorMetadata metadata_of(const StoredModel& model) {
  const nlohmann::json json = {{"model", to_json(model.config)},
                               {"tokenizer", tokenizer_to_json(model.tokenizer, model.start)}};
  TensorMetadata metadata = encoder_metadata(model.config);
  metadata[kModelKey] = json.dump();
  return metadata;
}

std::optional<StoredModel> stored_model(const TensorMetadata& metadata, const std::string& where) {
  const auto found = metadata.find(kModelKey);
  if (found == metadata.end()) return std::nullopt;
  const std::string name = fmt::format("{}: metadata '{}'", where, kModelKey);
  const nlohmann::json json = parse_json(found->second, name);
  const JsonObject object(json, name);
  const JsonObject tokenizer = object.object("tokenizer");
  return StoredModel{language_model_from_json(object.object("model")),
                     tokenizer_kind_from(tokenizer), tokenizer_start_from(tokenizer)};
}

}  // namespace unroll
