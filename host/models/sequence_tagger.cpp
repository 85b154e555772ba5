#include "host/models/sequence_tagger.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <utility>

#include "host/base/utf8.h"
#include "host/models/checkpoint.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

constexpr const char* kTaggerType = "sequence_tagger";
constexpr const char *kCharactersFile = "characters.txt", *kTagsFile = "tags.txt";

/// One graph's, as the columns of a batch.
struct TaggerPlaceholders {
  Tensor words;              // [T, N] int32, T open
  Tensor lengths;            // [N] int32
  Tensor targets;            // [T, N] int32
  Tensor characters;         // [C, U] int32, both open, or empty like those that follow
  Tensor character_lengths;  // [U] int32
  Tensor forms;              // [T, N] int32: which of the U

  TaggerPlaceholders(Graph& graph, const SequenceTaggerConfig& config, std::int64_t batch)
      : words(graph.placeholder("words", {kOpen, batch}, DType::kInt32)),
        lengths(graph.placeholder("lengths", {batch}, DType::kInt32)),
        targets(graph.placeholder("targets", {kOpen, batch}, DType::kInt32)) {
    if (config.char_hidden == 0) return;
    characters = graph.placeholder("characters", {kOpen, kOpen}, DType::kInt32);
    character_lengths = graph.placeholder("character_lengths", {kOpen}, DType::kInt32);
    forms = graph.placeholder("forms", {kOpen, batch}, DType::kInt32);
  }

  std::vector<Tensor> list() const {
    if (!characters) return {words, lengths, targets};
    return {words, lengths, targets, characters, character_lengths, forms};
  }
};

CrfWeights declare_crf(Graph& graph, std::int64_t tags, const Initialization& how) {
  const Initializer uniform_table = uniform(-how.table_range(), how.table_range());
  return {graph.variable("crf.transitions", {tags, tags}, uniform_table),
          graph.variable("crf.start_transitions", {tags}, uniform_table),
          graph.variable("crf.end_transitions", {tags}, uniform_table)};
}

/// The model in a graph, its parameters in the order of the model.
class TaggerLayers {
 public:
  TaggerLayers(Graph& graph, const SequenceTaggerConfig& config, const Initialization& how = {})
      : config_(config),
        sentence_(declare_encoder(graph, config.sentence(), how)),
        spelling_(config.char_hidden > 0 ? declare_encoder(graph, config.spelling(), how)
                                         : EncoderParameters()),
        decoder_(graph, {config.recurrent().output(), config.tags}, how) {
    if (config.crf) crf_ = declare_crf(graph, config.tags, how);
  }

  /// The state [T N, D R] of each word.
  Tensor states(const TaggerPlaceholders& in, const Dropping& dropping) const {
    EncoderInputs inputs{.ids = in.words, .lengths = in.lengths};
    if (config_.char_hidden > 0) {
      const EncoderConfig spelling = config_.spelling();
      const RecurrentResult read = encode(
          spelling, spelling_, {.ids = in.characters, .lengths = in.character_lengths}, dropping);
      inputs.beside = gather(last_states(spelling, read), in.forms);
    }
    const RecurrentResult result = encode(config_.sentence(), sentence_, inputs, dropping);
    return drop_output(config_, reshape(result.y, {kOpen, config_.recurrent().output()}), dropping);
  }

  DecoderLoss loss(Tensor states, const TaggerPlaceholders& in, const LossOptions& options) const {
    if (!config_.crf) return decoder_.loss(states, reshape(in.targets, {kOpen}), {}, options);
    const Tensor loss = crf_loss(scores(states, in), in.targets, in.lengths, crf_);
    if (options.weight) return {reduce_sum(loss) * options.weight, stop_gradient(loss), {}};
    const Tensor known = cast(greater_equal(in.targets, 0), DType::kFloat32);
    return {reduce_sum(loss) / reduce_sum(known), stop_gradient(loss), {}};
  }

  /// ln p [T, N, K] of a softmax. A CRF may take it for its scores: what a step's scores have in
  /// common is part of every sequence's score, and so changes no probability.
  Tensor scores(Tensor states, const TaggerPlaceholders& in) const {
    return reshape(decoder_.output(states), {kOpen, in.words.shape()[1], config_.tags});
  }

  Tensor tags(Tensor scores, const TaggerPlaceholders& in) const {
    return config_.crf ? crf_decode(scores, in.lengths, crf_)
                       : cast(argmax(scores, 2), DType::kInt32);
  }

 private:
  const SequenceTaggerConfig& config_;
  EncoderParameters sentence_, spelling_;
  SoftmaxDecoder decoder_;
  CrfWeights crf_;
};

TagColumn column_from(const JsonObject& model) {
  const std::string name = model.string("tag_column");
  const std::optional<TagColumn> column = tag_column_of(name);
  if (!column)
    throw std::runtime_error(fmt::format("{}: tag_column: got {}, expected upos or xpos",
                                         model.where(), in_quotes(name)));
  return *column;
}

}  // namespace

void SequenceTaggerConfig::check() const {
  if (tags < 2 || tags > most_tags())
    throw std::invalid_argument(fmt::format("tags: got {}, expected 2 to {}", tags, most_tags()));
  if (char_hidden < 0)
    throw std::invalid_argument(
        fmt::format("units over characters: got {}, expected 0 or more", char_hidden));
  sentence().check();
  if (char_hidden > 0) spelling().check();
}

EncoderConfig SequenceTaggerConfig::sentence() const {
  EncoderConfig config = *this;
  config.beside = 2 * char_hidden;
  return config;
}

EncoderConfig SequenceTaggerConfig::spelling() const {
  EncoderConfig config;
  config.prefix = "char_";
  config.cell = cell;
  config.reset = reset;
  config.vocabulary = characters;
  config.embedding = char_embedding;
  config.hidden = {char_hidden};
  config.directions = 2;
  return config;
}

nlohmann::json to_json(const SequenceTaggerConfig& config) {
  nlohmann::json model = {{"type", kTaggerType},
                          {"tags", config.tags},
                          {"tag_column", to_string(config.column)},
                          {"crf", config.crf},
                          {"char_hidden", config.char_hidden}};
  if (config.char_hidden > 0) {
    model["characters"] = config.characters;
    model["char_embedding"] = config.char_embedding;
  }
  if (config.frozen) model["frozen"] = true;
  write_encoder(config, model);
  return model;
}

SequenceTaggerConfig sequence_tagger_from(const JsonObject& model) {
  if (model.string("type") != kTaggerType)
    throw std::runtime_error(fmt::format("{}: type: got {}, expected {}", model.where(),
                                         in_quotes(model.string("type")), kTaggerType));
  constexpr std::int64_t kMost = std::int64_t(1) << 31;
  SequenceTaggerConfig config;
  read_encoder(model, config);
  config.tags = model.integer("tags", 2, ClassLabels::kMost);
  config.column = column_from(model);
  config.crf = model.boolean("crf");
  config.char_hidden = model.integer("char_hidden", 0, kMost);
  if (config.char_hidden > 0) {
    config.characters = model.integer("characters", 2, kMost);
    config.char_embedding = model.integer("char_embedding", 0, kMost);
  }
  if (model.has("frozen")) config.frozen = model.boolean("frozen");
  try {
    config.check();
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(model.where() + ": " + error.what());
  }
  return config;
}

SequenceTagger::SequenceTagger(SequenceTaggerConfig config) : config_(std::move(config)) {
  config_.check();
}

SequenceTagger::SequenceTagger(SequenceTaggerConfig config,
                               std::shared_ptr<const TaggingVocabulary> vocabulary,
                               std::shared_ptr<const WordVectors> vectors)
    : config_(std::move(config)), vocabulary_(std::move(vocabulary)), vectors_(std::move(vectors)) {
  config_.check();
  const TaggingVocabulary& known = *vocabulary_;
  const std::int64_t characters = config_.char_hidden > 0 ? known.characters.size() : 0;
  if (config_.vocabulary != known.words.size() || config_.characters != characters ||
      config_.tags != known.tags.size())
    throw std::invalid_argument(
        fmt::format("tagger: got {} words, {} characters and {} tags, expected {}, {} and {}",
                    known.words.size(), characters, known.tags.size(), config_.vocabulary,
                    config_.characters, config_.tags));
  if (vectors_ && vectors_->dimension != config_.embedding)
    throw std::invalid_argument(fmt::format("tagger: got vectors of {} numbers, expected {}",
                                            vectors_->dimension, config_.embedding));
}

std::shared_ptr<const SequenceTagger> SequenceTagger::read(const Checkpoint& checkpoint) {
  const JsonObject json(checkpoint.config, (checkpoint.directory / "config.json").string());
  SequenceTaggerConfig config = sequence_tagger_from(json.object("model"));
  const auto path = [&](const char* name) { return (checkpoint.directory / name).string(); };
  const auto text = [&](const char* name) -> const std::string& {
    const auto found = checkpoint.files.find(name);
    if (found == checkpoint.files.end())
      throw std::runtime_error(
          fmt::format("{}: {} is missing", checkpoint.directory.string(), name));
    return found->second;
  };
  const auto require = [&](const char* name, const char* what, std::int64_t got,
                           std::int64_t expected) {
    if (got != expected)
      throw std::runtime_error(fmt::format("{}: got {} {}, expected {} as in config.json",
                                           path(name), got, what, expected));
  };
  if (!checkpoint.vocabulary)
    throw std::runtime_error(checkpoint.directory.string() + ": vocab.txt is missing");
  auto vocabulary = std::make_shared<TaggingVocabulary>();
  vocabulary->words = KnownWords::parse(*checkpoint.vocabulary, path("vocab.txt"));
  require("vocab.txt", "words", vocabulary->words.size(), config.vocabulary);
  vocabulary->training_words =
      std::int32_t(json.integer("training_words", 1, vocabulary->words.size()));
  if (config.char_hidden > 0) {
    vocabulary->characters = KnownWords::parse(text(kCharactersFile), path(kCharactersFile));
    require(kCharactersFile, "characters", vocabulary->characters.size(), config.characters);
  }
  vocabulary->tags = ClassLabels::parse(text(kTagsFile), path(kTagsFile));
  require(kTagsFile, "tags", vocabulary->tags.size(), config.tags);
  return std::make_shared<const SequenceTagger>(std::move(config), std::move(vocabulary));
}

std::shared_ptr<const SequenceTagger> SequenceTagger::configured(const JsonObject& model) {
  return std::make_shared<const SequenceTagger>(sequence_tagger_from(model));
}

std::vector<VariableInfo> SequenceTagger::parameters() const {
  Graph graph;
  const TaggerLayers layers(graph, config_);
  return variables_of(graph);
}

std::int64_t SequenceTagger::gradient_bytes() const {
  const std::int64_t tables =
      config_.vocabulary * config_.embedding + config_.characters * config_.char_embedding;
  return (parameter_count(*this) - tables) * std::int64_t(sizeof(float));
}

std::string SequenceTagger::describe() const {
  std::string text = describe_encoder(config_);
  if (config_.frozen) text += ", embedding frozen";
  if (config_.char_hidden > 0)
    text += fmt::format(", 2 x {} units over characters of {}", config_.char_hidden,
                        config_.char_embedding);
  return text + fmt::format(", {} tags by a {}", config_.tags, config_.crf ? "CRF" : "softmax");
}

TrainingPart SequenceTagger::training_part(Graph& graph, const TrainingPartOptions& options) const {
  const TaggerPlaceholders in(graph, config_, options.batch);
  const TaggerLayers layers(graph, config_, options.initialization);
  const DecoderLoss loss =
      layers.loss(layers.states(in, {.training = true, .place = options.place}), in,
                  {.reduction = options.reduction,
                   .batch = options.batch,
                   .chunk_rows = options.chunk_rows,
                   .weight = options.weight});
  return {.inputs = in.list(), .cost = loss.cost};
}

std::unique_ptr<TaggingGraph> SequenceTagger::tagging_graph(std::int64_t batch) const {
  auto made = std::make_unique<TaggingGraph>();
  const TaggerPlaceholders in(made->graph, config_, batch);
  const TaggerLayers layers(made->graph, config_);
  const Tensor states = layers.states(in, {}), scores = layers.scores(states, in);
  made->loss = layers.loss(states, in, {.batch = batch}).loss;
  made->tags = layers.tags(scores, in);
  made->mean_score = reduce_mean(scores);
  made->inputs = in.list();
  return made;
}

std::unique_ptr<EvaluationGraph> SequenceTagger::evaluation_graph(
    std::int64_t batch, const std::string& /*name*/) const {
  auto made = std::make_unique<EvaluationGraph>();
  const TaggerPlaceholders in(made->graph, config_, batch);
  const TaggerLayers layers(made->graph, config_);
  const Tensor states = layers.states(in, {});
  const Tensor tags = layers.tags(layers.scores(states, in), in);
  made->loss = layers.loss(states, in, {.batch = batch}).loss;
  // After a sentence's end there is a tag, too, but no target.
  made->hit =
      cast(logical_and(equal(tags, in.targets), greater_equal(in.targets, 0)), DType::kFloat32);
  made->fetches = {made->loss, made->hit};
  made->inputs = in.list();
  return made;
}

void SequenceTagger::initialize(const Initialization& how, VariableStore& store) const {
  initialize_forget_bias(config_.sentence(), how, store);
  if (config_.char_hidden > 0) initialize_forget_bias(config_.spelling(), how, store);
  if (!vectors_) return;
  std::vector<float> table = store.read<float>(kEncoder);
  const std::vector<std::int64_t> rows = vector_rows(*vocabulary_, *vectors_);
  for (std::size_t word = 0; word < rows.size(); ++word)
    if (rows[word] >= 0)
      std::ranges::copy(vectors_->row(rows[word]),
                        table.begin() + std::ptrdiff_t(word) * config_.embedding);
  store.write<float>(kEncoder, table);
}

double SequenceTagger::loss_ceiling() const {
  return 2 * std::log(double(config_.tags)) + 3;
}

std::vector<Measure> SequenceTagger::measures(const Evaluation& evaluation) const {
  const double accuracy = evaluation.accuracy();
  return {{.name = "accuracy", .value = accuracy, .text = fmt::format("{:7.4f}", accuracy)}};
}

nlohmann::json SequenceTagger::to_json() const {
  return {{"model", unroll::to_json(config_)}, {"training_words", vocabulary_->training_words}};
}

TaskFiles SequenceTagger::files() const {
  TaskFiles files;
  files.vocabulary = vocabulary_->words.to_text();
  if (config_.char_hidden > 0) files.others[kCharactersFile] = vocabulary_->characters.to_text();
  files.others[kTagsFile] = vocabulary_->tags.to_text();
  return files;
}

TensorMetadata SequenceTagger::metadata() const {
  TensorMetadata metadata = encoder_metadata(config_);
  metadata["unroll"] = to_json().dump();
  return metadata;
}

}  // namespace unroll
