#include "host/cli/text_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>
#include <stdexcept>

#include "host/base/utf8.h"
#include "host/cli/output.h"
#include "host/models/stored_variables.h"

namespace unroll::cli {
namespace {

[[noreturn]] void fail_not_finite() {
  throw std::runtime_error(
      "the model gives probabilities of the next token that are not numbers, expected finite ones");
}

/// One line for all of them.
std::string about_unknown(const std::map<std::string, std::int64_t>& unknown) {
  constexpr std::size_t kNamed = 5;
  std::string names;
  std::size_t named = 0;
  std::int64_t total = 0;
  for (const auto& [token, count] : unknown) {
    total += count;
    if (named++ < kNamed) names += (names.empty() ? "" : ", ") + in_quotes(token);
  }
  if (named > kNamed) names += fmt::format(" and {} more", named - kNamed);
  const char* verb = named == 1 ? "is" : "are";
  return fmt::format("{} {} not in the model's vocabulary and {} read as <unk>{}", names, verb,
                     verb, total > 1 ? fmt::format(", {} times in all", total) : "");
}

}  // namespace

TextState::TextState(const LoadedModel& model, const std::optional<SamplingOptions>& sampler)
    : task_(task_of<LanguageModelTask>(model)),
      graph_(task_.config(), sampler),
      session_(graph_.graph, model.store) {
  clear_variables(graph_.carried, *model.store);
  advance(task_.tokenizer().start());
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
  std::map<std::string, std::int64_t> unknown;  // and how often
  const std::vector<std::int32_t> tokens = task_.tokenizer().encode(
      text, [&](std::string_view token) { ++unknown[std::string(token)]; });
  if (!unknown.empty()) warn(about_unknown(unknown));
  for (const std::int32_t token : tokens) advance(token);
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
    return std::nullopt;  // the grammar has no such history
  }
}

}  // namespace unroll::cli
