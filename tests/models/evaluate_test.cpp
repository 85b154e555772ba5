#include "host/models/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "host/models/step_graph.h"
#include "host/models/stored_variables.h"
#include "tests/support/training.h"

namespace unroll::test {
namespace {

BatchStream one_stream(const LanguageCorpus& corpus, TokenIds ids) {
  return {ids, {.steps = kEvaluationSteps, .start = corpus.tokenizer.start()}};
}

TEST(Evaluator, AddsUpEveryTokenOfOneContinuousStream) {
  const LanguageCorpus corpus = small_corpus();
  const LanguageModelConfig config = small_model(corpus);
  auto store = std::make_shared<VariableStore>(cpu(1), 3);
  const LanguageModelTask task(config);
  Evaluator evaluator(task, store);
  // A text longer than the evaluator's batches, so that the state is carried from one to the next.
  ASSERT_GT(corpus.train.ids.size(), 1024);
  BatchStream stream = one_stream(corpus, corpus.train.ids);
  const Evaluation whole = evaluator.evaluate(stream);
  EXPECT_EQ(whole.count, corpus.train.ids.size());

  StepGraph one(config);
  Session session(one.graph, store);
  clear_variables(one.carried, *store);
  std::vector<float> log_prob(std::size_t(config.vocabulary));
  double expected = 0;
  std::int32_t input = corpus.tokenizer.start();
  for (std::int64_t k = 0; k < corpus.train.ids.size(); ++k) {
    const std::int32_t target = corpus.train.ids[k];
    const Feed feed(one.input, std::span<const std::int32_t>(&input, 1));
    session.run(one.fetches, std::span(&feed, 1));
    session.read(one.log_prob, std::span<float>(log_prob));
    expected -= double(log_prob[std::size_t(target)]);
    input = target;
  }
  // Every term is a float32 sum over the vocabulary: relative errors near 1e-6.
  EXPECT_NEAR(whole.loss_sum, expected, 1e-5 * expected);
  EXPECT_EQ(evaluator.evaluate(stream).loss_sum, whole.loss_sum);  // starts afresh
}

// Each stream of a text counts like a text of its own that begins after the token before it.
TEST(Evaluator, SeveralStreamsAddUpToThoseReadAlone) {
  const LanguageCorpus corpus = small_corpus();
  const LanguageModelConfig config = small_model(corpus);
  auto store = std::make_shared<VariableStore>(cpu(1), 3);
  const TokenIds text = corpus.train.ids.first(1000);
  const LanguageModelTask task(config);
  Evaluator evaluator(task, store);
  const auto part = [&](std::int64_t streams, std::int64_t first, std::int64_t count,
                        TokenIds ids) {
    BatchStream stream(ids, {.streams = streams,
                             .steps = 64,
                             .start = corpus.tokenizer.start(),
                             .first = first,
                             .count = count});
    return evaluator.evaluate(stream);
  };
  const Evaluation three = part(3, 100, 200, text);
  EXPECT_EQ(three.count, 600);
  double alone = 0;
  std::int64_t hits = 0;
  for (const std::int64_t begin : {100, 433, 766}) {  // shares of 333 tokens
    const Evaluation one = part(1, begin, 200, text);
    alone += one.loss_sum;
    hits += one.hits;
  }
  EXPECT_NEAR(three.loss_sum, alone, 1e-5 * alone);
  EXPECT_EQ(three.hits, hits);

  // 1000 tokens over 3 streams: the last steps of two of them are padding, which does not count.
  BatchStream uneven(text, {.streams = 3, .steps = 64});
  const Evaluation padded = evaluator.evaluate(uneven);
  EXPECT_EQ(padded.count, 1000);
  EXPECT_TRUE(std::isfinite(padded.loss_sum));
}

TEST(Evaluator, StopsWhenAsked) {
  const LanguageCorpus corpus = small_corpus();
  const std::atomic<bool> stop = true;
  const LanguageModelTask task(small_model(corpus));
  Evaluator evaluator(task, std::make_shared<VariableStore>(cpu(1), 3), {.stop = &stop});
  BatchStream stream = one_stream(corpus, corpus.valid.ids);
  EXPECT_THROW(evaluator.evaluate(stream), Interrupted);
}

}  // namespace
}  // namespace unroll::test
