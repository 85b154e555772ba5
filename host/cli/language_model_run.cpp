/// unroll train --task language_model: texts as streams of tokens.
#include <fmt/format.h>

#include <memory>
#include <utility>

#include "host/cli/output.h"
#include "host/cli/setting_notes.h"
#include "host/cli/task_run.h"
#include "host/data/language_corpus.h"
#include "host/models/language_model.h"

namespace unroll::cli {
namespace {

/// What the text is like, before hours are spent on it.
void report_corpus(const LanguageCorpus& corpus) {
  note(fmt::format("corpus: {}, {} {} types", corpus.name, corpus.tokenizer.size(),
                   to_string(corpus.tokenizer.kind())));
  note(fmt::format("  {:<6} {:>13} {:>11} {:>9} {:>9} {:>11} {:>9}", "split", "tokens", "lines",
                   "empty", "types", "unknown", "longest"));
  const auto row = [](const char* name, const TextStatistics& s) {
    if (s.tokens == 0) return;
    note(fmt::format("  {:<6} {:>13} {:>11} {:>9} {:>9} {:>9.3f} % {:>9}", name, s.tokens, s.lines,
                     s.empty_lines, s.types, 100 * double(s.unknown) / double(s.tokens),
                     s.longest_line));
    if (s.crlf_lines > 0) note(fmt::format("  {:<6} {} lines end in CR LF", name, s.crlf_lines));
  };
  if (corpus.streams.streams > 0) {  // there is less to say about pieces of lines
    row("text", corpus.streams.text);
    note(fmt::format("  {:<6} {:>13}", "train", corpus.train.statistics.tokens));
    note(fmt::format("  {:<6} {:>13}", "valid", corpus.valid.statistics.tokens));
    return;
  }
  row("train", corpus.train.statistics);
  row("valid", corpus.valid.statistics);
  row("test", corpus.test.statistics);
}

/// How often the training text has each token. None where the text is cut into streams: its ids are
/// those of the validation text, too.
std::vector<std::int64_t> token_counts(const LanguageCorpus& corpus) {
  if (corpus.streams.streams > 0) return {};
  std::vector<std::int64_t> counts(std::size_t(corpus.tokenizer.size()));
  const TokenIds ids = corpus.train.ids;
  for (std::int64_t k = 0; k < ids.size(); ++k) ++counts[std::size_t(ids[k])];
  return counts;
}

}  // namespace

TaskRun prepare_language_model(const TrainSettings& settings, const DataSource& source) {
  CorpusOptions options = settings.corpus_options();
  options.path = source.path;
  options.files = source.files;
  options.cache_dir = source.cache_dir;
  options.stop = source.stop;
  options.note = warn;
  options.fingerprint = source.fingerprint;
  options.given = source.tokenizer;
  const auto corpus = std::make_shared<const LanguageCorpus>(read_language_corpus(options));
  report_corpus(*corpus);
  const bool is_new = source.fingerprint.empty();
  if (is_new) {
    if (const auto hint = tokenizer_hint(*corpus)) note(*hint);
    if (const auto line = recipe_corpus_note(settings.recipe, *corpus)) note(*line);
  }
  LanguageModelConfig config = settings.language_model();
  config.vocabulary = corpus->tokenizer.size();
  // They read the whole text, and are wanted only where parameters start from them. Not with SGD: a
  // bias that knows the frequencies leaves so small a gradient that SGD learns nothing for hundreds
  // of steps, where otherwise the frequencies make the first steps large.
  const bool from_counts = is_new && settings.init_range == 0 && settings.optimizer != "sgd" &&
                           settings.optimizer != "momentum";
  LanguageModelTraining training{.zero_state = settings.zero_state};
  if (from_counts) training.counts = token_counts(*corpus);
  return {std::make_shared<LanguageModelTask>(config, corpus->tokenizer, std::move(training)),
          corpus->examples(settings.batch_size, settings.bptt), corpus->fingerprint, corpus};
}

bool describes_language_model(const TrainSettings& settings, const JsonObject& model) {
  LanguageModelConfig trained = settings.language_model();
  const LanguageModelConfig stored = language_model_from_json(model);
  trained.vocabulary = stored.vocabulary;  // the text's
  return to_json(trained) == to_json(stored);
}

}  // namespace unroll::cli
