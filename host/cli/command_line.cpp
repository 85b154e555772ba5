#include "host/cli/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <new>
#include <numeric>
#include <optional>
#include <string_view>
#include <system_error>

#include "host/base/utf8.h"
#include "host/cli/commands.h"
#include "unroll/cpu_limits.h"

namespace unroll::cli {
namespace {

/// Levenshtein's distance.
std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t(0));
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] != b[j - 1] ? 1 : 0);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string best = nearest(word, candidates);
  return best.empty() ? "" : "; did you mean " + best + "?";
}

struct Command {
  const char* name;
  const char* description;
  void (*add)(CLI::App* command, std::function<void()>& run);
};
constexpr Command kCommands[] = {
    {"train", "Train a language model on text", add_train},
    {"eval", "Perplexity of a model on a text", add_eval},
    {"predict", "P(next word | history)", add_predict},
    {"generate", "Draw text from a model", add_generate},
    {"import", "Make a checkpoint of PyTorch's weights", add_import},
    {"report", "Describe a training run in an HTML page", add_report},
    {"bench", "How fast this machine is, beside its rivals", add_bench},
    {"doctor", "What this build and this machine can do, and why not", add_doctor},
};

void fail_line(const std::string& what) {
  note("unroll: " + what);
}

/// The last of "bench rnn", say.
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
  if (word.starts_with('-'))
    return fmt::format("unknown flag {}{} (see unroll {} --help)", word,
                       did_you_mean(word, candidates), name);
  return fmt::format("unexpected word '{}'; flags begin with -- (see unroll {} --help)", word,
                     name);
}

/// N of "cuda:N", with "cuda:" as the prefix.
std::optional<int> number_after(std::string_view prefix, std::string_view text) {
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  int number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end && number >= 0 ? std::optional(number) : std::nullopt;
}

/// Those that a training can have: not in float16, and not bare.
constexpr std::string_view kCudnnForms[] = {"cudnn",
                                            "cudnn:standard",
                                            "cudnn:standard:packed",
                                            "cudnn:persist_static",
                                            "cudnn:persist_dynamic",
                                            "cudnn:persist_static_small_h"};

/// Whether it is one of ours, for a pass.
bool is_pass_algorithm(std::string_view name) {
  return name == "stepwise" || name == "persistent" ||
         number_after("stepwise:", name).value_or(0) > 0;
}
/// In one pass at least.
bool is_persistent(std::string_view name) {
  return !name.starts_with("cudnn") && name.find("persistent") != name.npos;
}

/// Which flag asks for something that the CPU does not do, and how it does it; empty if none does.
std::string beyond_cpu(const DeviceFlags& flags) {
  if (flags.precision != to_string(Precision::kFp32))
    return fmt::format("--precision: got {}, expected fp32: the CPU computes in fp32",
                       flags.precision);
  if (flags.rnn_algorithm.starts_with("stepwise:"))
    return fmt::format(
        "--rnn-algorithm: got {}, expected auto or stepwise: the CPU has no blocks of timesteps",
        flags.rnn_algorithm);
  if (is_persistent(flags.rnn_algorithm))
    return fmt::format(
        "--rnn-algorithm: got {}, expected auto or stepwise: the CPU has one algorithm",
        flags.rnn_algorithm);
  if (flags.rnn_algorithm.starts_with("cudnn"))
    return fmt::format(
        "--rnn-algorithm: got {}, expected auto or stepwise: cuDNN computes on a GPU alone",
        flags.rnn_algorithm);
  return "";
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

/// Looks at what was typed, since CLI11 takes an empty text for 0 and the nearest number for one
/// that is too large.
void check_values(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    // Of a flag given twice the last counts, except where it takes a list.
    const std::vector<std::string>& given = option->results();
    const std::size_t first =
        option->get_expected_max() > 1 || given.empty() ? 0 : given.size() - 1;
    for (std::size_t k = first; k < given.size(); ++k)
      if (!is_sound(*option, given[k]))
        throw UsageError(
            fmt::format("{}: got '{}', expected {}", name, given[k], expected_value(*option)));
  }
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

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t fewest = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edits(word, candidate);
    if (distance < fewest) {
      fewest = distance;
      best = candidate;
    }
  }
  return best;
}

void fail_choice(const std::string& flag, const std::string& name,
                 const std::vector<std::string>& names) {
  throw UsageError(fmt::format("{}: got {}, expected one of {}{}", flag, in_quotes(name),
                               fmt::join(names, ", "), did_you_mean(name, names)));
}

CellKind choose_cell(const std::string& name) {
  std::string lower = name;
  for (char& c : lower) c = char(std::tolower(static_cast<unsigned char>(c)));
  std::vector<std::pair<std::string, CellKind>> cells;
  for (const CellKind cell : kCellKinds) cells.emplace_back(to_string(cell), cell);
  return choose<CellKind>("--model", lower, cells);
}

TokenizerKind choose_tokenizer(const std::string& name) {
  std::vector<std::pair<std::string, TokenizerKind>> kinds;
  for (const TokenizerKind kind : kTokenizerKinds) kinds.emplace_back(to_string(kind), kind);
  return choose<TokenizerKind>("--tokenizer", name, kinds);
}

Precision choose_precision(const std::string& name) {
  std::vector<std::pair<std::string, Precision>> choices;
  for (const Precision precision : {Precision::kFp32, Precision::kTf32, Precision::kBf16})
    choices.emplace_back(to_string(precision), precision);
  return choose<Precision>("--precision", name, choices);
}

void require_range(const std::string& flag, double value, double low, double high, bool open) {
  if ((open ? value > low : value >= low) && value <= high) return;
  std::string range = fmt::format("a{} number {} {}", std::isinf(value) ? " finite" : "",
                                  open ? "above" : "of at least", low);
  if (high < std::numeric_limits<double>::max()) range += fmt::format(" and at most {}", high);
  throw UsageError(fmt::format("{}: got {}, expected {}", flag, value, range));
}

void check_rnn_algorithm(const std::string& name) {
  const std::size_t plus = name.find('+');
  const std::string_view text = name;
  if (name == "auto" || (is_pass_algorithm(text.substr(0, plus)) &&
                         (plus == name.npos || is_pass_algorithm(text.substr(plus + 1)))))
    return;
  if (std::ranges::find(kCudnnForms, name) != std::end(kCudnnForms)) return;
  throw UsageError(
      fmt::format("--rnn-algorithm: got {}, expected auto, stepwise, stepwise:K with K "
                  "timesteps, 1 or more, persistent, two of these as FORWARD+BACKWARD, {}",
                  in_quotes(name), fmt::join(kCudnnForms, ", ")));
}

void check_rnn_algorithm(const std::string& name, CellKind cell, GruReset reset) {
  check_rnn_algorithm(name);
  if (is_persistent(name) && cell == CellKind::kGru && reset == GruReset::kBefore)
    throw UsageError(fmt::format(
        "--rnn-algorithm: got {} for --gru-reset before, expected auto or stepwise, or --gru-reset "
        "after, which takes one product a timestep",
        name));
  if (!name.starts_with("cudnn")) return;
  if (cell == CellKind::kRnnLogistic)
    throw UsageError(fmt::format(
        "--rnn-algorithm: got {} for --model rnn_logistic, expected auto or stepwise: cuDNN has no "
        "such cell",
        name));
  if (cell == CellKind::kGru && reset == GruReset::kBefore)
    throw UsageError(fmt::format(
        "--rnn-algorithm: got {} for --gru-reset before, expected auto or stepwise, or --gru-reset "
        "after, cuDNN's only form",
        name));
}

void DeviceFlags::add_to(CLI::App& command) {
  const auto add = [&](const char* flag, auto& value, const char* help) {
    return command.add_option(flag, value, help)->group("Device")->capture_default_str();
  };
  add("--device", device, "auto, cpu, cuda or cuda:N; auto: a GPU if there is one");
  precision_option_ = add("--precision", precision,
                          "What matrix products compute in: fp32, or on a GPU tf32 or bf16");
  threads_option_ =
      add("--threads", threads, "Threads on the CPU; 0: one per processor it may use");
}

void DeviceFlags::check() const {
  choose_precision(precision);
  check_rnn_algorithm(rnn_algorithm);
  require_range("--threads", threads, 0, 4096);
  if (device != "auto" && device != "cpu" && device != "cuda" && !number_after("cuda:", device))
    throw UsageError("--device: got '" + device + "', expected auto, cpu, cuda or cuda:N");
  if (const std::string what = beyond_cpu(*this); device == "cpu" && !what.empty())
    throw UsageError(what);
}

int DeviceFlags::ordinal() const {
  return number_after("cuda:", device).value_or(0);
}

std::shared_ptr<Backend> DeviceFlags::open() const {
  check();
  const auto use = [](std::shared_ptr<Backend> backend, const std::string& why) {
    note("device: " + backend->name() + why);
    return backend;
  };
  const auto use_cpu = [&](const std::string& why) {
    const ProcessorLimit limit = processor_limit();
    if (threads > limit.processors)
      warn(fmt::format("{} threads take turns on {} processor{}{}", threads, limit.processors,
                       limit.processors == 1 ? "" : "s",
                       limit.file.empty() ? "" : ", the limit in " + limit.file));
    return use(cpu(threads), why);
  };
  const CudaOptions options{choose_precision(precision), rnn_algorithm};
  if (device == "cpu") return use_cpu(", as asked");
  if (device != "auto") {
    try {
      return use(cuda(ordinal(), options), ", as asked");
    } catch (const Unsupported&) {
      throw;  // it is not the device
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(
          fmt::format("--device {}: {}; --device cpu works without a GPU", device, error.what()));
    }
  }
  std::string why;
  const int devices = cuda_device_count(&why);
  for (int ordinal = 0; ordinal < devices; ++ordinal) try {
      return use(cuda(ordinal, options), ", the first usable GPU");
    } catch (const Unsupported&) {
      throw;  // on no device
    } catch (const std::runtime_error& error) {
      why = error.what();
    }
  if (const std::string what = beyond_cpu(*this); !what.empty())
    throw std::runtime_error(fmt::format("{}, and no GPU can be used: {}", what, why));
  return use_cpu("; no GPU: " + why);
}

std::function<void()> parse(int argc, const char* const* argv) {
  // Kept by what is returned: a command asks its options which of them were given.
  const auto kept = std::make_shared<CLI::App>(
      "Trains recurrent language models (Elman RNN, LSTM, GRU) and asks them questions.", "unroll");
  CLI::App& app = *kept;
  app.set_version_flag("--version", "unroll " UNROLL_VERSION);
  app.require_subcommand(1);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.footer(
      "Exit status: 0 done, 1 the run failed, 2 the command line is wrong, 128 + n ended by\n"
      "signal n: a training run has then been saved.\n"
      "unroll COMMAND --help describes a command's flags.");
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  std::vector<const char*> names;
  std::function<void()> command;
  for (const Command& known : kCommands) {
    CLI::App* const added = app.add_subcommand(known.name, known.description);
    names.push_back(known.name);
    // Flags take long to add, so only a command that may be the one given gets its own.
    if (std::ranges::find(words, known.name) != words.end()) known.add(added, command);
  }
  if (words.empty())
    throw UsageError(fmt::format("no command given, expected one of {} (see unroll --help)",
                                 fmt::join(names, ", ")));
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const CLI::App& asked = *chosen_command(app);
    std::string before;  // "unroll bench", of "unroll bench rnn"
    for (const CLI::App* outer = asked.get_parent(); outer; outer = outer->get_parent())
      before = outer->get_name() + (before.empty() ? "" : " ") + before;
    return [text = asked.help(before)] { print(text); };
  } catch (const CLI::CallForVersion&) {
    return [] { print("unroll " UNROLL_VERSION "\n"); };
  } catch (const CLI::ParseError& error) {
    throw UsageError(explain(app, error));
  }
  check_values(*chosen_command(app));
  return [kept, command] { command(); };
}

int run(int argc, const char* const* argv) {
  try {
    parse(argc, argv)();
    return 0;
  } catch (const UsageError& error) {
    fail_line(error.what());
    return 2;
  } catch (const Stopped& stopped) {
    if (*stopped.what()) fail_line(stopped.what());
    return 128 + stopped.signal;
  } catch (const std::bad_alloc&) {
    fail_line("out of memory");
    return 1;
  } catch (const std::filesystem::filesystem_error& error) {
    fail_line(error.path1().string() + ": cannot be examined: " + error.code().message());
    return 1;
  } catch (const std::exception& error) {
    fail_line(error.what());
    return 1;
  }
}

}  // namespace unroll::cli
