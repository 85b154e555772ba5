#include "host/cli/train_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "host/cli/rnn_algorithm.h"
#include "host/cli/setting_list.h"
#include "host/cli/values.h"

namespace unroll::cli {
namespace {

/// The engine computes in float32, where a setting must not become 0 or infinity.
void require_float32(const std::string& flag, double value) {
  const double size = std::abs(value);
  constexpr double least = std::numeric_limits<float>::min(),
                   most = std::numeric_limits<float>::max();
  if (size == 0 || (size >= least && size <= most)) return;
  throw UsageError(fmt::format(
      "{}: got {}, expected a number that float32 holds: 0, or of a size from {:.3g} to "
      "{:.3g}",
      flag, value, least, most));
}

void require_count(const char* flag, std::int64_t value, std::int64_t low) {
  require_range(flag, double(value), double(low), kLargest);
}

/// What only an LSTM has, and a projection's size.
void check_lstm(const EncoderConfig& config) {
  if (config.cell == CellKind::kLstm) {
    const std::int64_t smallest = std::ranges::min(config.hidden);
    if (config.projection >= smallest)
      throw UsageError(fmt::format("--proj: got {}, expected fewer than the {} units of a layer",
                                   config.projection, smallest));
    return;
  }
  std::string flag;
  if (config.input_gate != InputGate::kSeparate)
    flag = "--lstm-gates " + to_string(config.input_gate);
  if (config.layer_norm) flag = "--layer-norm";
  if (config.projection > 0) flag = fmt::format("--proj {}", config.projection);
  if (!flag.empty())
    throw UsageError(fmt::format("--model: got {} with {}, expected lstm: no other cell has it",
                                 to_string(config.cell), flag));
}

void check_fraction(const char* flag, double value, bool zero_allowed) {
  if ((zero_allowed ? value >= 0 : value > 0) && float(value) < 1) return;
  throw UsageError(fmt::format("{}: got {}, expected {} and below 1", flag, value,
                               zero_allowed ? "0 or more" : "more than 0"));
}

/// The parts of a single file, unless it is split by streams.
void check_fractions(const TrainSettings& s) {
  check_fraction("--valid-fraction", s.valid_fraction, false);
  if (s.test_fraction) check_fraction("--test-fraction", *s.test_fraction, true);
  if (s.split == "fraction" && s.valid_fraction + s.test_fraction.value_or(kTestFraction) >= 1)
    throw UsageError(fmt::format(
        "--valid-fraction and --test-fraction: got {} and {}, expected less than 1 together",
        s.valid_fraction, s.test_fraction.value_or(kTestFraction)));
}

/// What only a language model has.
void check_language_model(const TrainSettings& s) {
  check_fractions(s);
  if (s.split == "streams" && s.test_fraction.value_or(0) > 0)
    throw UsageError(fmt::format(
        "--test-fraction: got {}, expected none: --split streams holds no test text back",
        *s.test_fraction));
  check_fraction("--zero-state", s.zero_state, true);
  s.corpus_options();
  s.language_model();
}

/// What only a classifier has.
void check_classifier(const TrainSettings& s) {
  require_range("--directions", double(s.directions), 1, 2);
  s.labelled_texts_options();
  s.classifier();
}

/// What only a tagger has.
void check_tagger(const TrainSettings& s) {
  require_range("--directions", double(s.directions), 1, 2);
  require_count("--char-nhid", s.char_nhid, 0);
  require_count("--char-emsize", s.char_emsize, 0);
  require_range("--unknown-rate", s.unknown_rate, 0, 1);
  if (s.freeze_vectors && s.vectors.empty())
    throw UsageError("--freeze-vectors: got no --vectors, expected a file of vectors to freeze");
  s.tagger();
}

/// What only a time series has.
void check_series(const TrainSettings& s) {
  check_fractions(s);
  if (s.target.empty())
    throw UsageError("--target: got none with --task series, expected the name of a column");
  std::vector<std::string> inputs = s.inputs;
  std::ranges::sort(inputs);
  if (const auto twice = std::ranges::adjacent_find(inputs); twice != inputs.end())
    throw UsageError(
        fmt::format("--inputs: got {} twice, expected different columns", in_quotes(*twice)));
  require_range("--inputs", double(s.columns().size()), 1, double(kMostColumns));
  require_range("--bptt", double(s.bptt), 1, double(SeriesConfig::kMostWindow));
  require_range("--horizon", double(s.horizon), 1, double(SeriesConfig::kMostHorizon));
  try {
    check_quantiles(s.quantiles);
  } catch (const std::invalid_argument& error) {
    throw UsageError(std::string("--quantiles: ") + error.what());
  }
  s.series();
}

Vocabulary::Limits vocabulary_limits(const TokenizerChoice& choice, const TrainSettings& settings) {
  return {choice.size > 0 ? choice.size : settings.vocab_size, settings.min_count};
}

}  // namespace

void TrainSettings::check() const {
  require_count("--emsize", emsize, 0);
  require_range("--nlayers", double(nlayers), 1, double(kMaxLayers));
  for (const std::int64_t units : nhid) require_count("--nhid", units, 1);
  require_count("--proj", proj, 0);
  if (nhid.size() != 1 && std::int64_t(nhid.size()) != nlayers)
    throw UsageError(fmt::format("--nhid: got {} sizes, expected 1{}, as --nlayers says",
                                 nhid.size(), nlayers == 1 ? "" : fmt::format(" or {}", nlayers)));
  check_fraction("--dropout", dropout, true);
  require_count("--batch-size", batch_size, 1);
  require_count("--bptt", bptt, 1);
  require_count("--shards", shards, 0);
  if (shards > batch_size)
    throw UsageError(fmt::format("--shards: got {}, expected at most the {} of --batch-size",
                                 shards, batch_size));
  require_count("--epochs", epochs, 1);
  require_count("--chunk-rows", chunk_rows, 0);
  require_range("--seed", double(seed), 0, 9e18);
  require_count("--vocab-size", vocab_size, 0);
  if (vocab_size == 1 || vocab_size == 2)
    throw UsageError(
        fmt::format("--vocab-size: got {}, expected 0 (no limit) or 3 and more: "
                    "<unk>, <eos> and a word",
                    vocab_size));
  require_count("--min-count", min_count, 1);
  const TokenizerChoice choice = choose_tokenizer(tokenizer);
  const bool counts =  // which words or characters are tokens
      choice.kind == TokenizerKind::kWord || choice.kind == TokenizerKind::kChar;
  if (!counts && (vocab_size > 0 || min_count > 1))
    throw UsageError(fmt::format(
        "--vocab-size, --min-count: got --tokenizer {}, expected word or char: {}", tokenizer,
        choice.kind == TokenizerKind::kByte ? "all 256 bytes are tokens"
                                            : "byte pairs say how many tokens there are"));
  if (lr) require_range("--lr", *lr, 0, kNoLimit, /*open=*/true);
  require_range("--clip", clip, 0, kNoLimit);
  require_range("--clip-value", clip_value, 0, kNoLimit);
  check_fraction("--momentum", momentum, true);
  check_fraction("--rms-decay", rms_decay, true);
  require_range("--weight-decay", weight_decay, 0, kNoLimit);
  require_range("--lr-decay", lr_decay, 1, kNoLimit);
  require_count("--lr-decay-after", lr_decay_after, 0);
  require_count("--warmup", warmup, 0);
  require_range("--init-range", init_range, 0, kNoLimit);
  if (forget_bias) require_range("--forget-bias", *forget_bias, -kNoLimit, kNoLimit);
  require_count("--eval-interval", eval_interval, 0);
  choose_rnn_algorithm(rnn_algorithm);
  require_count("--patience", patience, 0);
  if (loss_ceiling) require_range("--loss-ceiling", *loss_ceiling, 0, kNoLimit);
  require_count("--verify-every", verify_every, 0);
  require_count("--save-every", save_every, 0);
  require_count("--keep", keep, 0);
  require_count("--log-interval", log_interval, 1);
  for_each_setting([&](const Setting& setting, auto member) {
    const auto& value = this->*member;
    using Value = std::remove_cvref_t<decltype(value)>;
    if constexpr (std::is_same_v<Value, double>) require_float32(flag_of(setting), value);
    if constexpr (std::is_same_v<Value, std::optional<double>>)
      if (value) require_float32(flag_of(setting), *value);
  });
  choose<void (*)(const TrainSettings&)>("--task", task,
                                         {{LanguageModelTask::kName, check_language_model},
                                          {SequenceClassifier::kName, check_classifier},
                                          {SequenceTagger::kName, check_tagger},
                                          {SeriesTask::kName, check_series}})(*this);
  training_options();
}

void TrainSettings::choose_shards(int ranks) {
  constexpr std::int64_t kUsual = 8;
  if (shards > 0) return;
  shards = ranks == 1 ? 1 : std::min(std::max<std::int64_t>(kUsual, ranks), batch_size);
}

void TrainSettings::require_shards(int ranks) const {
  if (shards < ranks)
    throw UsageError(fmt::format(
        "--ranks: got {} with --shards {} and --batch-size {}, expected at most as many as shards: "
        "each rank holds one or more of them",
        ranks, shards, batch_size));
}

CorpusOptions TrainSettings::corpus_options() const {
  CorpusOptions options;
  const TokenizerChoice choice = choose_tokenizer(tokenizer);
  options.tokenizer = choice.kind;
  options.limits = vocabulary_limits(choice, *this);
  options.split = choose<SplitKind>(
      "--split", split, {{"fraction", SplitKind::kFraction}, {"streams", SplitKind::kStreams}});
  options.valid_fraction = valid_fraction;
  options.test_fraction =
      options.split == SplitKind::kStreams ? 0 : test_fraction.value_or(kTestFraction);
  options.streams = batch_size;
  options.steps = bptt;
  return options;
}

LabelledTextsOptions TrainSettings::labelled_texts_options() const {
  const TokenizerChoice choice = choose_tokenizer(tokenizer);
  return {.tokenizer = choice.kind, .limits = vocabulary_limits(choice, *this)};
}

EncoderConfig TrainSettings::encoder() const {
  EncoderConfig config;
  config.cell = choose_cell(model);
  config.reset = choose<GruReset>("--gru-reset", gru_reset,
                                  {{"before", GruReset::kBefore}, {"after", GruReset::kAfter}});
  config.embedding = emsize;
  config.hidden =
      nhid.size() == 1 ? std::vector<std::int64_t>(std::size_t(nlayers), nhid.front()) : nhid;
  config.directions = int(directions);
  config.dropout = overfit_one_batch ? 0 : dropout;
  config.input_gate = choose_input_gate(lstm_gates);
  config.layer_norm = layer_norm;
  config.projection = proj;
  check_lstm(config);
  const RecurrentAlgorithm algorithm = choose_rnn_algorithm(rnn_algorithm);
  const std::string why = why_not(algorithm, config.recurrent());
  if (!why.empty()) throw UsageError(refusal_of(algorithm, why));
  return config;
}

LanguageModelConfig TrainSettings::language_model() const {
  LanguageModelConfig config{encoder(), tied};
  const std::string width = proj > 0
                                ? fmt::format("--proj {}", proj)
                                : fmt::format("{} units in the last layer", config.hidden.back());
  if (config.tied && config.embedding != config.recurrent().output())
    throw UsageError(
        fmt::format("--tied: got --emsize {} and {}, expected the same", config.embedding, width));
  return config;
}

SequenceClassifierConfig TrainSettings::classifier() const {
  std::vector<std::pair<std::string, Pooling>> poolings;
  for (const Pooling known : kPoolings) poolings.emplace_back(to_string(known), known);
  SequenceClassifierConfig config{encoder()};
  config.pooling = choose("--pooling", pooling, poolings);
  return config;
}

SequenceTaggerConfig TrainSettings::tagger() const {
  SequenceTaggerConfig config{encoder()};
  config.frozen = freeze_vectors;
  config.char_hidden = char_nhid;
  config.char_embedding = char_emsize;
  config.crf = crf;
  config.column = choose<TagColumn>("--tag-column", tag_column,
                                    {{"upos", TagColumn::kUpos}, {"xpos", TagColumn::kXpos}});
  return config;
}

std::vector<std::string> TrainSettings::columns() const {
  std::vector<std::string> columns = {target};
  for (const std::string& input : inputs)
    if (input != target) columns.push_back(input);
  return columns;
}

SeriesOptions TrainSettings::series_options() const {
  return {.columns = columns(),
          .valid_fraction = valid_fraction,
          .test_fraction = test_fraction.value_or(kTestFraction),
          .window = bptt,
          .ahead = series().ahead(),
          .horizon = horizon};
}

SeriesConfig TrainSettings::series() const {
  SeriesConfig config{encoder()};
  config.inputs = std::int64_t(columns().size());
  config.window = bptt;
  config.horizon = horizon;
  config.quantiles = quantiles;
  return config;
}

TrainingOptions TrainSettings::training_options() const {
  TrainingOptions options;
  options.epochs = epochs;
  options.optimizer.kind = choose_optimizer(optimizer);
  options.optimizer.momentum = float(momentum);
  options.optimizer.decay = float(rms_decay);
  options.optimizer.weight_decay = float(weight_decay);
  options.optimizer.clip_norm = float(clip);
  options.optimizer.clip_value = float(clip_value);
  options.schedule = {.kind = choose<ScheduleKind>("--lr-schedule", lr_schedule,
                                                   {{"constant", ScheduleKind::kConstant},
                                                    {"decay", ScheduleKind::kDecay},
                                                    {"plateau", ScheduleKind::kPlateau},
                                                    {"cosine", ScheduleKind::kCosine}}),
                      .learning_rate = lr.value(),
                      .factor = lr_decay,
                      .after = lr_decay_after,
                      .warmup = warmup};
  options.reduction = choose<LossReduction>(
      "--reduction", reduction, {{"mean", LossReduction::kMean}, {"time", LossReduction::kTime}});
  options.initialization.range = init_range;
  options.initialization.forget_bias = forget_bias;
  if (init_range == 0 && !forget_bias) options.initialization.forget_bias = 1;
  options.chunk_rows = chunk_rows;
  options.shards = std::max<std::int64_t>(shards, 1);
  options.seed = std::uint64_t(seed);
  options.eval_interval = eval_interval;
  options.patience = patience;
  options.on_divergence = choose<OnDivergence>("--on-divergence", on_divergence,
                                               {{"stop", OnDivergence::kStop},
                                                {"skip", OnDivergence::kSkip},
                                                {"rollback", OnDivergence::kRollBack}});
  options.loss_ceiling = loss_ceiling;
  options.verify_every = verify_every;
  options.overfit_one_batch = overfit_one_batch;
  options.save_interval = save_every;
  options.keep = int(keep);
  options.log_interval = log_interval;
  options.tensorboard = tensorboard;
  return options;
}

}  // namespace unroll::cli
