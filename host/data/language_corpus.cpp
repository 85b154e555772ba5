#include "host/data/language_corpus.h"

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

#include "host/base/hash.h"
#include "host/base/setting_error.h"
#include "host/data/grammar.h"

namespace unroll {
namespace {

struct GrammarSample {
  std::uint64_t seed;
  std::int64_t sentences;
};
constexpr GrammarSample kTrain{1, 300000}, kValid{2, 5000}, kTest{3, 10000};

std::string sample(const GrammarSample& s) {
  return Grammar::english().sample(s.seed, s.sentences);
}

}  // namespace

BatchStream LanguageCorpus::training_stream(std::int64_t batch, std::int64_t bptt) const {
  if (streams.streams > 0) {
    if (batch != streams.streams || bptt != streams.steps)
      throw std::invalid_argument(
          fmt::format("{}: got batches of {} x {}, expected {} x {}, for which it was cut", name,
                      batch, bptt, streams.streams, streams.steps));
    return {train.ids,
            {.streams = batch,
             .steps = bptt,
             .start = tokenizer.start(),
             .count = streams.train_batches * bptt,
             .vocabulary = tokenizer.size(),
             .name = ids_name}};
  }
  if (batch < 1 || bptt < 1)
    throw std::invalid_argument(
        fmt::format("{}: got batches of {} x {}, expected 1 or more", name, batch, bptt));
  if (train.ids.size() / batch < bptt)  // batch * bptt may overflow
    throw SettingError(
        fmt::format("{}: the training text has {} tokens, a batch of {} streams x {} timesteps "
                    "needs {}; what fits: {}",
                    name, train.ids.size(), batch, bptt, double(batch) * double(bptt),
                    batches_that_fit(train.ids.size(), batch, bptt)),
        {SettingName::kBatchSize, SettingName::kTimesteps});
  return {train.ids,
          {.streams = batch,
           .steps = bptt,
           .start = tokenizer.start(),
           .vocabulary = tokenizer.size(),
           .name = ids_name}};
}

BatchStream LanguageCorpus::validation_stream() const {
  if (streams.streams == 0) return one_stream(valid);
  return {valid.ids,
          {.streams = streams.streams,
           .steps = streams.steps,
           .start = tokenizer.start(),
           .first = streams.train_batches * streams.steps,
           .count = streams.valid_batches * streams.steps,
           .vocabulary = tokenizer.size(),
           .name = ids_name}};
}

BatchStream LanguageCorpus::test_stream() const {
  return one_stream(test);
}

TaskExamples LanguageCorpus::examples(std::int64_t batch, std::int64_t bptt) const {
  TaskExamples examples;
  examples.train = std::make_unique<BatchStream>(training_stream(batch, bptt));
  examples.valid = std::make_unique<BatchStream>(validation_stream());
  if (!test.ids.empty()) examples.test = std::make_unique<BatchStream>(test_stream());
  if (check_sources) examples.require_unchanged = check_sources;
  return examples;
}

BatchStream LanguageCorpus::one_stream(const TextSplit& split) const {
  return {split.ids,
          {.steps = kEvaluationSteps,
           .start = tokenizer.start(),
           .vocabulary = tokenizer.size(),
           .name = ids_name}};
}

TokenText read_tokens(TextSource text, const Tokenizer& tokenizer) {
  const std::string name = text.name();
  TokenText result;
  result.statistics = tokenizer.encode(std::move(text), [&](std::span<const std::int32_t> ids) {
    result.ids.insert(result.ids.end(), ids.begin(), ids.end());
  });
  if (result.ids.empty()) throw std::runtime_error(name + ": is empty, expected text");
  return result;
}

LanguageCorpus corpus_in_memory(const std::array<std::string, 3>& texts, TokenizerKind kind,
                                const Vocabulary::Limits& limits, const std::string& name) {
  return corpus_in_memory(texts, Tokenizer::build(kind, TextSource(texts[0], name), limits), name);
}

LanguageCorpus corpus_in_memory(const std::array<std::string, 3>& texts, Tokenizer tokenizer,
                                const std::string& name) {
  LanguageCorpus corpus;
  corpus.name = corpus.ids_name = name;
  corpus.tokenizer = std::move(tokenizer);
  auto ids = std::make_shared<std::array<std::vector<std::int32_t>, 3>>();
  Hash hash;
  hash.add(
      bytes_of(to_string(corpus.tokenizer.kind()) + "\n" + corpus.tokenizer.vocabulary_text()));
  const std::array splits{&corpus.train, &corpus.valid, &corpus.test};
  for (std::size_t k = 0; k < splits.size(); ++k) {
    TokenText text = read_tokens(TextSource(texts[k], name), corpus.tokenizer);
    (*ids)[k] = std::move(text.ids);
    *splits[k] = {(*ids)[k], text.statistics};
    hash.add(bytes_of(hash_of(bytes_of(texts[k]))));
  }
  corpus.fingerprint = hash.hex();
  corpus.memory = std::move(ids);
  return corpus;
}

LanguageCorpus built_in_corpus(const CorpusOptions& options) {
  const std::array texts{sample(kTrain), sample(kValid), sample(kTest)};
  constexpr const char* kName = "the built-in corpus";
  if (options.given) return corpus_in_memory(texts, *options.given, kName);
  return corpus_in_memory(texts, options.tokenizer, options.limits, kName);
}

std::string built_in_test_text() {
  return sample(kTest);
}

}  // namespace unroll
