#include "host/cli/setting_notes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "host/cli/recipes.h"
#include "host/cli/values.h"

namespace unroll::cli {
namespace {

std::string tokens_of(const TrainSettings& settings) {
  const TokenizerKind kind = choose_tokenizer(settings.tokenizer).kind;
  return kind == TokenizerKind::kWord   ? "words"
         : kind == TokenizerKind::kChar ? "characters"
         : kind == TokenizerKind::kByte ? "bytes"
                                        : "byte pairs";
}

std::string schedule_of(const TrainSettings& settings) {
  const std::string& kind = settings.lr_schedule;
  if (kind == "constant") return "a constant rate of";
  if (kind == "decay") return "by decay from a rate of";
  if (kind == "plateau") return "by plateau from a rate of";
  return "by cosine to 0 from a rate of";
}

std::string size_of_text(std::int64_t bytes) {
  return bytes < 1'000'000 ? fmt::format("{:.1f} kB", double(bytes) * 1e-3)
                           : fmt::format("{:.1f} MB", double(bytes) * 1e-6);
}

}  // namespace

std::string describe_settings(const TrainSettings& s, const std::string& data) {
  std::string why;
  if (s.recipe != kAutoRecipe)
    why = "recipe " + s.recipe;
  else if (data.empty())
    why = fmt::format("for {} of the built-in text", tokens_of(s));
  else
    why = fmt::format("for {} in {} of text", tokens_of(s),
                      size_of_text(TextKind::of(data, s.tokenizer).bytes));
  return fmt::format("settings {}: {}, {} {:.4g}, epochs {}, dropout {}, batches of {} x {}", why,
                     s.optimizer, schedule_of(s), s.lr.value_or(0), s.epochs, s.dropout,
                     s.batch_size, s.bptt);
}

std::optional<std::string> doubtful_rate(const TrainSettings& s) {
  const double rate = s.lr.value_or(0);
  const bool has_own_scale =  // the size of a step does not depend on that of the gradient
      s.optimizer == "adam" || s.optimizer == "adamw" || s.optimizer == "rmsprop";
  if (has_own_scale && rate >= 0.1)
    return fmt::format(
        "--lr: got {:g} with --optimizer {}, expected about 0.001 to 0.01: every step moves each "
        "parameter by about the rate; {:g} suits --optimizer sgd",
        rate, s.optimizer, rate);
  if (s.optimizer == "sgd" && s.task == LanguageModelTask::kName && s.reduction == "mean" &&
      rate <= 0.01)
    return fmt::format(
        "--lr: got {:g} with --optimizer sgd, expected about 1 to 30 for a gradient that is a mean "
        "over tokens; {:g} suits --optimizer adam",
        rate, rate);
  return std::nullopt;
}

std::optional<std::string> tokenizer_hint(const LanguageCorpus& corpus) {
  const TextStatistics& text =
      corpus.streams.streams > 0 ? corpus.streams.text : corpus.train.statistics;
  const std::int64_t words = text.tokens - text.lines;  // each line has an <eos>
  const std::int64_t types = text.types - 1;
  if (corpus.tokenizer.kind() != TokenizerKind::kWord || types * 10 < words) return std::nullopt;
  return fmt::format(
      "hint: {} words are {} different ones, most of which are too rare to be learnt; --tokenizer "
      "char or bpe:2000 learns more from such a text",
      words, types);
}

std::optional<std::string> recipe_corpus_note(const std::string& recipe,
                                              const LanguageCorpus& corpus) {
  const std::optional<PublishedFigures> figures = published_figures(recipe);
  if (!figures || (corpus.valid.statistics.tokens == figures->valid_tokens &&
                   corpus.test.statistics.tokens == figures->test_tokens))
    return std::nullopt;
  return fmt::format(
      "recipe {}: its published perplexity, {:.1f} on test text, is of {}, which this is not",
      recipe, figures->test_ppl, figures->corpus);
}

std::optional<std::string> recipe_outcome(const std::string& recipe, const Evaluation& valid,
                                          const Evaluation& test) {
  const std::optional<PublishedFigures> figures = published_figures(recipe);
  if (!figures || valid.count != figures->valid_tokens || test.count != figures->test_tokens)
    return std::nullopt;
  const double ppl = test.perplexity();
  return fmt::format("recipe {}: test perplexity {:.2f}, published on {}: {:.1f}, which was {}",
                     recipe, ppl, figures->corpus, figures->test_ppl,
                     ppl <= figures->test_ppl ? "reached" : "not reached");
}

}  // namespace unroll::cli
