#include "host/cli/eval_texts.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <span>

#include "host/base/utf8.h"
#include "host/cli/output.h"
#include "host/cli/text_input.h"
#include "host/cli/values.h"
#include "host/data/grammar.h"
#include "host/data/language_corpus.h"
#include "host/models/evaluate.h"
#include "host/models/language_model.h"

namespace unroll::cli {
namespace {

/// What a model says of a text, or of several.
struct TextEvaluation {
  Evaluation all;
  double unknown_loss = 0;           // of targets that are <unk>
  std::int64_t unknown_targets = 0;  // of which `unknown` were words, the others stood there
  std::int64_t unknown = 0;
  std::int64_t characters = 0;

  void add(const TextEvaluation& other) {
    all.loss_sum += other.all.loss_sum;
    all.count += other.all.count;
    all.hits += other.all.hits;
    unknown_loss += other.unknown_loss;
    unknown_targets += other.unknown_targets;
    unknown += other.unknown;
    characters += other.characters;
  }
  /// Without targets that are <unk>.
  Evaluation known() const { return {all.loss_sum - unknown_loss, all.count - unknown_targets, 0}; }
  std::int64_t written() const { return unknown_targets - unknown; }
  double bpc() const { return all.bits_per_character(characters); }
};

TextEvaluation evaluate(const LoadedModel& model, TextSource source) {
  const auto& task = task_of<LanguageModelTask>(model);
  const Tokenizer& tokenizer = task.tokenizer();
  const std::string name = source.name();
  const TokenText text = read_tokens(std::move(source), tokenizer);
  BatchStream stream(
      text.ids,
      {.steps = kEvaluationSteps, .start = tokenizer.start(), .vocabulary = tokenizer.size()});
  TextEvaluation result;
  const std::optional<std::int32_t> unknown = tokenizer.unk();
  std::int64_t at = 0;
  EvaluatorOptions options;
  options.losses = [&](std::span<const float> losses) {
    for (const float loss : losses) {
      const std::int32_t target = text.ids[std::size_t(at++)];
      if (target != unknown) continue;
      result.unknown_loss += double(loss);
      ++result.unknown_targets;
    }
  };
  result.all = Evaluator(task, model.store, options).evaluate(stream);
  finite_measures(task, result.all, name);
  result.unknown = text.statistics.unknown;
  result.characters = text.statistics.characters;
  return result;
}

std::string report_line(const std::string& who, double loss, double bpc, const std::string& rest) {
  return fmt::format("| {} | loss {:.4f} | ppl {:.3f} | bpc {:.4f}{}\n", who, loss, std::exp(loss),
                     bpc, rest);
}

std::string lines_of(const std::string& who, const TextEvaluation& text) {
  std::string lines = report_line(who, text.all.loss(), text.bpc(),
                                  fmt::format(" | accuracy {:.4f} | tokens {} | unknown {}",
                                              text.all.accuracy(), text.all.count, text.unknown));
  if (const Evaluation known = text.known(); text.unknown_targets > 0 && known.count > 0)
    lines += fmt::format(
        "|   without <unk> | loss {:.4f} | ppl {:.3f} | tokens {} | <unk> {}: {} unknown, {} in "
        "the "
        "text as <unk>\n",
        known.loss(), known.perplexity(), known.count, text.unknown_targets, text.unknown,
        text.written());
  return lines;
}

Json json_of(const TextEvaluation& text) {
  Json json = {{"tokens", text.all.count},          {"unknown", text.unknown},
               {"unknown_in_text", text.written()}, {"loss", text.all.loss()},
               {"ppl", text.all.perplexity()},      {"bpc", text.bpc()},
               {"accuracy", text.all.accuracy()}};
  if (const Evaluation known = text.known(); known.count > 0) {
    json["known_loss"] = known.loss();
    json["known_ppl"] = known.perplexity();
  }
  return json;
}

/// The held-out text of the built-in grammar, and the grammar's own numbers.
void eval_built_in(const LoadedModel& model, bool as_json) {
  const std::string truth_text = built_in_test_text();
  const TextEvaluation text = evaluate(model, {truth_text, "the built-in test text"});
  const Grammar::Score truth = Grammar::english().log_probability(truth_text);
  const Evaluation exact{-truth.log_probability, truth.tokens, 0};
  if (!as_json)
    return print(lines_of("model", text) +
                 report_line("truth", exact.loss(), exact.bits_per_character(text.characters),
                             fmt::format(" | the model's perplexity is {:.2f} % above it",
                                         100 * (text.all.perplexity() / exact.perplexity() - 1))));
  Json json = json_of(text);
  json["true_loss"] = exact.loss();
  json["true_ppl"] = exact.perplexity();
  print_json(json);
}

}  // namespace

void eval_texts(const LoadedModel& model, const std::vector<std::string>& files, bool as_json) {
  task_of<LanguageModelTask>(model);
  if (files.empty()) {
    if (model.description.corpus != kBuiltInCorpus)
      throw UsageError("--data is required: this model was trained on " + model.description.corpus);
    return eval_built_in(model, as_json);
  }
  TextEvaluation sum;
  Json of_files = Json::array();
  for (const std::string& file : files) {
    const TextEvaluation text = evaluate(model, text_source(file));
    sum.add(text);
    if (files.size() == 1) break;
    Json json = {{"file", file}};
    json.update(json_of(text));
    of_files.push_back(std::move(json));
    if (!as_json) print(lines_of(printable(file), text));
  }
  if (!as_json) return print(lines_of(files.size() == 1 ? "model" : "all", sum));
  Json json = json_of(sum);
  if (files.size() > 1) json["files"] = std::move(of_files);
  print_json(json);
}

}  // namespace unroll::cli
