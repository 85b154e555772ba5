#include "host/models/sequence_classifier.h"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

#include "host/base/utf8.h"
#include "host/models/checkpoint.h"
#include "host/models/tokenizer_file.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

constexpr const char* kType = "sequence_classifier";
constexpr const char* kLabelsFile = "labels.txt";

/// One graph's, as the columns of a batch.
struct Placeholders {
  Tensor ids;      // [T, N] int32, T open
  Tensor lengths;  // [N] int32
  Tensor targets;  // [N] int32, or empty
  Tensor factors;  // [N, 1] 1 / lengths, for a mean, or empty

  std::vector<Tensor> list() const {
    std::vector<Tensor> all;
    for (const Tensor& one : {ids, lengths, targets, factors})
      if (one) all.push_back(one);
    return all;
  }
};

Placeholders placeholders(Graph& graph, const SequenceClassifierConfig& config, std::int64_t batch,
                          bool targets) {
  Placeholders p;
  p.ids = graph.placeholder("ids", {kOpen, batch}, DType::kInt32);
  p.lengths = graph.placeholder("lengths", {batch}, DType::kInt32);
  if (targets) p.targets = graph.placeholder("targets", {batch}, DType::kInt32);
  if (config.pooling == Pooling::kMean) p.factors = graph.placeholder("factors", {batch, 1});
  return p;
}

/// The states [N, D R] that stand for the texts.
Tensor pooled(const SequenceClassifierConfig& config, const RecurrentResult& result,
              const Placeholders& in) {
  // After a text's end y is zero, so its sum is that of the text's own steps.
  if (config.pooling == Pooling::kMean) return reduce_sum(result.y, 0) * in.factors;
  return last_states(config, result);
}

/// The parameters in the order of the model.
struct Parts {
  EncoderParameters encoder;
  SoftmaxDecoder decoder;

  Parts(Graph& graph, const SequenceClassifierConfig& config, const Initialization& how = {})
      : encoder(declare_encoder(graph, config, how)),
        decoder(graph, {config.recurrent().output(), config.classes}, how) {}
};

/// What the decoder reads.
Tensor encode_texts(const SequenceClassifierConfig& config, const Parts& parts,
                    const Placeholders& in, const Dropping& dropping) {
  const RecurrentResult result =
      encode(config, parts.encoder, {.ids = in.ids, .lengths = in.lengths}, dropping);
  return drop_output(config, pooled(config, result, in), dropping);
}

}  // namespace

std::string to_string(Pooling pooling) {
  switch (pooling) {
    case Pooling::kLast:
      return "last";
    case Pooling::kMean:
      return "mean";
  }
  throw std::invalid_argument(fmt::format("pooling {}, expected a known one", int(pooling)));
}

std::optional<Pooling> pooling_of(std::string_view name) {
  for (const Pooling pooling : kPoolings)
    if (to_string(pooling) == name) return pooling;
  return std::nullopt;
}

void SequenceClassifierConfig::check() const {
  EncoderConfig::check();
  if (classes < 2 || classes > ClassLabels::kMost)
    throw std::invalid_argument(
        fmt::format("classes: got {}, expected 2 to {}", classes, ClassLabels::kMost));
}

nlohmann::json to_json(const SequenceClassifierConfig& config) {
  nlohmann::json model = {
      {"type", kType}, {"classes", config.classes}, {"pooling", to_string(config.pooling)}};
  write_encoder(config, model);
  return model;
}

SequenceClassifierConfig sequence_classifier_from(const JsonObject& model) {
  if (model.string("type") != kType)
    throw std::runtime_error(fmt::format("{}: type: got {}, expected {}", model.where(),
                                         in_quotes(model.string("type")), kType));
  SequenceClassifierConfig config;
  read_encoder(model, config);
  config.classes = model.integer("classes", 2, ClassLabels::kMost);
  const std::optional<Pooling> pooling = pooling_of(model.string("pooling"));
  if (!pooling)
    throw std::runtime_error(fmt::format("{}: pooling: got {}, expected last or mean",
                                         model.where(), in_quotes(model.string("pooling"))));
  config.pooling = *pooling;
  try {
    config.check();
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(model.where() + ": " + error.what());
  }
  return config;
}

SequenceClassifier::SequenceClassifier(SequenceClassifierConfig config)
    : config_(std::move(config)) {
  config_.check();
}

SequenceClassifier::SequenceClassifier(SequenceClassifierConfig config, Tokenizer tokenizer,
                                       ClassLabels labels)
    : config_(std::move(config)), tokenizer_(std::move(tokenizer)), labels_(std::move(labels)) {
  config_.check();
  if (config_.vocabulary != tokenizer_.size() || config_.classes != labels_.size())
    throw std::invalid_argument(
        fmt::format("classifier: got a vocabulary of {} tokens and {} labels, expected {} and {}",
                    tokenizer_.size(), labels_.size(), config_.vocabulary, config_.classes));
}

std::shared_ptr<const SequenceClassifier> SequenceClassifier::read(const Checkpoint& checkpoint) {
  const JsonObject json(checkpoint.config, (checkpoint.directory / "config.json").string());
  SequenceClassifierConfig config = sequence_classifier_from(json.object("model"));
  Tokenizer tokenizer = read_tokenizer(json.object("tokenizer"), checkpoint, config.vocabulary);
  const auto text = checkpoint.files.find(kLabelsFile);
  if (text == checkpoint.files.end())
    throw std::runtime_error(
        fmt::format("{}: {} is missing", checkpoint.directory.string(), kLabelsFile));
  const std::string file = (checkpoint.directory / kLabelsFile).string();
  ClassLabels labels = ClassLabels::parse(text->second, file);
  if (labels.size() != config.classes)
    throw std::runtime_error(fmt::format("{}: got {} labels, expected {} as in config.json", file,
                                         labels.size(), config.classes));
  return std::make_shared<const SequenceClassifier>(std::move(config), std::move(tokenizer),
                                                    std::move(labels));
}

std::shared_ptr<const SequenceClassifier> SequenceClassifier::configured(const JsonObject& model) {
  return std::make_shared<const SequenceClassifier>(sequence_classifier_from(model));
}

std::vector<VariableInfo> SequenceClassifier::parameters() const {
  Graph graph;
  const Parts parts(graph, config_);
  return variables_of(graph);
}

std::int64_t SequenceClassifier::gradient_bytes() const {
  const std::int64_t table = config_.vocabulary * config_.embedding;
  return (parameter_count(*this) - table) * std::int64_t(sizeof(float));
}

std::string SequenceClassifier::describe() const {
  return fmt::format("{}, {} classes from {}", describe_encoder(config_), config_.classes,
                     config_.pooling == Pooling::kMean ? "the mean state" : "the last state");
}

TrainingPart SequenceClassifier::training_part(Graph& graph,
                                               const TrainingPartOptions& options) const {
  const Placeholders in = placeholders(graph, config_, options.batch, true);
  const Parts parts(graph, config_, options.initialization);
  // A text is one step of the decoder, so that both reductions are means, which the guard can
  // compare.
  const DecoderLoss loss = parts.decoder.loss(
      encode_texts(config_, parts, in, {.training = true, .place = options.place}), in.targets, {},
      {.reduction = options.reduction,
       .batch = options.batch,
       .chunk_rows = options.chunk_rows,
       .weight = options.weight});
  return {.inputs = in.list(), .cost = loss.cost};
}

std::unique_ptr<EvaluationGraph> SequenceClassifier::evaluation_graph(
    std::int64_t batch, const std::string& /*name*/) const {
  auto made = std::make_unique<EvaluationGraph>();
  const Placeholders in = placeholders(made->graph, config_, batch, true);
  const Parts parts(made->graph, config_);
  const DecoderLoss loss =
      parts.decoder.loss(encode_texts(config_, parts, in, {}), in.targets, {}, {.batch = batch});
  made->loss = loss.loss;
  made->hit = loss.hit;
  made->fetches = {loss.loss, loss.hit};
  made->inputs = in.list();
  return made;
}

std::unique_ptr<ClassPredictionGraph> SequenceClassifier::prediction_graph(
    std::int64_t batch) const {
  auto made = std::make_unique<ClassPredictionGraph>();
  const Placeholders in = placeholders(made->graph, config_, batch, false);
  const Parts parts(made->graph, config_);
  made->log_prob = parts.decoder.output(encode_texts(config_, parts, in, {}));
  made->inputs = in.list();
  return made;
}

void SequenceClassifier::initialize(const Initialization& how, VariableStore& store) const {
  initialize_forget_bias(config_, how, store);
}

double SequenceClassifier::loss_ceiling() const {
  return 2 * std::log(double(config_.classes)) + 3;
}

std::vector<Measure> SequenceClassifier::measures(const Evaluation& evaluation) const {
  const double accuracy = evaluation.accuracy();
  return {{.name = "accuracy", .value = accuracy, .text = fmt::format("{:7.4f}", accuracy)}};
}

nlohmann::json SequenceClassifier::to_json() const {
  return {{"model", unroll::to_json(config_)}, {"tokenizer", tokenizer_to_json(tokenizer_.kind())}};
}

TaskFiles SequenceClassifier::files() const {
  TaskFiles files;
  add_tokenizer(tokenizer_, files);
  files.others[kLabelsFile] = labels_.to_text();
  return files;
}

TensorMetadata SequenceClassifier::metadata() const {
  TensorMetadata metadata = encoder_metadata(config_);
  metadata["unroll"] = to_json().dump();
  return metadata;
}

}  // namespace unroll
