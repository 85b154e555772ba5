#include "host/cli/train_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "host/cli/command_line.h"
#include "host/cli/recipes.h"
#include "host/data/tokenizer.h"

namespace unroll::cli {
namespace {

constexpr double kNoLimit = std::numeric_limits<double>::max();
constexpr std::int64_t kLargest = 1 << 30;
constexpr double kTestFraction = 0.05;

struct Setting {
  const char* flag;
  const char* group;
  const char* help;
  bool may_change = false;  // a resumed run may have another value
};

using S = TrainSettings;

/// Calls visit(setting, member) for each.
template <typename Visit>
void for_each_setting(Visit&& visit) {
  constexpr const char *kText = "Text", *kModel = "Model", *kTraining = "Training", *kRun = "Run";
  visit(Setting{"--tokenizer", kText, "What a token is: word, char or byte"}, &S::tokenizer);
  visit(
      Setting{"--split", kText,
              "Of a single file: fraction (train, then valid, then test) or streams (valid is the "
              "last part of each of the batch's streams, as in char-rnn)"},
      &S::split);
  visit(Setting{"--valid-fraction", kText, "Of a single file"}, &S::valid_fraction);
  visit(Setting{"--test-fraction", kText, "Of a single file split by fraction [0.05]"},
        &S::test_fraction);
  visit(Setting{"--vocab-size", kText, "At most this many tokens; 0: no limit"}, &S::vocab_size);
  visit(Setting{"--min-count", kText, "Tokens seen fewer times become <unk>"}, &S::min_count);

  visit(Setting{"--model", kModel, "lstm, gru, rnn_tanh, rnn_relu or rnn_logistic"}, &S::model);
  visit(Setting{"--gru-reset", kModel,
                "Reset gate before the recurrent product or after it (as cuDNN)"},
        &S::gru_reset);
  visit(Setting{"--emsize", kModel, "Embedding size; 0: one-hot input"}, &S::emsize);
  visit(Setting{"--nhid", kModel,
                "Units per layer: one number, or one per layer with commas between"},
        &S::nhid);
  visit(Setting{"--nlayers", kModel, "Recurrent layers"}, &S::nlayers);
  visit(Setting{"--dropout", kModel, "Rate on all connections but the recurrent ones"},
        &S::dropout);
  visit(Setting{"--tied", kModel, "One matrix for embedding and decoder"}, &S::tied);
  visit(Setting{"--init-range", kModel,
                "All parameters start uniform in +- this; 0: Xavier and orthogonal"},
        &S::init_range);
  visit(
      Setting{"--forget-bias", kModel,
              "LSTM: where the forget gate's bias starts [1, or with --init-range as the others]"},
      &S::forget_bias);

  visit(
      Setting{"--recipe", kTraining,
              "Published settings, which further flags override: zaremba-small, -medium, -large or "
              "char-rnn"},
      &S::recipe);
  visit(Setting{"--optimizer", kTraining, "sgd, momentum, rmsprop, adam or adamw"}, &S::optimizer);
  visit(Setting{"--lr", kTraining,
                "Learning rate [sgd 20, momentum 2, both divided by --bptt with --reduction time; "
                "others 0.002]"},
        &S::lr);
  visit(Setting{"--lr-schedule", kTraining, "constant, decay, plateau or cosine"}, &S::lr_schedule);
  visit(Setting{"--lr-decay", kTraining, "What decay and plateau divide the rate by"},
        &S::lr_decay);
  visit(Setting{"--lr-decay-after", kTraining, "decay: epochs at the full rate"},
        &S::lr_decay_after);
  visit(Setting{"--warmup", kTraining, "cosine: steps of linear warm-up"}, &S::warmup);
  visit(Setting{"--momentum", kTraining, "Of --optimizer momentum"}, &S::momentum);
  visit(Setting{"--rms-decay", kTraining, "Of --optimizer rmsprop"}, &S::rms_decay);
  visit(Setting{"--weight-decay", kTraining, "Of adamw decoupled, else added to the gradient"},
        &S::weight_decay);
  visit(Setting{"--clip", kTraining, "Largest norm of the gradient; 0: no limit"}, &S::clip);
  visit(Setting{"--clip-value", kTraining, "Largest element of the gradient; 0: no limit"},
        &S::clip_value);
  visit(Setting{"--reduction", kTraining,
                "Loss averaged over tokens (mean), or summed over time (time)"},
        &S::reduction);
  visit(Setting{"--batch-size,--batch_size", kTraining, "Parallel streams of text"},
        &S::batch_size);
  visit(Setting{"--bptt", kTraining, "Timesteps of a batch"}, &S::bptt);
  visit(Setting{"--chunk-rows", kTraining,
                "Rows of logits in memory at a time; 0: as many as suit the device"},
        &S::chunk_rows);
  visit(Setting{"--seed", kTraining, "Of every random number"}, &S::seed);
  visit(Setting{"--overfit-one-batch", kTraining,
                "A check: train on the first batch alone, whose loss must fall towards 0"},
        &S::overfit_one_batch);
  visit(Setting{"--eval-interval", kTraining,
                "Steps between validations within an epoch; 0: only at its end"},
        &S::eval_interval);
  visit(
      Setting{
          "--rnn-algorithm", kTraining,
          "auto, stepwise, or on a GPU stepwise:K (layers in blocks of K timesteps), persistent "
          "(one kernel per layer, its recurrent weights in shared memory), two of these as "
          "FORWARD+BACKWARD, or cudnn (cuDNN 9; also cudnn:FORM: standard, standard:packed, "
          "persist_static, persist_dynamic, persist_static_small_h); auto: which of ours is "
          "fastest "
          "there in each pass, kept when resuming unless another is given then",
          true},
      &S::rnn_algorithm);

  visit(Setting{"--epochs", kTraining, "Passes over the training text", true}, &S::epochs);
  visit(Setting{"--patience", kTraining,
                "Stop after so many validations without a better one; 0: never", true},
        &S::patience);
  visit(Setting{"--on-divergence", kTraining,
                "If loss or gradient is not finite, or the loss above --loss-ceiling: stop, skip "
                "the batch, or rollback (to the last checkpoint's weights, at half the rate)",
                true},
        &S::on_divergence);
  visit(Setting{"--loss-ceiling", kTraining,
                "Nats per token above which a loss counts as divergence; 0: none [2 ln V + 3 for V "
                "types]",
                true},
        &S::loss_ceiling);
  visit(Setting{"--verify-every", kTraining,
                "Compute every so many steps twice and compare bits; 0: never", true},
        &S::verify_every);
  visit(Setting{"--save-every", kRun, "Steps between checkpoints within an epoch; 0: none", true},
        &S::save_every);
  visit(Setting{"--keep", kRun, "Checkpoints to keep, beside the best; 0: all", true}, &S::keep);
  visit(Setting{"--log-interval,--log_interval", kRun, "Batches between two lines", true},
        &S::log_interval);
}

/// "--batch-size,--batch_size" is "batch_size" in a checkpoint.
std::string name_of(const Setting& setting) {
  std::string name(setting.flag + 2);
  name = name.substr(0, name.find(','));
  std::ranges::replace(name, '-', '_');
  return name;
}

std::string flag_of(const Setting& setting) {
  const std::string flag(setting.flag);
  return flag.substr(0, flag.find(','));
}

template <typename T>
nlohmann::json value_json(const T& value) {
  return value;
}
nlohmann::json value_json(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

std::string shown(const nlohmann::json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.is_null() ? "none" : value.dump();
}

struct ReadSetting {
  const JsonObject& json;
  const std::string& name;

  void operator()(std::string& value) const { value = json.string(name); }
  void operator()(bool& value) const { value = json.boolean(name); }
  void operator()(double& value) const { value = json.number(name, -kNoLimit, kNoLimit); }
  void operator()(std::int64_t& value) const {
    value = json.integer(name, 0, std::numeric_limits<std::int64_t>::max());
  }
  void operator()(std::optional<double>& value) const {
    value.reset();
    if (!json.at(name).is_null()) (*this)(value.emplace());
  }
  void operator()(std::vector<std::int64_t>& value) const {
    value.clear();
    const nlohmann::json& list = json.at(name);
    if (!list.is_array())
      throw std::runtime_error(json.where() + ": " + name + ": got " + list.dump() +
                               ", expected a list");
    for (const nlohmann::json& item : list) {
      const nlohmann::json member = {{"item", item}};
      value.push_back(JsonObject(member, json.where() + ": " + name).integer("item", 1, kLargest));
    }
  }
};

OptimizerKind optimizer_kind(const std::string& name) {
  return choose<OptimizerKind>("--optimizer", name,
                               {{"sgd", OptimizerKind::kSgd},
                                {"momentum", OptimizerKind::kMomentum},
                                {"rmsprop", OptimizerKind::kRmsProp},
                                {"adam", OptimizerKind::kAdam},
                                {"adamw", OptimizerKind::kAdamW}});
}

/// For a gradient that is a mean over tokens.
double default_rate(const std::string& optimizer) {
  const OptimizerKind kind = optimizer_kind(optimizer);
  if (kind == OptimizerKind::kSgd) return 20;  // word_language_model's
  return kind == OptimizerKind::kMomentum ? 2 : 0.002;
}

/// RMSProp's and Adam's steps do not depend on the scale of the gradient. The others' do, and
/// summed over time it is --bptt times as large.
double default_rate(const TrainSettings& s) {
  const bool scales = s.optimizer == "sgd" || s.optimizer == "momentum";
  return default_rate(s.optimizer) / (scales && s.reduction == "time" ? double(s.bptt) : 1);
}

std::string short_text(const nlohmann::json& value) {
  if (value.is_number_float()) return fmt::format("{:.4g}", value.get<double>());
  const std::string text = shown(value);
  return value.is_array() ? text.substr(1, text.size() - 2) : text;
}

/// A setting's default as the help shows it: for words, and for other texts where it differs.
template <typename Value>
std::string default_text(Value TrainSettings::*member) {
  const auto text = [&](const char* tokenizer, bool built_in_text) {
    return short_text(value_json(defaults_for(tokenizer, built_in_text).*member));
  };
  const std::string words = text("word", false), characters = text("char", false),
                    built_in = text("word", true);
  std::vector<std::string> others;
  if (characters != words && characters != "char")  // which is what the texts are told apart by
    others.push_back("char and byte: " + characters);
  if (built_in != words) others.push_back("without --data: " + built_in);
  return others.empty() ? words : fmt::format("{} ({})", words, fmt::join(others, "; "));
}

/// The same settings with what is left to defaults said, so that two ways to ask for one thing are
/// equal.
TrainSettings canonical(TrainSettings s) {
  for (char& c : s.model) c = char(std::tolower(static_cast<unsigned char>(c)));
  if (!s.forget_bias && s.init_range == 0) s.forget_bias = 1;
  if (!s.test_fraction && s.split == "fraction") s.test_fraction = kTestFraction;
  if (s.nhid.size() == 1)
    // A number of layers that check() will refuse is not made first.
    s.nhid.assign(std::size_t(std::clamp<std::int64_t>(s.nlayers, 1, kMaxLayers)), s.nhid[0]);
  return s;
}

/// What is computed with as float32 must not become 0 or infinity there.
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

void check_fraction(const char* flag, double value, bool zero_allowed) {
  if ((zero_allowed ? value >= 0 : value > 0) && float(value) < 1) return;
  throw UsageError(fmt::format("{}: got {}, expected {} and below 1", flag, value,
                               zero_allowed ? "0 or more" : "more than 0"));
}

}  // namespace

void TrainSettings::check() const {
  require_count("--emsize", emsize, 0);
  require_range("--nlayers", double(nlayers), 1, double(kMaxLayers));
  for (const std::int64_t units : nhid) require_count("--nhid", units, 1);
  if (nhid.size() != 1 && std::int64_t(nhid.size()) != nlayers)
    throw UsageError(fmt::format("--nhid: got {} sizes, expected 1 or one for each of {} layers",
                                 nhid.size(), nlayers));
  check_fraction("--dropout", dropout, true);
  check_fraction("--valid-fraction", valid_fraction, false);
  if (test_fraction) check_fraction("--test-fraction", *test_fraction, true);
  if (split == "streams" && test_fraction.value_or(0) > 0)
    throw UsageError(fmt::format(
        "--test-fraction: got {}, expected none: --split streams holds no test text back",
        *test_fraction));
  if (split == "fraction" && valid_fraction + test_fraction.value_or(kTestFraction) >= 1)
    throw UsageError(fmt::format(
        "--valid-fraction and --test-fraction: got {} and {}, expected less than 1 together",
        valid_fraction, test_fraction.value_or(kTestFraction)));
  require_count("--batch-size", batch_size, 1);
  require_count("--bptt", bptt, 1);
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
  if (tokenizer == "byte" && (vocab_size > 0 || min_count > 1))
    throw UsageError(
        "--vocab-size, --min-count: got --tokenizer byte, expected word or char: all "
        "256 bytes are tokens");
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
  check_rnn_algorithm(rnn_algorithm);
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
  corpus_options();
  model_config();
  training_options();
}

CorpusOptions TrainSettings::corpus_options() const {
  CorpusOptions options;
  options.tokenizer = choose_tokenizer(tokenizer);
  options.limits = {vocab_size, min_count};
  options.split = choose<SplitKind>(
      "--split", split, {{"fraction", SplitKind::kFraction}, {"streams", SplitKind::kStreams}});
  options.valid_fraction = valid_fraction;
  options.test_fraction =
      options.split == SplitKind::kStreams ? 0 : test_fraction.value_or(kTestFraction);
  options.streams = batch_size;
  options.steps = bptt;
  return options;
}

LanguageModelConfig TrainSettings::model_config() const {
  LanguageModelConfig config;
  config.cell = choose_cell(model);
  config.reset = choose<GruReset>("--gru-reset", gru_reset,
                                  {{"before", GruReset::kBefore}, {"after", GruReset::kAfter}});
  check_rnn_algorithm(rnn_algorithm, config.cell, config.reset);
  config.embedding = emsize;
  config.hidden =
      nhid.size() == 1 ? std::vector<std::int64_t>(std::size_t(nlayers), nhid.front()) : nhid;
  config.dropout = overfit_one_batch ? 0 : dropout;
  config.tied = tied;
  if (config.tied && config.embedding != config.hidden.back())
    throw UsageError(
        fmt::format("--tied: got --emsize {} and {} units in the last layer, expected the same",
                    config.embedding, config.hidden.back()));
  return config;
}

TrainingOptions TrainSettings::training_options() const {
  TrainingOptions options;
  options.batch = batch_size;
  options.bptt = bptt;
  options.epochs = epochs;
  options.optimizer.kind = optimizer_kind(optimizer);
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
  return options;
}

void TrainSettingFlags::add_to(CLI::App& command) {
  for_each_setting([&](const Setting& setting, auto member) {
    auto& value = given_.*member;
    using Value = std::remove_reference_t<decltype(value)>;
    CLI::Option* option = nullptr;
    if constexpr (std::is_same_v<Value, bool>) {
      option = command.add_flag(setting.flag, value, setting.help);
    } else {
      option = command.add_option(setting.flag, value, setting.help);
      if constexpr (!std::is_same_v<Value, std::optional<double>>)
        option->default_str(default_text(member));
      if constexpr (std::is_same_v<Value, std::vector<std::int64_t>>)
        option->delimiter(',')->trigger_on_parse();  // a later list replaces an earlier one
    }
    options_[name_of(setting)] = option->group(setting.group);
  });
}

TrainSettings TrainSettingFlags::settings(bool built_in_text) const {
  TrainSettings settings = defaults_for(given_.tokenizer, built_in_text);
  if (!given_.recipe.empty()) settings = recipe(given_.recipe);
  const std::string optimizer = settings.optimizer;
  for_each_setting([&](const Setting& setting, auto member) {
    if (options_.at(name_of(setting))->count() > 0) settings.*member = given_.*member;
  });
  // Another optimiser's rate means nothing.
  if (settings.optimizer != optimizer && options_.at("lr")->count() == 0) settings.lr.reset();
  if (!settings.lr) settings.lr = default_rate(settings);
  return settings;
}

TrainSettings TrainSettingFlags::settings_of_resumed(const TrainSettings& stored,
                                                     const std::string& run) const {
  TrainSettings settings = stored;
  const TrainSettings expected = canonical(stored);
  for_each_setting([&](const Setting& setting, auto member) {
    if (options_.at(name_of(setting))->count() == 0) return;
    TrainSettings asked = stored;
    asked.*member = given_.*member;
    if (setting.may_change)
      settings.*member = given_.*member;
    else if (canonical(asked).*member != expected.*member)
      throw UsageError(fmt::format(
          "{}: got {}, expected {}: {} was begun with it, and a resumed run keeps its settings",
          flag_of(setting), shown(value_json(given_.*member)), shown(value_json(expected.*member)),
          run));
  });
  if (settings.epochs != stored.epochs && settings.lr_schedule == "cosine")
    throw UsageError(
        fmt::format("--epochs: got {}, expected {}: the cosine schedule of {} ends with them",
                    settings.epochs, stored.epochs, run));
  return settings;
}

bool TrainSettingFlags::gives_rnn_algorithm() const {
  return options_.at("rnn_algorithm")->count() > 0;
}

nlohmann::json to_json(const TrainSettings& settings) {
  nlohmann::json json;
  for_each_setting([&](const Setting& setting, auto member) {
    json[name_of(setting)] = value_json(settings.*member);
  });
  return json;
}

TrainSettings settings_from(const JsonObject& json) {
  TrainSettings settings;
  for_each_setting([&](const Setting& setting, auto member) {
    const std::string name = name_of(setting);
    if (json.has(name)) ReadSetting{json, name}(settings.*member);
  });
  if (!settings.lr)
    settings.lr = default_rate(settings.optimizer);  // which older versions left out
  return settings;
}

}  // namespace unroll::cli
