#include "host/cli/training_sample.h"

#include <algorithm>
#include <string_view>

#include "host/infer/generate.h"

namespace unroll::cli {
namespace {

constexpr std::int64_t kWords = 40, kCharacters = 240;
constexpr double kTemperature = 0.8;
constexpr std::uint64_t kSeed = 1111;

/// The text, indented, as far as it has room below a validation.
std::vector<std::string> lines_of(std::string_view text) {
  constexpr std::size_t kLines = 9;
  std::vector<std::string> lines = {"sample:"};
  while (!text.empty() && lines.size() < kLines) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back("  " + std::string(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace

std::vector<std::string> TrainingSample::draw(const std::shared_ptr<VariableStore>& store) {
  if (!states_) {
    model_.emplace(LoadedModel{"", 0, task_, {}, store});
    const std::optional<std::int32_t> unknown =
        task_of<LanguageModelTask>(*model_).tokenizer().unk();
    const SamplingOptions sampling{
        .temperature = kTemperature, .seed = kSeed, .excluded_id = unknown.value_or(-1)};
    states_.emplace(*model_, TokenStates::Options{.sampler = sampling, .name = "sample"});
  }
  const Tokenizer& tokenizer = states_->tokenizer();
  const bool words = tokenizer.kind() == TokenizerKind::kWord;
  TokenWriter writer(tokenizer);
  std::string text;
  const std::vector<std::int32_t> nothing;
  generate(*states_, std::span(&nothing, 1), words ? kWords : kCharacters,
           [&](std::int64_t, std::int32_t token) {
             text += writer.next(token);
             return !stop_.load(std::memory_order_relaxed);
           });
  return lines_of(text);
}

}  // namespace unroll::cli
