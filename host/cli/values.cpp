#include "host/cli/values.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

#include "host/base/spelling.h"
#include "host/data/bpe_training.h"

namespace unroll::cli {

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

InputGate choose_input_gate(const std::string& name) {
  std::vector<std::pair<std::string, InputGate>> gates;
  for (const InputGate gate : kInputGates) gates.emplace_back(to_string(gate), gate);
  return choose<InputGate>("--lstm-gates", name, gates);
}

TokenizerKind choose_tokenizer_kind(const std::string& name) {
  std::vector<std::pair<std::string, TokenizerKind>> kinds;
  for (const TokenizerKind kind : kTokenizerKinds) kinds.emplace_back(to_string(kind), kind);
  return choose<TokenizerKind>("--tokenizer", name, kinds);
}

TokenizerChoice choose_tokenizer(const std::string& name) {
  if (name.ends_with(".json")) return {TokenizerKind::kBpe, 0, name};
  if (name.starts_with("bpe:")) {
    const std::optional<int> size = number_after("bpe:", name);
    if (!size || *size < kFewestBpeTokens || *size > kMostBpeTokens)
      throw UsageError(fmt::format("--tokenizer: got {}, expected bpe: and a size from {} to {}",
                                   in_quotes(name), kFewestBpeTokens, kMostBpeTokens));
    return {TokenizerKind::kBpe, *size};
  }
  std::vector<std::string> names;
  for (const TokenizerKind kind : kTokenizerKinds) {
    if (kind == TokenizerKind::kBpe) continue;
    if (to_string(kind) == name) return {kind};
    names.push_back(to_string(kind));
  }
  names.insert(names.end(), {"bpe:SIZE", "FILE.json"});
  fail_choice("--tokenizer", name, names);
}

Precision choose_precision(const std::string& name) {
  std::vector<std::pair<std::string, Precision>> choices;
  for (const Precision precision : {Precision::kFp32, Precision::kTf32, Precision::kBf16})
    choices.emplace_back(to_string(precision), precision);
  return choose<Precision>("--precision", name, choices);
}

OptimizerKind choose_optimizer(const std::string& name) {
  return choose<OptimizerKind>("--optimizer", name,
                               {{"sgd", OptimizerKind::kSgd},
                                {"momentum", OptimizerKind::kMomentum},
                                {"rmsprop", OptimizerKind::kRmsProp},
                                {"adam", OptimizerKind::kAdam},
                                {"adamw", OptimizerKind::kAdamW}});
}

void require_range(const std::string& flag, double value, double low, double high, bool open) {
  if ((open ? value > low : value >= low) && value <= high) return;
  std::string range = fmt::format("a{} number {} {}", std::isinf(value) ? " finite" : "",
                                  open ? "above" : "of at least", low);
  if (high < std::numeric_limits<double>::max()) range += fmt::format(" and at most {}", high);
  throw UsageError(fmt::format("{}: got {}, expected {}", flag, value, range));
}

std::optional<int> number_after(std::string_view prefix, std::string_view text) {
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  int number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end && number >= 0 ? std::optional(number) : std::nullopt;
}

}  // namespace unroll::cli
