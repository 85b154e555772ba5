/// A model reading a text one token at a time.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/grammar.h"
#include "host/models/model_file.h"
#include "host/models/step_graph.h"

namespace unroll::cli {

/// Starts where every history does: at the beginning of a line.
class TextState {
 public:
  explicit TextState(const LoadedModel& model, const std::optional<SamplingOptions>& sampler = {});

  void advance(std::int32_t token);

  /// ln P(token | history) of every token. Not with a sampler. Throws std::runtime_error if one is
  /// not finite.
  std::vector<float> log_prob() const;
  /// The token that the sampler drew from these. Throws std::runtime_error if there is none to
  /// draw.
  std::int32_t next() const;

  /// Reads the tokens of `text`; says on stderr, in one line, which it does not know.
  void read(const std::string& text);

 private:
  const LanguageModelTask& task_;
  StepGraph graph_;
  Session session_;
};

/// A token as a text of JSON. JSON holds no single bytes from 0x80 on: such a byte becomes the four
/// characters \x80, which cannot be mistaken for a token of one byte.
std::string json_text(const Tokenizer& tokenizer, std::int32_t id);

std::vector<std::string> split_words(std::string_view text);

/// The built-in grammar's view of a history; nothing if the model was not trained on its text, or
/// the grammar cannot produce the history.
class Truth {
 public:
  explicit Truth(const LoadedModel& model);
  bool applies() const { return grammar_.has_value(); }
  std::optional<double> probability(const std::string& history, const std::string& word) const;
  bool accepts(const std::string& sentence) const { return grammar_->accepts(sentence); }

 private:
  std::optional<Grammar> grammar_;
};

}  // namespace unroll::cli
