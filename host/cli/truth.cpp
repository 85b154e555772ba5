#include "host/cli/truth.h"

#include <sstream>
#include <stdexcept>

#include "host/models/language_model.h"

namespace unroll::cli {

std::vector<std::string> split_words(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

Truth::Truth(const LoadedModel& model)
    : words_(task_of<LanguageModelTask>(model).tokenizer().kind() == TokenizerKind::kWord) {
  if (model.description.corpus == kBuiltInCorpus) grammar_ = Grammar::english();
}

std::optional<double> Truth::probability(const std::string& history,
                                         const std::string& word) const {
  if (!grammar_ || !words_) return std::nullopt;
  try {
    Grammar::History state = grammar_->start();
    for (const std::string& past : split_words(history)) state.advance(past);
    return state.probability(word);
  } catch (const std::invalid_argument&) {
    return std::nullopt;  // the grammar has no such history
  }
}

}  // namespace unroll::cli
