/// What the commands share: errors of usage, choices by name, and the device.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/base/utf8.h"
#include "host/cli/output.h"
#include "host/data/tokenizer.h"
#include "unroll/backend.h"

namespace unroll::cli {

/// The command line is wrong: exit status 2. Everything else that fails is 1.
struct UsageError : std::runtime_error {
  explicit UsageError(const std::string& what) : std::runtime_error(printable(what)) {}
};

/// The candidate with the fewest edits, if it is close enough to be what was meant; else empty.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

[[noreturn]] void fail_choice(const std::string& flag, const std::string& name,
                              const std::vector<std::string>& names);

/// The value called `name`. Errors: UsageError with the choices and the nearest spelling.
template <typename Value>
Value choose(const std::string& flag, const std::string& name,
             const std::vector<std::pair<std::string, Value>>& choices) {
  std::vector<std::string> names;
  for (const auto& [known, value] : choices) {
    if (known == name) return value;
    names.push_back(known);
  }
  fail_choice(flag, name, names);
}

/// What --model means; word_language_model's capitals too.
CellKind choose_cell(const std::string& name);
/// What --precision means.
Precision choose_precision(const std::string& name);
/// What --tokenizer means.
TokenizerKind choose_tokenizer(const std::string& name);

/// Throws UsageError unless low <= value <= high, or, if `open`, low < value <= high.
void require_range(const std::string& flag, double value, double low, double high,
                   bool open = false);

/// Throws UsageError unless it is auto, stepwise, stepwise:K with K >= 1, persistent, two of these
/// as FORWARD+BACKWARD, cudnn or cudnn:FORM.
void check_rnn_algorithm(const std::string& name);
/// And unless it has such cells.
void check_rnn_algorithm(const std::string& name, CellKind cell, GruReset reset);

struct DeviceFlags {
  std::string device = "auto";
  std::string precision = "fp32";
  int threads = 0;
  std::string rnn_algorithm = "auto";  // for those who train: one of their settings

  /// On the command line.
  bool precision_given() const { return precision_option_->count() > 0; }
  bool threads_given() const { return threads_option_->count() > 0; }

  void add_to(CLI::App& command);
  /// Errors    UsageError. Looks at no device.
  void check() const;
  /// N of "cuda:N", and 0 for all others.
  int ordinal() const;
  /// Says on stderr which device it is, and why.
  /// Errors    std::runtime_error if there is none that can do what is asked.
  std::shared_ptr<Backend> open() const;

 private:
  const CLI::Option* precision_option_ = nullptr;
  const CLI::Option* threads_option_ = nullptr;
};

/// What a command line asks for, not begun: a command with its flags, or the text of a help page.
/// Errors    UsageError, of one line.
std::function<void()> parse(int argc, const char* const* argv);

/// Parses a command line and does what it asks for; returns the exit status.
int run(int argc, const char* const* argv);

}  // namespace unroll::cli
