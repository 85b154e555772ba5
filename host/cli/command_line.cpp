#include "host/cli/command_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "host/base/setting_error.h"
#include "host/base/spelling.h"
#include "host/bench/commit.h"
#include "host/cli/commands.h"
#include "host/cli/config_file.h"
#include "host/cli/help_format.h"
#include "host/cli/output.h"
#include "host/cli/peer_flags.h"
#include "host/cli/terminal.h"
#include "host/cli/values.h"
#include "unroll/device.h"

namespace unroll::cli {
namespace {

struct Command {
  const char* name;
  const char* description;
  void (*add)(CLI::App* command, std::function<void()>& run);
  const char* example;  // of its flags; may be empty
};
constexpr Command kCommands[] = {
    {"train", "Train a language model, a classifier, a tagger or a forecaster", add_train,
     "--data ptb --save runs/ptb"},
    {"eval", "How good a model is on a text or a series", add_eval,
     "--checkpoint runs/ptb --data ptb/test.txt"},
    {"predict", "P(next word | history), or P(class | text)", add_predict,
     "--checkpoint runs/ptb --text 'the price of the'"},
    {"score", "How probable each line of a text is", add_score,
     "--checkpoint runs/ptb < lines.txt"},
    {"rescore", "Sort n-best lists with a model's probabilities", add_rescore,
     "--checkpoint runs/ptb --format moses --weight 0.3 < lists > sorted"},
    {"generate", "Draw text from a model", add_generate,
     "--checkpoint runs/ptb --prompt 'the company' --length 50"},
    {"serve", "Answer these questions over HTTP", add_serve, "--checkpoint runs/ptb --port 8080"},
    {"tag", "Sentences with a tag for each word", add_tag,
     "--checkpoint runs/tagger < sentences.txt"},
    {"forecast", "The next values of a time series", add_forecast,
     "--checkpoint runs/load --data load.csv"},
    {"import", "Make a checkpoint of PyTorch's weights", add_import,
     "--weights model.safetensors --vocab vocab.txt --save runs/imported"},
    {"tokenizer", "Learn what the tokens of a text are", add_tokenizer,
     "train --data text.txt --size 8000"},
    {"report", "Describe a training run in an HTML page", add_report, "runs/ptb"},
    {"bench", "How fast recurrent layers are here, beside cuDNN or oneDNN", add_bench,
     "rnn --shapes wlm650"},
    {"doctor", "What this build and this machine can do, and why not", add_doctor, ""},
};

/// The innermost command: rnn in "bench rnn".
const CLI::App* chosen_command(const CLI::App& app) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  return command;
}

/// "bench rnn"; empty for the program itself.
std::string full_name(const CLI::App& command) {
  const CLI::App* const parent = command.get_parent();
  if (!parent) return "";
  const std::string before = full_name(*parent);
  return before + (before.empty() ? "" : " ") + command.get_name();
}

/// What CLI11 leaves over: misspelt flags, or words where none belong.
std::string explain_extras(const CLI::App& app) {
  const CLI::App* command = chosen_command(app);
  const std::vector<std::string> extras = app.remaining(/*recurse=*/true);
  const std::string word = extras.empty() ? "" : extras.front().substr(0, extras.front().find('='));
  std::vector<std::string> candidates;
  const std::string name = full_name(*command);
  for (const CLI::App* known : command->get_subcommands(nullptr))
    candidates.push_back(known->get_name());
  if (!candidates.empty())
    return fmt::format("unknown command '{}{}{}'{} (see unroll{}{} --help)", name,
                       name.empty() ? "" : " ", word, did_you_mean(word, candidates),
                       name.empty() ? "" : " ", name);
  for (const CLI::Option* option : command->get_options())
    for (const std::string& name : option->get_lnames()) candidates.push_back("--" + name);
  if (const auto hint = word.starts_with('-') ? peer_flag_hint(word) : std::nullopt)
    return fmt::format("unknown flag {}; here: {} (see unroll {} --help)", word, *hint, name);
  if (word.starts_with('-'))
    return fmt::format("unknown flag {}{} (see unroll {} --help)", word,
                       did_you_mean(word, candidates), name);
  return fmt::format("unexpected word '{}'; flags begin with -- (see unroll {} --help)", word,
                     name);
}

/// What a flag takes, by CLI11's name of the type.
std::string expected_value(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  if (type == "FLOAT") return "a number below 1.8e308";
  if (type == "INT") return "a whole number below 2^63";
  if (type == "UINT") return "a whole number, 0 or more and below 2^64";
  return "a text";
}

template <typename Number>
bool reads_as(std::string_view text) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end;
}

/// Whether a value given is one of the flag's kind. Only what is said or asked may be empty.
bool is_sound(const CLI::Option& option, const std::string& value) {
  const std::string type = option.get_type_name();
  if (type == "FLOAT") return reads_as<double>(value);
  if (type == "INT") return reads_as<std::int64_t>(value);
  if (type == "UINT") return reads_as<std::uint64_t>(value);
  return !value.empty() || option.get_expected_min() == 0 || option.check_lname("text") ||
         option.check_lname("prompt");
}

/// Whether the value of a flag is that of its variable. Where both are the same, it makes no
/// difference.
bool comes_from_environment(const CLI::Option& option) {
  const char* const value =
      option.get_envname().empty() ? nullptr : std::getenv(option.get_envname().c_str());
  return value && option.results() == std::vector<std::string>{value};
}

/// Looks at what was typed, since CLI11 takes an empty text for 0 and the nearest number for one
/// that is too large.
void check_values(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options()) {
    const std::string name =
        comes_from_environment(*option) ? option->get_envname() : option->get_name();
    // The last of a flag's values counts if it is given twice, except where it takes a list.
    const std::vector<std::string>& given = option->results();
    const std::size_t first =
        option->get_expected_max() > 1 || given.empty() ? 0 : given.size() - 1;
    for (std::size_t k = first; k < given.size(); ++k)
      if (!is_sound(*option, given[k]))
        throw UsageError(
            fmt::format("{}: got '{}', expected {}", name, given[k], expected_value(*option)));
  }
}

/// A line of --config as a word of the command line.
std::string word_of(const ConfigLine& line, const CLI::App& command) {
  const CLI::Option* const option = command.get_option_no_throw("--" + line.name);
  std::vector<std::string> candidates;
  for (const CLI::Option* known : command.get_options())
    for (const std::string& name : known->get_lnames()) candidates.push_back(name);
  if (!option)
    throw UsageError(fmt::format("{}: unknown name {}{}", line.where, in_quotes(line.name),
                                 did_you_mean(line.name, candidates)));
  if (line.name == "config" || line.name.starts_with("help"))
    throw UsageError(fmt::format("{}: {} belongs on the command line", line.where, line.name));
  const bool is_flag = option->get_expected_max() == 0, takes_list = option->get_expected_max() > 1;
  if (line.is_list && !takes_list)
    throw UsageError(fmt::format("{}: {}: got a list, expected one value", line.where, line.name));
  for (const std::string& value : line.values)
    if (is_flag ? value != "true" && value != "false" : !is_sound(*option, value))
      throw UsageError(fmt::format("{}: {}: got '{}', expected {}", line.where, line.name, value,
                                   is_flag ? "true or false" : expected_value(*option)));
  return fmt::format("--{}={}", line.name, fmt::join(line.values, ","));
}

/// One line on what CLI11 did not accept.
std::string explain(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = *chosen_command(app);
  const bool misspelt = !app.remaining(/*recurse=*/true).empty();
  if (dynamic_cast<const CLI::ExtrasError*>(&error) ||
      (misspelt && dynamic_cast<const CLI::RequiredError*>(&error)))
    return explain_extras(app);
  const std::string what = error.what();
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error))
    if (const CLI::Option* option = command.get_option_no_throw(what.substr(0, what.find(':'))))
      return fmt::format("{}: got no value, expected {}", option->get_name(),
                         expected_value(*option));
  if (dynamic_cast<const CLI::ConversionError*>(&error)) {
    check_values(command);
    // A flag that takes no value was given one: "Could not convert: --tied = maybe".
    const std::size_t name = what.find("--"), value = what.find(" = ");
    if (name < value && value != what.npos)
      return fmt::format("{}: got '{}', expected true, false or nothing",
                         what.substr(name, value - name), what.substr(value + 3));
  }
  return what;
}

/// Says of which line of --config it is that a command does not accept a value.
[[noreturn]] void refuse(const UsageError& error, const std::vector<ConfigLine>& lines) {
  const std::string what = error.what();
  for (const ConfigLine& line : lines)
    if (what.starts_with("--" + line.name + ":")) throw UsageError(line.where + ": " + what);
  throw error;
}

/// Parses the words, and those of --config before them: of a flag that is given twice, the last
/// counts. Returns the lines whose flags were not given on the command line.
std::vector<ConfigLine> parse_with_config(CLI::App& app, int argc, const char* const* argv) {
  app.parse(argc, argv);
  CLI::App& command = *app.get_subcommands().front();
  const CLI::Option* const config = command.get_option_no_throw("--config");
  if (!config || config->count() == 0) return {};
  std::vector<ConfigLine> lines = read_config_file(config->as<std::string>());
  std::vector<std::string> words(argv + 1, argv + argc);
  const auto own = std::ranges::find(words, command.get_name());
  std::vector<std::string> all(words.begin(), own + 1);
  for (const ConfigLine& line : lines) all.push_back(word_of(line, command));
  all.insert(all.end(), own + 1, words.end());
  std::erase_if(lines, [&](const ConfigLine& line) {
    const CLI::Option* const option = command.get_option_no_throw("--" + line.name);
    return option && option->count() > 0 && !comes_from_environment(*option);
  });
  std::ranges::reverse(all);  // as CLI11 takes them
  app.parse(all);
  return lines;
}

std::string version_line() {
  return "unroll " + benchmark::version_and_commit();
}

/// The program. Flags take long to add, so only commands that `has_flags` get their own.
std::shared_ptr<CLI::App> make_program(const std::function<bool(std::string_view)>& has_flags,
                                       std::function<void()>& run) {
  const auto made = std::make_shared<CLI::App>(
      "Trains recurrent language models (Elman RNN, LSTM, GRU) and asks them questions.", "unroll");
  CLI::App& app = *made;
  app.set_version_flag("--version", version_line());
  app.require_subcommand(1);
  app.formatter(std::make_shared<HelpFormat>(terminal_columns(STDOUT_FILENO)));
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.footer(
      "Exit status: 0 done, 1 the run failed, 2 the command line is wrong, 128 + n ended by "
      "signal n: a training run has then been saved.\n"
      "unroll COMMAND --help describes a command's flags.");
  for (const Command& known : kCommands) {
    CLI::App* const added = app.add_subcommand(known.name, known.description);
    if (!has_flags(known.name)) continue;
    known.add(added, run);
    if (*known.example)
      added->footer(fmt::format("Example: unroll {} {}\n\n{}", known.name, known.example,
                                added->get_footer()));
  }
  return made;
}

}  // namespace

std::shared_ptr<const CLI::App> describe_program() {
  static std::function<void()> never_run;
  return make_program([](std::string_view) { return true; }, never_run);
}

std::function<void()> parse(int argc, const char* const* argv) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  std::function<void()> command;
  // Kept by what is returned: a command asks its options which of them were given.
  const auto kept = make_program(
      [&](std::string_view name) { return std::ranges::find(words, name) != words.end(); },
      command);
  CLI::App& app = *kept;
  if (words.empty()) {
    std::vector<const char*> names;
    for (const Command& known : kCommands) names.push_back(known.name);
    throw UsageError(fmt::format("no command given, expected one of {} (see unroll --help)",
                                 fmt::join(names, ", ")));
  }
  std::vector<ConfigLine> config;
  try {
    config = parse_with_config(app, argc, argv);
  } catch (const CLI::CallForHelp&) {
    const CLI::App& asked = *chosen_command(app);
    std::string before;  // "unroll bench", of "unroll bench rnn"
    for (const CLI::App* outer = asked.get_parent(); outer; outer = outer->get_parent())
      before = outer->get_name() + (before.empty() ? "" : " ") + before;
    return [text = asked.help(before)] { print(text); };
  } catch (const CLI::CallForVersion&) {
    return [] { print(version_line() + "\n"); };
  } catch (const CLI::ParseError& error) {
    throw UsageError(explain(app, error));
  }
  check_values(*chosen_command(app));
  return [kept, command, config] {
    try {
      command();
    } catch (const UsageError& error) {
      refuse(error, config);
    }
  };
}

namespace {

/// How a user gives a setting that a layer below names by what it is.
const char* flag_of(SettingName setting) {
  switch (setting) {
    case SettingName::kTokenizer:
      return "--tokenizer";
    case SettingName::kSplit:
      return "--split";
    case SettingName::kBatchSize:
      return "--batch-size";
    case SettingName::kTimesteps:
      return "--bptt";
    case SettingName::kHorizon:
      return "--horizon";
    case SettingName::kValidFraction:
      return "--valid-fraction";
    case SettingName::kTestFraction:
      return "--test-fraction";
    case SettingName::kLearningRate:
      return "--lr";
    case SettingName::kClipNorm:
      return "--clip";
    case SettingName::kLossCeiling:
      return "--loss-ceiling";
    case SettingName::kOnDivergence:
      return "--on-divergence";
    case SettingName::kResume:
      return "--resume";
  }
  throw std::logic_error("a setting without a flag");
}

std::string with_flags(const SettingError& error) {
  std::vector<std::string> flags;
  for (const SettingName setting : error.settings()) flags.emplace_back(flag_of(setting));
  return fmt::format("{} ({})", error.what(), fmt::join(flags, ", "));
}

}  // namespace

int run(int argc, const char* const* argv) {
  try {
    parse(argc, argv)();
    return 0;
  } catch (const UsageError& error) {
    complain(error.what());
    return 2;
  } catch (const Stopped& stopped) {
    if (*stopped.what()) complain(stopped.what());
    return 128 + stopped.signal;
  } catch (const SettingError& error) {
    complain(with_flags(error));
    return 1;
  } catch (const Unsupported& error) {  // all are refusals of an RNN algorithm
    complain(std::string(error.what()) + " (--rnn-algorithm)");
    return 1;
  } catch (const std::bad_alloc&) {
    complain("out of memory");
    return 1;
  } catch (const std::filesystem::filesystem_error& error) {
    complain(error.path1().string() + ": cannot be examined: " + error.code().message());
    return 1;
  } catch (const std::exception& error) {
    complain(error.what());
    return 1;
  }
}

}  // namespace unroll::cli
