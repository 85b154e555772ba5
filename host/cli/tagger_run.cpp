/// unroll train --task tag: a folder of sentences with a tag for each word.
#include <fmt/format.h>

#include <memory>

#include "host/cli/output.h"
#include "host/cli/task_run.h"
#include "host/data/tagged_corpus.h"
#include "host/data/word_vectors.h"
#include "host/models/sequence_tagger.h"

namespace unroll::cli {
namespace {

/// "12.34 %" of a whole that may be 0.
std::string percent(std::int64_t part, std::int64_t whole) {
  return fmt::format("{:.2f} %", whole == 0 ? 0 : 100 * double(part) / double(whole));
}

void report_split(const char* name, const TaggedSplit& split) {
  const TaggedStatistics& s = split.statistics;
  note(fmt::format("  {:<6} {:>9} {:>10} {:>8} {:>8} {:>9}", name, s.sentences, s.tokens, s.longest,
                   split.distinct.size(), percent(s.unknown, s.tokens)));
  for (const auto& [tag, tokens] : s.unknown_tags)
    warn(
        fmt::format("{}: {} tokens have the tag {}, which the training sentences lack: they count "
                    "as errors",
                    name, tokens, tag));
}

/// What the sentences are like, before hours are spent on them.
void report_sentences(const TaggedCorpus& corpus, const WordVectors* vectors) {
  const TaggingVocabulary& known = *corpus.vocabulary;
  note(fmt::format("sentences: {}, {} tags, {} words, {} characters", corpus.name,
                   known.tags.size(), known.training_words - 1, known.characters.size() - 1));
  note(fmt::format("  {:<6} {:>9} {:>10} {:>8} {:>8} {:>9}", "split", "sentences", "tokens",
                   "longest", "forms", "unknown"));
  for (const auto& [name, split] :
       {std::pair("train", corpus.train), {"valid", corpus.valid}, {"test", corpus.test}})
    if (split) report_split(name, *split);
  if (!vectors) return;
  note(fmt::format("vectors: {}, {}, {} words of {} numbers", vectors->name,
                   to_string(vectors->format), vectors->words.size(), vectors->dimension));
  for (const auto& [name, split] :
       {std::pair("train", corpus.train), {"valid", corpus.valid}, {"test", corpus.test}}) {
    if (!split) continue;
    const VectorCoverage coverage = coverage_of(*split, *vectors);
    note(fmt::format("  {:<6} {} of the tokens have one as written, {} in lower case", name,
                     percent(coverage.as_written, split->statistics.tokens),
                     percent(coverage.in_lower_case, split->statistics.tokens)));
  }
}

}  // namespace

TaskRun prepare_tagger(const TrainSettings& settings, const DataSource& source) {
  SequenceTaggerConfig config = settings.tagger();
  TaggedCorpusOptions options{
      .column = config.column, .fingerprint = source.fingerprint, .stop = source.stop};
  if (!settings.vectors.empty())
    options.vectors = std::make_shared<const WordVectors>(
        read_word_vectors(TextSource(settings.vectors), {.stop = source.stop}));
  const TaggedCorpus corpus = read_tagged_corpus(source.path, options);
  report_sentences(corpus, options.vectors.get());
  config.vocabulary = corpus.vocabulary->words.size();
  config.tags = corpus.vocabulary->tags.size();
  if (config.char_hidden > 0) config.characters = corpus.vocabulary->characters.size();
  if (options.vectors) config.embedding = options.vectors->dimension;
  const auto task = std::make_shared<SequenceTagger>(config, corpus.vocabulary, options.vectors);
  const auto batches = [&](const std::shared_ptr<const TaggedSplit>& split) {
    return std::make_unique<TaggedBatches>(split, task->batches(settings.batch_size));
  };
  TaskRun run{.task = task, .examples = {}, .fingerprint = corpus.fingerprint};
  TaggedBatches::Options training = task->batches(settings.batch_size);
  training.unknown_rate = settings.overfit_one_batch ? 0 : settings.unknown_rate;
  training.seed = std::uint64_t(settings.seed);
  run.examples.train = std::make_unique<TaggedBatches>(corpus.train, training);
  run.examples.valid = batches(corpus.valid);
  if (corpus.test) run.examples.test = batches(corpus.test);
  return run;
}

bool describes_tagger(const TrainSettings& settings, const JsonObject& model) {
  SequenceTaggerConfig trained = settings.tagger();
  const SequenceTaggerConfig stored = sequence_tagger_from(model);
  trained.vocabulary = stored.vocabulary;  // those of the sentences
  trained.characters = stored.characters;
  trained.tags = stored.tags;
  if (!settings.vectors.empty()) trained.embedding = stored.embedding;
  return to_json(trained) == to_json(stored);
}

}  // namespace unroll::cli
