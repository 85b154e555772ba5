/// unroll train: defaults, then a recipe's settings, then the flags that were given.
#include <fmt/format.h>

#include <limits>
#include <memory>
#include <optional>

#include "host/cli/command_line.h"
#include "host/cli/commands.h"
#include "host/train/checkpoint.h"
#include "host/train/trainer.h"

namespace unroll::cli {
namespace {

constexpr double kNoLimit = std::numeric_limits<double>::max();
constexpr std::int64_t kLargest = 1 << 30;

/// Everything that decides what a run computes.
struct Settings {
  std::string model = "lstm", gru_reset = "after";
  std::int64_t emsize = 200, nlayers = 2;
  std::vector<std::int64_t> nhid = {200};
  double dropout = 0.2;
  bool tied = false;
  std::int64_t vocab_size = 0, min_count = 1;

  std::int64_t batch_size = 20, bptt = 35, epochs = 40, chunk_rows = 256;
  std::string optimizer = "adam", lr_schedule = "plateau", reduction = "mean";
  std::optional<double> lr;
  double clip = 0.25, clip_value = 0, momentum = 0.9, weight_decay = 0;
  double lr_decay = 4;
  std::int64_t lr_decay_after = 0, warmup = 0;
  double init_range = 0;
  std::optional<double> forget_bias;
};

/// Zaremba, Sutskever & Vinyals 2014, non-regularised: four epochs at rate 1, halved for each
/// after; the gradient summed over time and averaged over the minibatch.
Settings zaremba_small() {
  Settings s;
  s.nhid = {200};
  s.dropout = 0;
  s.batch_size = 20;
  s.bptt = 20;
  s.epochs = 13;
  s.optimizer = "sgd";
  s.lr = 1;
  s.clip = 5;
  s.lr_schedule = "decay";
  s.lr_decay = 2;
  s.lr_decay_after = 4;
  s.reduction = "time";
  s.init_range = 0.1;
  return s;
}

double default_rate(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::kSgd:
      return 20;  // with the mean over tokens, as word_language_model has it
    case OptimizerKind::kMomentum:
      return 2;
    case OptimizerKind::kRmsProp:
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      return 0.002;
  }
  return 0.002;
}

/// The flags as given; those that were not leave the settings alone.
struct TrainFlags {
  std::string data, save = "runs/model", recipe;
  std::optional<std::string> model, gru_reset, optimizer, lr_schedule, reduction;
  std::optional<std::int64_t> emsize, nlayers, vocab_size, min_count, batch_size, bptt, epochs,
      chunk_rows, lr_decay_after, warmup;
  std::optional<double> dropout, lr, clip, clip_value, momentum, weight_decay, lr_decay, init_range,
      forget_bias;
  std::vector<std::int64_t> nhid;
  bool tied = false, json = false;
  std::int64_t log_interval = 200;
  std::uint64_t seed = 1111;
  DeviceFlags device;

  void add_to(CLI::App& command);
  Settings settings() const;
};

void TrainFlags::add_to(CLI::App& c) {
  c.add_option("--data", data,
               "Folder with train.txt, valid.txt and test.txt; without it, a built-in grammar")
      ->group("Text");
  c.add_option("--vocab-size", vocab_size, "At most this many tokens; 0: no limit")->group("Text");
  c.add_option("--min-count", min_count, "Words seen fewer times become <unk>")->group("Text");

  c.add_option("--model", model, "lstm, gru, rnn_tanh, rnn_relu or rnn_logistic [lstm]")
      ->group("Model");
  c.add_option("--gru-reset", gru_reset,
               "Reset gate before the recurrent product or after it (as cuDNN) [after]")
      ->group("Model");
  c.add_option("--emsize", emsize, "Embedding size [200]")->group("Model");
  c.add_option("--nhid", nhid, "Units per layer, one number or one per layer [200]")
      ->delimiter(',')
      ->group("Model");
  c.add_option("--nlayers", nlayers, "Recurrent layers [2]")->group("Model");
  c.add_option("--dropout", dropout, "Rate on all connections but the recurrent ones [0.2]")
      ->group("Model");
  c.add_flag("--tied", tied, "One matrix for embedding and decoder")->group("Model");
  c.add_option("--init-range", init_range,
               "All parameters start uniform in +- this [Xavier and orthogonal]")
      ->group("Model");
  c.add_option("--forget-bias", forget_bias, "LSTM: where the forget gate's bias starts [1]")
      ->group("Model");

  c.add_option("--recipe", recipe,
               "Published settings, which further flags override: zaremba-small")
      ->group("Training");
  c.add_option("--optimizer", optimizer, "sgd, momentum, rmsprop, adam or adamw [adam]")
      ->group("Training");
  c.add_option("--lr", lr, "Learning rate [sgd 20, momentum 2, others 0.002]")->group("Training");
  c.add_option("--lr-schedule", lr_schedule, "constant, decay, plateau or cosine [plateau]")
      ->group("Training");
  c.add_option("--lr-decay", lr_decay, "What decay and plateau divide the rate by [4]")
      ->group("Training");
  c.add_option("--lr-decay-after", lr_decay_after, "decay: epochs at the full rate [0]")
      ->group("Training");
  c.add_option("--warmup", warmup, "cosine: steps of linear warm-up [0]")->group("Training");
  c.add_option("--momentum", momentum, "Of --optimizer momentum [0.9]")->group("Training");
  c.add_option("--weight-decay", weight_decay, "[0]")->group("Training");
  c.add_option("--clip", clip, "Largest norm of the gradient; 0: no limit [0.25]")
      ->group("Training");
  c.add_option("--clip-value", clip_value, "Largest element of the gradient; 0: no limit [0]")
      ->group("Training");
  c.add_option("--reduction", reduction,
               "Loss averaged over tokens (mean), or summed over time (time) [mean]")
      ->group("Training");
  c.add_option("--epochs", epochs, "[40]")->group("Training");
  c.add_option("--batch-size,--batch_size", batch_size, "Parallel streams of text [20]")
      ->group("Training");
  c.add_option("--bptt", bptt, "Timesteps of a batch [35]")->group("Training");
  c.add_option("--chunk-rows", chunk_rows, "Rows of logits in memory at a time [256]")
      ->group("Training");
  c.add_option("--seed", seed, "Of every random number")->group("Training")->capture_default_str();

  c.add_option("--save", save, "Folder for the checkpoints")
      ->group("Output")
      ->capture_default_str();
  c.add_option("--log-interval,--log_interval", log_interval, "Batches between two lines")
      ->group("Output")
      ->capture_default_str();
  c.add_flag("--json", json, "One JSON object on stdout, the lines on stderr")->group("Output");
  device.add_to(c);
}

Settings TrainFlags::settings() const {
  Settings s = recipe.empty() ? Settings()
                              : choose<Settings (*)()>("--recipe", recipe,
                                                       {{"zaremba-small", zaremba_small}})();
  const auto take = [](const auto& flag, auto& setting) {
    if (flag) setting = *flag;
  };
  take(model, s.model);
  take(gru_reset, s.gru_reset);
  take(emsize, s.emsize);
  take(nlayers, s.nlayers);
  take(dropout, s.dropout);
  take(vocab_size, s.vocab_size);
  take(min_count, s.min_count);
  take(batch_size, s.batch_size);
  take(bptt, s.bptt);
  take(epochs, s.epochs);
  take(chunk_rows, s.chunk_rows);
  take(lr_schedule, s.lr_schedule);
  take(reduction, s.reduction);
  take(clip, s.clip);
  take(clip_value, s.clip_value);
  take(momentum, s.momentum);
  take(weight_decay, s.weight_decay);
  take(lr_decay, s.lr_decay);
  take(lr_decay_after, s.lr_decay_after);
  take(warmup, s.warmup);
  take(init_range, s.init_range);
  take(forget_bias, s.forget_bias);
  if (optimizer && *optimizer != s.optimizer) {
    s.optimizer = *optimizer;
    s.lr.reset();  // another optimiser's rate means nothing
  }
  take(lr, s.lr);
  if (!nhid.empty()) s.nhid = nhid;
  s.tied = s.tied || tied;
  return s;
}

void check(const Settings& s) {
  require_range("--emsize", double(s.emsize), 1, kLargest);
  require_range("--nlayers", double(s.nlayers), 1, 1000);
  for (const std::int64_t units : s.nhid) require_range("--nhid", double(units), 1, kLargest);
  if (s.nhid.size() > 1 && std::int64_t(s.nhid.size()) != s.nlayers)
    throw UsageError(fmt::format("--nhid: got {} sizes, expected 1 or one for each of {} layers",
                                 s.nhid.size(), s.nlayers));
  if (!(s.dropout >= 0 && s.dropout < 1))
    throw UsageError(fmt::format("--dropout: got {}, expected 0 or more and below 1", s.dropout));
  require_range("--batch-size", double(s.batch_size), 1, kLargest);
  require_range("--bptt", double(s.bptt), 1, kLargest);
  require_range("--epochs", double(s.epochs), 1, kLargest);
  require_range("--chunk-rows", double(s.chunk_rows), 1, kLargest);
  require_range("--vocab-size", double(s.vocab_size), 0, kLargest);
  if (s.vocab_size == 1 || s.vocab_size == 2)
    throw UsageError(
        fmt::format("--vocab-size: got {}, expected 0 (no limit) or 3 and more: "
                    "<unk>, <eos> and a word",
                    s.vocab_size));
  require_range("--min-count", double(s.min_count), 1, kLargest);
  if (s.lr) require_range("--lr", *s.lr, 0, kNoLimit, /*open=*/true);
  require_range("--clip", s.clip, 0, kNoLimit);
  require_range("--clip-value", s.clip_value, 0, kNoLimit);
  require_range("--momentum", s.momentum, 0, 1);
  require_range("--weight-decay", s.weight_decay, 0, kNoLimit);
  require_range("--lr-decay", s.lr_decay, 1, kNoLimit);
  require_range("--lr-decay-after", double(s.lr_decay_after), 0, kLargest);
  require_range("--warmup", double(s.warmup), 0, kLargest);
  require_range("--init-range", s.init_range, 0, kNoLimit);
  if (s.forget_bias) require_range("--forget-bias", *s.forget_bias, -kNoLimit, kNoLimit);
}

LanguageModelConfig model_config(const Settings& s) {
  std::string name = s.model;  // LSTM, GRU, RNN_TANH and RNN_RELU are word_language_model's
  for (char& c : name) c = char(std::tolower(static_cast<unsigned char>(c)));
  std::vector<std::pair<std::string, CellKind>> cells;
  for (const CellKind cell : {CellKind::kLstm, CellKind::kGru, CellKind::kRnnTanh,
                              CellKind::kRnnRelu, CellKind::kRnnLogistic})
    cells.emplace_back(to_string(cell), cell);
  LanguageModelConfig config;
  config.cell = choose<CellKind>("--model", name, cells);
  config.reset = choose<GruReset>("--gru-reset", s.gru_reset,
                                  {{"before", GruReset::kBefore}, {"after", GruReset::kAfter}});
  config.embedding = s.emsize;
  config.hidden = s.nhid.size() == 1
                      ? std::vector<std::int64_t>(std::size_t(s.nlayers), s.nhid.front())
                      : s.nhid;
  config.dropout = s.dropout;
  config.tied = s.tied;
  if (config.tied && config.embedding != config.hidden.back())
    throw UsageError(
        fmt::format("--tied: got --emsize {} and {} units in the last layer, "
                    "expected the same",
                    config.embedding, config.hidden.back()));
  return config;
}

TrainingOptions training_options(const Settings& s, const TrainFlags& flags) {
  TrainingOptions options;
  options.batch = s.batch_size;
  options.bptt = s.bptt;
  options.epochs = s.epochs;
  options.optimizer.kind = choose<OptimizerKind>("--optimizer", s.optimizer,
                                                 {{"sgd", OptimizerKind::kSgd},
                                                  {"momentum", OptimizerKind::kMomentum},
                                                  {"rmsprop", OptimizerKind::kRmsProp},
                                                  {"adam", OptimizerKind::kAdam},
                                                  {"adamw", OptimizerKind::kAdamW}});
  options.optimizer.momentum = float(s.momentum);
  options.optimizer.weight_decay = float(s.weight_decay);
  options.optimizer.clip_norm = float(s.clip);
  options.optimizer.clip_value = float(s.clip_value);
  options.schedule = {.kind = choose<ScheduleKind>("--lr-schedule", s.lr_schedule,
                                                   {{"constant", ScheduleKind::kConstant},
                                                    {"decay", ScheduleKind::kDecay},
                                                    {"plateau", ScheduleKind::kPlateau},
                                                    {"cosine", ScheduleKind::kCosine}}),
                      .learning_rate = s.lr.value_or(default_rate(options.optimizer.kind)),
                      .factor = s.lr_decay,
                      .after = s.lr_decay_after,
                      .warmup = s.warmup};
  options.reduction = choose<LossReduction>(
      "--reduction", s.reduction, {{"mean", LossReduction::kMean}, {"time", LossReduction::kTime}});
  options.initialization.range = s.init_range;
  options.initialization.forget_bias = s.forget_bias;
  if (s.init_range == 0 && !s.forget_bias) options.initialization.forget_bias = 1;
  options.chunk_rows = s.chunk_rows;
  require_range("--log-interval", double(flags.log_interval), 1, kLargest);
  options.log_interval = flags.log_interval;
  options.seed = flags.seed;
  options.run_dir = flags.save;
  return options;
}

nlohmann::json settings_json(const Settings& s, const TrainFlags& flags,
                             const TrainingOptions& options) {
  return {{"recipe", flags.recipe},
          {"batch_size", s.batch_size},
          {"bptt", s.bptt},
          {"epochs", s.epochs},
          {"optimizer", s.optimizer},
          {"lr", options.schedule.learning_rate},
          {"lr_schedule", s.lr_schedule},
          {"lr_decay", s.lr_decay},
          {"lr_decay_after", s.lr_decay_after},
          {"warmup", s.warmup},
          {"momentum", s.momentum},
          {"weight_decay", s.weight_decay},
          {"clip", s.clip},
          {"clip_value", s.clip_value},
          {"reduction", s.reduction},
          {"init_range", s.init_range},
          {"vocab_size", s.vocab_size},
          {"min_count", s.min_count},
          {"chunk_rows", s.chunk_rows},
          {"seed", flags.seed}};
}

void describe(const char* name, const TokenText& text) {
  note(fmt::format("  {:<6} {:>10} tokens, {:>8} lines, {:.2f} % unknown", name, text.ids.size(),
                   text.lines, 100 * double(text.unknown) / double(text.ids.size())));
}

void run_train(const TrainFlags& flags) {
  const Settings settings = flags.settings();
  check(settings);
  LanguageModelConfig config = model_config(settings);
  const TrainingOptions options = training_options(settings, flags);
  if (!list_checkpoints(flags.save).empty())
    throw std::runtime_error("--save: " + flags.save +
                             " already holds a run; give another folder or remove this one");
  const auto backend = flags.device.open();

  const Vocabulary::Limits limits{settings.vocab_size, settings.min_count};
  const bool built_in = flags.data.empty();
  const LanguageCorpus corpus =
      built_in ? built_in_corpus(limits) : read_language_corpus(flags.data, limits);
  config.vocabulary = corpus.vocabulary.size();
  note(fmt::format(
      "corpus: {}, {} types",
      built_in ? "sentences of the built-in grammar (--data reads a folder of yours)" : flags.data,
      corpus.vocabulary.size()));
  describe("train", corpus.train);
  describe("valid", corpus.valid);
  describe("test", corpus.test);
  note(fmt::format("model: {}, embedding {}, layers of {} units, {} parameters{}",
                   to_string(config.cell), config.embedding, fmt::join(config.hidden, ", "),
                   parameter_count(config), config.tied ? ", tied" : ""));

  const LineSink log = [&](const std::string& line) {
    if (flags.json)
      note(line);
    else
      print(line + "\n");
  };
  const ModelDescription description{config, built_in ? kBuiltInCorpus : flags.data,
                                     settings_json(settings, flags, options), nullptr};
  const TrainingResult result = train(config, options, corpus, description, backend, log,
                                      [](const std::string& line) { note("warning: " + line); });
  note("saved: " + result.checkpoint.string());
  if (flags.json)
    print_json({{"valid_loss", result.valid.loss()},
                {"valid_ppl", result.valid.perplexity()},
                {"test_loss", result.test.loss()},
                {"test_ppl", result.test.perplexity()},
                {"best_epoch", result.best_epoch},
                {"steps", result.steps},
                {"skipped_steps", result.skipped},
                {"parameters", parameter_count(config)},
                {"seconds", result.seconds},
                {"checkpoint", result.checkpoint.string()}});
}

}  // namespace

void add_train(CLI::App& app, std::function<void()>& run) {
  auto flags = std::make_shared<TrainFlags>();
  CLI::App* command = app.add_subcommand("train", "Train a language model on text");
  flags->add_to(*command);
  command->callback([flags, &run] { run = [flags] { run_train(*flags); }; });
}

}  // namespace unroll::cli
