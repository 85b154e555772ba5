/// unroll eval: how good a model is. A language model: perplexity on a text, beside the truth where
/// that is known. A classifier: accuracy on labelled texts, and F1 of each class.
#include <fmt/format.h>

#include <memory>

#include "host/cli/classify_report.h"
#include "host/cli/commands.h"
#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/cli/values.h"
#include "host/data/grammar.h"
#include "host/data/labelled_texts.h"
#include "host/data/language_corpus.h"
#include "host/infer/classifier.h"
#include "host/models/evaluate.h"
#include "host/models/language_model.h"
#include "host/models/model_file.h"
#include "host/models/sequence_classifier.h"

namespace unroll::cli {
namespace {

struct EvalFlags {
  std::string checkpoint, data;
  bool json = false;
  DeviceFlags device;
};

std::string report_line(const std::string& who, double loss, double bpc, const std::string& rest) {
  return fmt::format("| {} | loss {:.4f} | ppl {:.3f} | bpc {:.4f}{}\n", who, loss, std::exp(loss),
                     bpc, rest);
}

void eval_language_model(const EvalFlags& flags, const LoadedModel& model) {
  const auto& task = task_of<LanguageModelTask>(model);
  const bool built_in = flags.data.empty();
  if (built_in && model.description.corpus != kBuiltInCorpus)
    throw UsageError("--data is required: this model was trained on " + model.description.corpus);
  const std::string truth_text = built_in ? built_in_test_text() : "";
  const TokenText text = read_tokens(
      built_in ? TextSource(truth_text, "text") : TextSource(flags.data), task.tokenizer());
  BatchStream stream(text.ids, {.steps = kEvaluationSteps,
                                .start = task.tokenizer().start(),
                                .vocabulary = task.tokenizer().size()});
  const Evaluation result = Evaluator(task, model.store).evaluate(stream);
  finite_measures(task, result, built_in ? "the built-in test text" : flags.data);
  const double bpc = result.bits_per_character(text.statistics.characters);
  Json json = {{"tokens", result.count},
               {"unknown", text.statistics.unknown},
               {"loss", result.loss()},
               {"ppl", result.perplexity()},
               {"bpc", bpc},
               {"accuracy", result.accuracy()}};
  std::string lines =
      report_line("model", result.loss(), bpc,
                  fmt::format(" | accuracy {:.4f} | tokens {} | unknown {}", result.accuracy(),
                              result.count, text.statistics.unknown));
  if (built_in) {
    const Grammar::Score truth = Grammar::english().log_probability(truth_text);
    const Evaluation exact{-truth.log_probability, truth.tokens, 0};
    json["true_loss"] = exact.loss();
    json["true_ppl"] = exact.perplexity();
    lines +=
        report_line("truth", exact.loss(), exact.bits_per_character(text.statistics.characters),
                    fmt::format(" | the model's perplexity is {:.2f} % above it",
                                100 * (result.perplexity() / exact.perplexity() - 1)));
  }
  if (flags.json)
    print_json(json);
  else
    print(lines);
}

void eval_classifier(const EvalFlags& flags, const LoadedModel& model) {
  if (flags.data.empty())
    throw UsageError("--data is required: a file of lines of label, tab, text");
  const auto task = std::dynamic_pointer_cast<const SequenceClassifier>(model.task);
  const auto texts = std::make_shared<const LabelledSplit>(
      read_labelled_split(TextSource(flags.data), task->tokenizer(), task->labels()));
  TextClassifier classifier(task, model.store);
  const ClassifierEvaluation result = evaluate(classifier, texts, flags.data);
  const ClassifyReport report = evaluation_report(result, task->labels(), texts->statistics);
  if (flags.json)
    print_json(report.json);
  else
    print(report.lines);
}

void run_eval(const EvalFlags& flags) {
  const LoadedModel model = load_model(flags.checkpoint, flags.device.open(), warn);
  const bool classifies = model.task->name() == SequenceClassifier::kName;
  (classifies ? eval_classifier : eval_language_model)(flags, model);
}

}  // namespace

void add_eval(CLI::App* command, std::function<void()>& run) {
  auto flags = std::make_shared<EvalFlags>();
  command->add_option("--checkpoint", flags->checkpoint, "Run folder (its best) or one checkpoint")
      ->required();
  command->add_option("--data", flags->data,
                      "Text file; without it, the held-out text of the built-in grammar. For a "
                      "classifier, a file of lines of label, tab, text");
  command->add_flag("--json", flags->json, "One JSON object");
  flags->device.add_to(*command);
  command->callback([flags, &run] { run = [flags] { run_eval(*flags); }; });
}

}  // namespace unroll::cli
