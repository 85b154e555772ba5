/// The built-in grammar beside a model: it knows every probability of its own text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/grammar.h"
#include "host/models/model_file.h"

namespace unroll::cli {

std::vector<std::string> split_words(std::string_view text);

/// The built-in grammar's view of a history; nothing if the model was not trained on its text, or
/// the grammar cannot produce the history.
class Truth {
 public:
  /// Errors    std::runtime_error if it is not a language model.
  explicit Truth(const LoadedModel& model);
  bool applies() const { return grammar_.has_value(); }
  /// Only words have one: the grammar knows no other tokens.
  std::optional<double> probability(const std::string& history, const std::string& word) const;
  bool accepts(const std::string& sentence) const { return grammar_->accepts(sentence); }

 private:
  bool words_;  // are the model's tokens
  std::optional<Grammar> grammar_;
};

}  // namespace unroll::cli
