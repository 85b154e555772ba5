#include "host/cli/text_state.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <stdexcept>

#include "host/cli/command_line.h"
#include "host/data/utf8.h"

namespace unroll::cli {
namespace {

[[noreturn]] void fail_not_finite() {
  throw std::runtime_error(
      "the model gives probabilities of the next token that are not numbers, expected finite ones");
}

}  // namespace

TextState::TextState(const LoadedModel& model, const std::optional<SamplingOptions>& sampler)
    : model_(model), graph_(model.description.model, sampler), session_(graph_.graph, model.store) {
  clear_state(model.description.model, StepGraph::kName, *model.store);
  advance(model.tokenizer.start());
}

void TextState::advance(std::int32_t token) {
  const Feed feed(graph_.input, std::span<const std::int32_t>(&token, 1));
  session_.run(graph_.fetches, std::span(&feed, 1));
}

std::vector<float> TextState::log_prob() const {
  std::vector<float> log_prob = session_.read(graph_.log_prob);
  if (!std::ranges::all_of(log_prob, [](float p) { return std::isfinite(p); })) fail_not_finite();
  return log_prob;
}

std::int32_t TextState::next() const {
  std::int32_t token = -1;
  session_.read(graph_.token, std::span(&token, 1));
  if (token < 0) fail_not_finite();
  return token;
}

void TextState::read(const std::string& text) {
  const auto unknown = [](std::string_view token) {
    note("warning: '" + std::string(token) +
         "' is not in the model's vocabulary and is read as <unk>");
  };
  for (const std::int32_t token : model_.tokenizer.encode(text, unknown)) advance(token);
}

std::string json_text(const Tokenizer& tokenizer, std::int32_t id) {
  std::string text = tokenizer.text(id);
  return find_invalid_utf8(text) == text.size() ? text : printable(text);
}

std::vector<std::string> split_words(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

Truth::Truth(const LoadedModel& model) {
  if (model.description.corpus == kBuiltInCorpus) grammar_ = Grammar::english();
}

std::optional<double> Truth::probability(const std::string& history,
                                         const std::string& word) const {
  if (!grammar_) return std::nullopt;
  try {
    Grammar::History state = grammar_->start();
    for (const std::string& past : split_words(history)) state.advance(past);
    return state.probability(word);
  } catch (const std::invalid_argument&) {
    return std::nullopt;  // not a history of the grammar's
  }
}

}  // namespace unroll::cli
