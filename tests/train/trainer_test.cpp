#include "host/train/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "host/data/batches.h"
#include "host/data/grammar.h"
#include "host/train/checkpoint.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

/// A text small enough that a model learns much of it in a second.
LanguageCorpus small_corpus() {
  return corpus_in_memory({Grammar::english().sample(11, 400), Grammar::english().sample(12, 40),
                           Grammar::english().sample(13, 40)},
                          TokenizerKind::kWord, {}, "sample");
}

LanguageModelConfig small_model(const LanguageCorpus& corpus, CellKind cell = CellKind::kLstm) {
  LanguageModelConfig config;
  config.cell = cell;
  config.vocabulary = corpus.tokenizer.size();
  config.embedding = 24;
  config.hidden = {24, 24};
  config.dropout = 0.1;
  config.tied = true;
  return config;
}

TrainingOptions small_options(const TempFolder& folder) {
  TrainingOptions options;
  options.batch = 7;
  options.bptt = 11;
  options.epochs = 3;
  options.optimizer = {.kind = OptimizerKind::kAdam, .clip_norm = 1};
  options.schedule = {.kind = ScheduleKind::kConstant, .learning_rate = 0.01};
  options.initialization.forget_bias = 1;
  options.log_interval = 20;
  options.run_dir = folder.path() / "run";
  return options;
}

struct TrainedRun {
  TrainingResult result;
  std::vector<std::string> log, warnings;
};

TrainedRun train_small(const LanguageCorpus& corpus, const LanguageModelConfig& config,
                       const TrainingOptions& options, int threads = 2) {
  TrainedRun run;
  run.result = train(
      config, options, corpus, {config, kBuiltInCorpus, nullptr, nullptr}, cpu(threads),
      [&](const std::string& line) { run.log.push_back(line); },
      [&](const std::string& line) { run.warnings.push_back(line); });
  return run;
}

TEST(Trainer, LearnsEveryCellAndSavesWhatItMeasured) {
  const LanguageCorpus corpus = small_corpus();
  for (const CellKind cell : {CellKind::kLstm, CellKind::kGru, CellKind::kRnnTanh}) {
    SCOPED_TRACE(to_string(cell));
    const TempFolder folder;
    const LanguageModelConfig config = small_model(corpus, cell);
    const TrainedRun run = train_small(corpus, config, small_options(folder));
    // A model that knows nothing has a perplexity of about the vocabulary's size.
    EXPECT_LT(run.result.valid.perplexity(), 0.4 * double(config.vocabulary));
    EXPECT_EQ(run.result.valid.tokens, corpus.valid.ids.size());
    EXPECT_EQ(run.result.skipped, 0);

    const LoadedModel loaded = load_model(folder.path() / "run", cpu(1));
    Evaluator evaluator(config, loaded.store, loaded.tokenizer.start());
    EXPECT_EQ(evaluator.evaluate(corpus.valid.ids).log_prob, run.result.valid.log_prob);
  }
}

TEST(Trainer, SameSeedSameBitsForAnyNumberOfThreads) {
  const LanguageCorpus corpus = small_corpus();
  const TempFolder first, second, third;
  const LanguageModelConfig config = small_model(corpus);
  const auto weights = [&](const TempFolder& folder, int threads, std::uint64_t seed) {
    TrainingOptions options = small_options(folder);
    options.epochs = 1;
    options.seed = seed;
    train_small(corpus, config, options, threads);
    return read_text(folder.path() / "run" / "best" / "model.safetensors");
  };
  const std::string bits = weights(first, 1, 5);
  EXPECT_EQ(bits, weights(second, 3, 5));
  EXPECT_NE(bits, weights(third, 1, 6));
}

TEST(Trainer, WritesTheLinesOfWordLanguageModel) {
  const LanguageCorpus corpus = small_corpus();
  const TempFolder folder;
  TrainingOptions options = small_options(folder);
  options.epochs = 1;
  const TrainedRun run = train_small(corpus, small_model(corpus), options);
  ASSERT_GE(run.log.size(), 6U);
  int epoch = 0, batch = 0, batches = 0;
  float lr = 0, time = 0, loss = 0, ppl = 0;
  ASSERT_EQ(std::sscanf(run.log.front().c_str(),
                        "| epoch %d | %d/%d batches | lr %f | ms/batch %f | loss %f | ppl %f",
                        &epoch, &batch, &batches, &lr, &time, &loss, &ppl),
            7)
      << run.log.front();
  EXPECT_EQ(epoch, 1);
  EXPECT_EQ(batch, 20);
  EXPECT_EQ(batches, corpus.training_stream(options.batch, options.bptt).batches());
  // Both are rounded to two decimals.
  EXPECT_NEAR(ppl, std::exp(loss), 0.01F * ppl);
  EXPECT_TRUE(contains(run.log[run.log.size() - 2], "| End of training | test loss"));
}

TEST(Trainer, StopsWithAWordWhenItDiverges) {
  const LanguageCorpus corpus = small_corpus();
  const TempFolder folder;
  TrainingOptions options = small_options(folder);
  options.optimizer = {.kind = OptimizerKind::kSgd};
  options.schedule.learning_rate = 1e30;
  const std::string error =
      error_of<std::runtime_error>([&] { train_small(corpus, small_model(corpus), options); });
  EXPECT_TRUE(contains(error, "diverged"));
  EXPECT_TRUE(contains(error, "--lr"));
}

// The gradient summed over time and a rate of 1 is the gradient averaged over tokens and a rate of
// T, as long as all batches are full.
TEST(Trainer, SummingOverTimeIsARateTimesTheSteps) {
  LanguageCorpus corpus = small_corpus();
  corpus.train.ids = corpus.train.ids.first(7 * 11 * 20);
  const auto loss = [&](LossReduction reduction, double rate) {
    const TempFolder folder;
    TrainingOptions options = small_options(folder);
    options.epochs = 1;
    options.optimizer = {.kind = OptimizerKind::kSgd};
    options.schedule.learning_rate = rate;
    options.reduction = reduction;
    LanguageModelConfig config = small_model(corpus);
    return train_small(corpus, config, options).result.valid.loss();
  };
  const double summed = loss(LossReduction::kTime, 0.1), mean = loss(LossReduction::kMean, 1.1);
  // 20 steps of rounding differently in float32; the losses themselves differ by tens of percent
  // when the factor T is missing.
  EXPECT_NEAR(summed, mean, 1e-4 * mean);
}

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

// Streams of a text are texts of their own, except that each begins after the token before it.
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
