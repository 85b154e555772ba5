/// unroll predict: P(next word | history), or P(class | text) of a classifier.
#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "host/cli/classify_report.h"
#include "host/cli/commands.h"
#include "host/cli/device_flags.h"
#include "host/cli/interactive_predict.h"
#include "host/cli/next_tokens.h"
#include "host/cli/output.h"
#include "host/cli/text_input.h"
#include "host/cli/truth.h"
#include "host/cli/values.h"
#include "host/infer/classifier.h"
#include "host/infer/predict.h"
#include "host/infer/text_ids.h"
#include "host/infer/token_json.h"
#include "host/models/sequence_classifier.h"

namespace unroll::cli {
namespace {

struct PredictFlags {
  std::string checkpoint, text, text_file, word;
  std::int64_t top = 10;
  bool interactive = false, json = false;
  DeviceFlags device;
};

void predict_word(const PredictFlags& flags, const Tokenizer& tokenizer, const Truth& truth,
                  const std::vector<float>& log_prob) {
  const auto id = tokenizer.find(flags.word);
  if (!id && tokenizer.kind() == TokenizerKind::kWord && split_words(flags.word).size() != 1)
    throw std::runtime_error(fmt::format("--word: got '{}', expected one word", flags.word));
  if (!id)
    throw std::runtime_error(
        fmt::format("--word: '{}' is not among the {} tokens of the model's vocabulary", flags.word,
                    tokenizer.size()));
  const double probability = std::exp(double(log_prob[std::size_t(*id)]));
  const std::int64_t rank = rank_of(log_prob, *id);
  const std::optional<double> exact = truth.probability(flags.text, flags.word);
  Json json = {{"history", flags.text},
               {"id", *id},
               {"word", json_text(tokenizer, *id)},
               {"probability", probability},
               {"rank", rank}};
  if (exact) json["true_probability"] = *exact;
  if (flags.json)
    print_json(json);
  else
    print(fmt::format("P({} | {}) = {:.6f}, rank {}{}\n", flags.word, flags.text, probability, rank,
                      beside(exact)));
}

void predict_top(const PredictFlags& flags, const Tokenizer& tokenizer, const Truth& truth,
                 const std::vector<float>& log_prob) {
  const NextQuestion question{tokenizer, truth, flags.text, flags.top};
  const std::vector<LikelyToken> tokens = likely_tokens(question, log_prob);
  if (flags.json)
    print_json(next_json(question, tokens));
  else
    print(next_lines(tokens));
}

void predict_token(const PredictFlags& flags, const LoadedModel& model) {
  const Tokenizer& tokenizer = task_of<LanguageModelTask>(model).tokenizer();
  const Truth truth(model);
  TokenStates states(model, {});
  const std::vector<std::int32_t> history = text_ids(tokenizer, flags.text, warn);
  const std::vector<float> log_prob = predict(states, std::span(&history, 1))[0];
  if (flags.word.empty())
    predict_top(flags, tokenizer, truth, log_prob);
  else
    predict_word(flags, tokenizer, truth, log_prob);
}

void predict_class(const PredictFlags& flags, const LoadedModel& model) {
  if (!flags.word.empty())
    throw UsageError(
        "--word: got one for a classifier, expected only --text, whose class it predicts");
  const auto task = std::dynamic_pointer_cast<const SequenceClassifier>(model.task);
  text_ids(task->tokenizer(), flags.text, warn);  // says what it does not know
  const std::vector<float> log_prob =
      TextClassifier(task, model.store, 1).log_prob(std::span(&flags.text, 1));
  const ClassifyReport report =
      prediction_report({flags.text, log_prob}, task->labels(), flags.top);
  if (flags.json)
    print_json(report.json);
  else
    print(report.lines);
}

void run_predict(PredictFlags flags) {
  require_range("--top", double(flags.top), 1, 1 << 30);
  if (!flags.text_file.empty()) flags.text = read_beginning(flags.text_file);
  const LoadedModel model = load_model(flags.checkpoint, flags.device.open(), warn);
  if (flags.interactive)
    return predict_interactively(model, {.top = flags.top, .json = flags.json});
  const bool classifies = model.task->name() == SequenceClassifier::kName;
  (classifies ? predict_class : predict_token)(flags, model);
}

}  // namespace

void add_predict(CLI::App* command, std::function<void()>& run) {
  auto flags = std::make_shared<PredictFlags>();
  command->add_option("--checkpoint", flags->checkpoint, "Run folder (its best) or one checkpoint")
      ->required();
  CLI::Option* text =
      command->add_option("--text", flags->text,
                          "The history, from the beginning of a line; for a classifier, the text");
  CLI::Option* file =
      command
          ->add_option("--text-file", flags->text_file,
                       "A file with it, - for stdin; a newline at its end is not read")
          ->excludes(text);
  CLI::Option* top =
      command->add_option("--top", flags->top, "So many of the most probable tokens or classes")
          ->capture_default_str();
  CLI::Option* word = command
                          ->add_option("--word", flags->word,
                                       "The probability and rank of this word, character or byte")
                          ->excludes(top);
  command
      ->add_flag("--interactive", flags->interactive,
                 "What comes next, after each word that is typed, or after each line of stdin")
      ->excludes(text)
      ->excludes(file)
      ->excludes(word);
  command->add_flag("--json", flags->json, "One JSON object; with --interactive one a line");
  flags->device.add_to(*command);
  command->callback([flags, &run] { run = [flags] { run_predict(*flags); }; });
}

}  // namespace unroll::cli
