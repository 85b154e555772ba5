/// The values of flags: errors of usage, choices by name, ranges.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/base/utf8.h"
#include "host/data/tokenizer.h"
#include "unroll/device.h"
#include "unroll/optimizer_spec.h"
#include "unroll/recurrent_spec.h"

namespace unroll::cli {

/// The command line is wrong: exit status 2. Everything else that fails is 1.
struct UsageError : std::runtime_error {
  explicit UsageError(const std::string& what) : std::runtime_error(printable(what)) {}
};

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
/// What --lstm-gates means.
InputGate choose_input_gate(const std::string& name);
/// What --precision means.
Precision choose_precision(const std::string& name);
/// The kind that a checkpoint or `unroll import --tokenizer` names.
TokenizerKind choose_tokenizer_kind(const std::string& name);

/// What `unroll train --tokenizer` means.
struct TokenizerChoice {
  TokenizerKind kind;
  std::int64_t size = 0;  // of byte pairs that are learnt from the text
  std::string file = {};  // of byte pairs that are given
};
/// word, char, byte, bpe:SIZE, or the name of a file that ends with .json.
/// Errors    UsageError for another name, or a size out of range.
TokenizerChoice choose_tokenizer(const std::string& name);
/// What --optimizer means.
OptimizerKind choose_optimizer(const std::string& name);

/// Throws UsageError unless low <= value <= high, or, if `open`, low < value <= high.
void require_range(const std::string& flag, double value, double low, double high,
                   bool open = false);

/// N of "cuda:N", with "cuda:" as the prefix; nothing if that is not what the text is.
std::optional<int> number_after(std::string_view prefix, std::string_view text);

}  // namespace unroll::cli
