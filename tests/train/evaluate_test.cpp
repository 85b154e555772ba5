#include "host/train/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/training.h"

namespace unroll::test {
namespace {

TEST(Evaluator, AddsUpEveryTokenOfOneContinuousStream) {
  const LanguageCorpus corpus = small_corpus();
  const LanguageModelConfig config = small_model(corpus);
  auto store = std::make_shared<VariableStore>(cpu(1), 3);
  Evaluator evaluator(config, store, corpus.tokenizer.start());
  // A text longer than the evaluator's batches, so that the state is carried from one to the next.
  ASSERT_GT(corpus.train.ids.size(), 1024);
  const Evaluation whole = evaluator.evaluate(corpus.train.ids);
  EXPECT_EQ(whole.tokens, corpus.train.ids.size());

  StepGraph one(config);
  Session session(one.graph, store);
  clear_state(config, StepGraph::kName, *store);
  std::vector<float> log_prob(std::size_t(config.vocabulary));
  double expected = 0;
  std::int32_t input = corpus.tokenizer.start();
  for (std::int64_t k = 0; k < corpus.train.ids.size(); ++k) {
    const std::int32_t target = corpus.train.ids[k];
    const Feed feed(one.input, std::span<const std::int32_t>(&input, 1));
    session.run(one.fetches, std::span(&feed, 1));
    session.read(one.log_prob, std::span<float>(log_prob));
    expected += double(log_prob[std::size_t(target)]);
    input = target;
  }
  // Every term is a float32 sum over the vocabulary: relative errors near 1e-6.
  EXPECT_NEAR(whole.log_prob, expected, 1e-5 * std::abs(expected));
  EXPECT_EQ(evaluator.evaluate(corpus.train.ids).log_prob, whole.log_prob);  // starts afresh
}

// Each stream of a text counts like a text of its own that begins after the token before it.
TEST(Evaluator, SeveralStreamsAddUpToThoseReadAlone) {
  const LanguageCorpus corpus = small_corpus();
  const LanguageModelConfig config = small_model(corpus);
  auto store = std::make_shared<VariableStore>(cpu(1), 3);
  const TokenIds text = corpus.train.ids.first(1000);
  Evaluator evaluator(config, store, corpus.tokenizer.start());
  const auto part = [&](std::int64_t streams, std::int64_t first, std::int64_t count,
                        TokenIds ids) {
    return evaluator.evaluate(BatchStream(ids, {.streams = streams,
                                                .steps = 64,
                                                .start = corpus.tokenizer.start(),
                                                .first = first,
                                                .count = count}));
  };
  const Evaluation three = part(3, 100, 200, text);
  EXPECT_EQ(three.tokens, 600);
  double alone = 0;
  std::int64_t hits = 0;
  for (const std::int64_t begin : {100, 433, 766}) {  // shares of 333 tokens
    const Evaluation one = part(1, begin, 200, text);
    alone += one.log_prob;
    hits += one.hits;
  }
  EXPECT_NEAR(three.log_prob, alone, 1e-5 * std::abs(alone));
  EXPECT_EQ(three.hits, hits);

  // 1000 tokens over 3 streams: the last steps of two of them are padding, which does not count.
  const Evaluation padded = evaluator.evaluate(BatchStream(text, {.streams = 3, .steps = 64}));
  EXPECT_EQ(padded.tokens, 1000);
  EXPECT_TRUE(std::isfinite(padded.log_prob));
}

TEST(Evaluator, StopsWhenAsked) {
  const LanguageCorpus corpus = small_corpus();
  const std::atomic<bool> stop = true;
  Evaluator evaluator(small_model(corpus), std::make_shared<VariableStore>(cpu(1), 3),
                      corpus.tokenizer.start(), &stop);
  EXPECT_THROW(evaluator.evaluate(corpus.valid.ids), Interrupted);
}

}  // namespace
}  // namespace unroll::test
