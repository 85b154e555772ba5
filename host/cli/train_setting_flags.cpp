#include "host/cli/train_setting_flags.h"

#include <fmt/format.h>

#include <cctype>
#include <type_traits>

#include "host/cli/recipes.h"
#include "host/cli/setting_list.h"
#include "host/cli/values.h"

namespace unroll::cli {
namespace {

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
    read_list(value, [](const JsonObject& item) { return item.integer("item", 1, kLargest); });
  }
  void operator()(std::vector<double>& value) const {
    read_list(value, [](const JsonObject& item) { return item.number("item", 0, 1); });
  }
  void operator()(std::vector<std::string>& value) const {
    read_list(value, [](const JsonObject& item) { return item.string("item"); });
  }

 private:
  template <typename Value, typename Read>
  void read_list(std::vector<Value>& value, Read&& read) const {
    value.clear();
    const nlohmann::json& list = json.at(name);
    if (!list.is_array())
      throw std::runtime_error(json.where() + ": " + name + ": got " + list.dump() +
                               ", expected a list");
    for (const nlohmann::json& item : list) {
      const nlohmann::json member = {{"item", item}};
      value.push_back(read(JsonObject(member, json.where() + ": " + name)));
    }
  }
};

template <typename T>
constexpr bool kIsList = false;
template <typename T>
constexpr bool kIsList<std::vector<T>> = true;

/// The rate for a gradient that is a mean over tokens.
double default_rate(const std::string& optimizer) {
  const OptimizerKind kind = choose_optimizer(optimizer);
  if (kind == OptimizerKind::kSgd) return 20;  // word_language_model's
  return kind == OptimizerKind::kMomentum ? 2 : 0.002;
}

/// The steps of RMSProp and Adam do not depend on the scale of the gradient. The others' steps do,
/// and a gradient summed over time is --bptt times as large.
double default_rate(const TrainSettings& s) {
  const bool scales = s.optimizer == "sgd" || s.optimizer == "momentum";
  // Errors are squared, in deviations, so a gradient is as large as they are.
  if (s.task == SeriesTask::kName)
    return s.optimizer == "sgd" ? 0.1 : s.optimizer == "momentum" ? 0.01 : 0.003;
  return default_rate(s.optimizer) / (scales && s.reduction == "time" ? double(s.bptt) : 1);
}

std::string short_text(const nlohmann::json& value) {
  if (value.is_number_float()) return fmt::format("{:.4g}", value.get<double>());
  const std::string text = shown(value);
  return value.is_array() ? text.substr(1, text.size() - 2) : text;
}

/// The defaults of a task. Those of a language model depend on its text.
TrainSettings defaults_of(const std::string& task, const TextKind& text) {
  if (task == SequenceClassifier::kName) return classifier_defaults();
  if (task == SequenceTagger::kName) return tagger_defaults();
  if (task == SeriesTask::kName) return series_defaults();
  return defaults_for(text);
}

/// A setting's default as the help shows it: for words, and for other texts where it differs.
template <typename Value>
std::string default_text(const std::string& task, Value TrainSettings::*member) {
  const auto text = [&](const char* tokenizer, std::int64_t bytes) {
    const TextKind kind{.tokenizer = tokenizer, .bytes = bytes, .epochs = {}};
    return short_text(value_json(defaults_of(task, kind).*member));
  };
  const std::string words = text("word", TextKind::kPtbBytes),
                    characters = text("char", TextKind::kPlaysBytes), built_in = text("word", 0);
  std::vector<std::string> others;
  if (characters != words &&
      characters != "char")  // for --tokenizer itself they differ by definition
    others.push_back("char and byte: " + characters);
  if (built_in != words) others.push_back("without --data: " + built_in);
  return others.empty() ? words : fmt::format("{} ({})", words, fmt::join(others, "; "));
}

/// Whether most runs need to think of it.
bool is_common(const Setting& setting) {
  constexpr const char* kCommon[] = {"task",    "tokenizer",   "model",   "emsize",     "nhid",
                                     "nlayers", "dropout",     "tied",    "recipe",     "optimizer",
                                     "lr",      "lr_schedule", "clip",    "batch_size", "bptt",
                                     "seed",    "epochs",      "patience"};
  return std::ranges::find(kCommon, name_of(setting)) != std::end(kCommon);
}

/// The same settings with the defaults written out, so that two ways to ask for one thing compare
/// equal.
TrainSettings canonical(TrainSettings s) {
  for (char& c : s.model) c = char(std::tolower(static_cast<unsigned char>(c)));
  if (!s.forget_bias && s.init_range == 0) s.forget_bias = 1;
  if (!s.test_fraction && s.split == "fraction") s.test_fraction = kTestFraction;
  if (s.nhid.size() == 1)
    // check() comes later, so the number of layers may still be absurd.
    s.nhid.assign(std::size_t(std::clamp<std::int64_t>(s.nlayers, 1, kMaxLayers)), s.nhid[0]);
  return s;
}

/// Whether a --tokenizer says the same. A text may have had fewer byte pairs than were asked for.
bool is_tokenizer_of(const InitialModel& model, const std::string& given) {
  const Tokenizer& tokenizer = model.task->tokenizer();
  const TokenizerChoice choice = choose_tokenizer(given);
  return choice.kind == tokenizer.kind() && choice.file.empty() &&
         (choice.size == 0 || choice.size >= tokenizer.size());
}

}  // namespace

void TrainSettingFlags::add_to(CLI::App& command) {
  for_each_setting([&](const Setting& setting, auto member) {
    auto& value = given_.*member;
    using Value = std::remove_reference_t<decltype(value)>;
    CLI::Option* option = nullptr;
    if constexpr (std::is_same_v<Value, bool>) {
      option = command.add_flag(setting.flag, value, setting.help);
    } else {
      option = command.add_option(setting.flag, value, setting.help);
      if constexpr (kIsList<Value>)
        option->delimiter(',')->trigger_on_parse();  // a later list replaces an earlier one
    }
    options_[name_of(setting)] = option->group(setting.group);
  });
  show(given_.task);
  options_.at("task")->trigger_on_parse()->each([this](const std::string& task) { show(task); });
}

void TrainSettingFlags::show(const std::string& task) {
  const std::string usual = LanguageModelTask::kName;
  shown_task_ = task;
  for_each_setting([&](const Setting& setting, auto member) {
    using Value = std::remove_reference_t<decltype(given_.*member)>;
    if constexpr (!std::is_same_v<Value, bool> && !std::is_same_v<Value, std::optional<double>>)
      options_.at(name_of(setting))
          ->default_str(default_text(name_of(setting) == "task" ? usual : task, member));
  });
}

bool TrainSettingFlags::help_shows(const CLI::Option& option, bool all) const {
  bool shows = true;
  for_each_setting([&](const Setting& setting, auto) {
    if (options_.at(name_of(setting)) != &option) return;
    const bool is_own = !setting.is_of(LanguageModelTask::kName);  // of a task that was asked for
    shows = setting.is_of(shown_task_) && (all || is_common(setting) || is_own);
  });
  return shows;
}

void TrainSettingFlags::require_flags_of(const std::string& task) const {
  for_each_setting([&](const Setting& setting, auto) {
    if (setting.is_of(task) || options_.at(name_of(setting))->count() == 0) return;
    std::string expected;
    for (const char* one : setting.tasks)
      if (one) expected += (expected.empty() ? "" : " or ") + std::string(one);
    throw UsageError(fmt::format("{}: got --task {}, expected --task {}: no other has this flag",
                                 flag_of(setting), task, expected));
  });
}

void TrainSettingFlags::require_used(const TrainSettings& s) const {
  const std::string optimizer = "--optimizer " + s.optimizer;
  const std::string schedule = "--lr-schedule " + s.lr_schedule, model = "--model " + s.model;
  const bool decays = s.lr_schedule == "decay", plateau = s.lr_schedule == "plateau";
  const CellKind cell = choose_cell(s.model);
  struct Use {
    const char* name;
    bool used;
    const std::string& got;
    const char* expected;
  };
  const Use uses[] = {{"momentum", s.optimizer == "momentum", optimizer, "momentum"},
                      {"rms_decay", s.optimizer == "rmsprop", optimizer, "rmsprop"},
                      {"lr_decay", decays || plateau, schedule, "decay or plateau"},
                      {"lr_decay_after", decays, schedule, "decay"},
                      {"warmup", s.lr_schedule == "cosine", schedule, "cosine"},
                      {"gru_reset", cell == CellKind::kGru, model, "gru"},
                      {"forget_bias", cell == CellKind::kLstm, model, "lstm"}};
  for (const Use& use : uses)
    if (!use.used && options_.at(use.name)->count() > 0)
      throw UsageError(fmt::format("{}: got {}, expected {}: nothing else uses it",
                                   options_.at(use.name)->get_name(), use.got, use.expected));
}

TrainSettings TrainSettingFlags::settings(const std::string& data) const {
  return settings_for(data, given_.tokenizer);
}

TrainSettings TrainSettingFlags::settings_for(const std::string& data,
                                              const std::string& tokenizer) const {
  require_flags_of(given_.task);
  const bool is_auto = given_.recipe == kAutoRecipe;
  TextKind text = TextKind::of(given_.task == LanguageModelTask::kName ? data : "", tokenizer);
  if (options_.at("epochs")->count() > 0) text.epochs = given_.epochs;
  TrainSettings settings = is_auto ? defaults_of(given_.task, text) : recipe(given_.recipe);
  const std::string optimizer = settings.optimizer;
  for_each_setting([&](const Setting& setting, auto member) {
    if (options_.at(name_of(setting))->count() > 0) settings.*member = given_.*member;
  });
  // Another optimiser's rate means nothing.
  if (settings.optimizer != optimizer && options_.at("lr")->count() == 0) settings.lr.reset();
  if (!settings.lr) settings.lr = default_rate(settings);
  if (!settings.vectors.empty() && options_.at("emsize")->count() > 0)
    throw UsageError(
        fmt::format("--emsize: got {} with --vectors, expected none: embeddings are as long as the "
                    "vectors",
                    settings.emsize));
  require_used(settings);
  return settings;
}

TrainSettings TrainSettingFlags::settings_of_resumed(const TrainSettings& stored,
                                                     const std::string& run) const {
  require_flags_of(stored.task);
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
  require_used(settings);
  return settings;
}

TrainSettings TrainSettingFlags::settings_of_model(const InitialModel& model,
                                                   const std::string& data) const {
  if (given_.task != LanguageModelTask::kName)
    throw UsageError(fmt::format("--task: got {}, expected {}: --init-from is for no other",
                                 given_.task, LanguageModelTask::kName));
  TrainSettings settings = settings_for(data, model.tokenizer());
  model.write_to(settings);
  const TrainSettings expected = canonical(settings);
  for_each_setting([&](const Setting& setting, auto member) {
    const std::string name = name_of(setting);
    if (options_.at(name)->count() == 0 || name == "recipe") return;
    if (name == "dropout") return void(settings.*member = given_.*member);
    if (name == "init_range" || name == "forget_bias" || name == "vocab_size" ||
        name == "min_count")
      throw UsageError(fmt::format(
          "{}: got {} with --init-from, expected none: parameters and tokens are those of {}",
          flag_of(setting), shown(value_json(given_.*member)), model.name));
    if (name == "tokenizer" && is_tokenizer_of(model, given_.tokenizer)) return;
    TrainSettings asked = settings;
    asked.*member = given_.*member;
    if (canonical(asked).*member != expected.*member)
      throw UsageError(fmt::format("{}: got {}, expected {}: --init-from {} is such a model",
                                   flag_of(setting), shown(value_json(given_.*member)),
                                   shown(value_json(expected.*member)), model.name));
  });
  return settings;
}

bool TrainSettingFlags::gives_rnn_algorithm() const {
  return options_.at("rnn_algorithm")->count() > 0;
}

nlohmann::ordered_json changes(const TrainSettings& before, const TrainSettings& after) {
  nlohmann::ordered_json changes;
  for_each_setting([&](const Setting& setting, auto member) {
    if (before.*member != after.*member)
      changes[name_of(setting)] = {{"from", value_json(before.*member)},
                                   {"to", value_json(after.*member)}};
  });
  return changes;
}

nlohmann::json to_json(const TrainSettings& settings) {
  nlohmann::json json;
  for_each_setting([&](const Setting& setting, auto member) {
    if (setting.is_of(settings.task)) json[name_of(setting)] = value_json(settings.*member);
  });
  return json;
}

TrainSettings settings_from(const JsonObject& json) {
  TrainSettings settings;
  for_each_setting([&](const Setting& setting, auto member) {
    const std::string name = name_of(setting);
    if (json.has(name)) ReadSetting{json, name}(settings.*member);
  });
  if (!settings.lr) settings.lr = default_rate(settings.optimizer);  // older versions left it out
  if (settings.shards == 0) settings.shards = 1;                     // and had no shards
  return settings;
}

}  // namespace unroll::cli
