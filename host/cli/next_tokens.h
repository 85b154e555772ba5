/// The most probable next tokens, as the commands show them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "host/cli/output.h"
#include "host/cli/truth.h"
#include "host/data/tokenizer.h"

namespace unroll::cli {

struct LikelyToken {
  std::int32_t id = 0;
  std::string label;  // printable
  double probability = 0;
  std::optional<double> truth;  // the built-in grammar's
};

struct NextQuestion {
  const Tokenizer& tokenizer;
  const Truth& truth;
  std::string history;
  std::int64_t count = 10;
};
/// The most probable ones. log_prob: [V].
std::vector<LikelyToken> likely_tokens(const NextQuestion& question,
                                       std::span<const float> log_prob);

/// A line for each.
std::string next_lines(const std::vector<LikelyToken>& tokens);
Json next_json(const NextQuestion& question, const std::vector<LikelyToken>& tokens);

/// "  (true 0.250000)", or nothing.
std::string beside(const std::optional<double>& truth);

}  // namespace unroll::cli
