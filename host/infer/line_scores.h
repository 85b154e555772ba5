/// Lines of text as a language model reads them, and what their probabilities come to: per token,
/// and per word, character and byte, by which models of other tokens can be compared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/tokenizer.h"

namespace unroll {

/// A line in ids, its end among them, and how long it is in other units.
struct LineText {
  std::vector<std::int32_t> ids;
  std::vector<std::size_t> unknown;  // places in `ids` of what the model does not know
  std::string first_unknown;         // that word or character
  std::int64_t words = 0;            // separated by blanks, and one for the end of the line
  std::int64_t characters = 0;       // code points, the newline included
  std::int64_t bytes = 0;            // the newline included
};

/// `line` is without its newline. `ended`: it had one. Without, only words have the token of a
/// line's end all the same, as in an evaluation.
/// Errors    std::runtime_error, which does not name the line, if it is not text and bytes are not
///           the tokens.
LineText line_text(const Tokenizer& tokenizer, std::string_view line, bool ended = true);

/// Sums over lines. Means of nothing are NaN.
struct ScoreSums {
  std::int64_t lines = 0, tokens = 0, unknown = 0, words = 0, characters = 0, bytes = 0;
  double log_prob = 0;          // of all tokens, in nats
  double unknown_log_prob = 0;  // of those that stand for what the model does not know

  /// Shapes    log_prob [tokens of the line]
  void add(const LineText& line, std::span<const float> log_prob);

  double loss() const { return -log_prob / double(tokens); }
  double perplexity() const;
  /// That of the tokens which the model knows; the others are still read.
  double known_perplexity() const;
  double nats_per_word() const { return -log_prob / double(words); }
  double nats_per_character() const { return -log_prob / double(characters); }
  double bits_per_byte() const;
};

}  // namespace unroll
