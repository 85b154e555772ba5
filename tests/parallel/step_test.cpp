/// A training step of every task, cut into shards: the same update as of the whole batch but for
/// rounding, and the same bits on any number of ranks.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/data/text_batches.h"
#include "host/train/training_step.h"
#include "tests/parallel/support.h"
#include "tests/support/classifier.h"
#include "tests/support/series.h"
#include "tests/support/tagger.h"
#include "tests/support/training.h"

namespace unroll::test {
namespace {

constexpr std::int64_t kBatch = 7;

struct TaskCase {
  std::string name;
  std::shared_ptr<const Task> task;
  std::function<std::unique_ptr<Examples>()> examples;
  LossReduction reduction = LossReduction::kMean;
};

TaskCase language_model_case(bool tied, LossReduction reduction, double dropout) {
  const auto corpus = std::make_shared<const LanguageCorpus>(small_corpus(12, 2));
  LanguageModelConfig config = small_model(*corpus);
  config.embedding = 10;
  config.hidden = {10};
  config.tied = tied;
  config.dropout = dropout;
  return {std::string(tied ? "tied" : "untied") +
              (reduction == LossReduction::kTime ? ", summed over time" : ""),
          std::make_shared<LanguageModelTask>(config, corpus->tokenizer),
          [corpus] { return std::make_unique<BatchStream>(corpus->training_stream(kBatch, 5)); },
          reduction};
}

TaskCase classifier_case(Pooling pooling, double dropout) {
  SequenceClassifierConfig config;
  config.vocabulary = 20;
  config.embedding = 5;
  config.hidden = {6};
  config.classes = 3;
  config.pooling = pooling;
  config.dropout = dropout;
  const auto texts = random_texts(config, {3, 5, 4, 6, 2, 3, 7, 5, 4, 3, 2}, 4);
  return {"classifier, " + to_string(pooling),
          std::make_shared<SequenceClassifier>(classifier_of(config)), [texts, pooling] {
            return std::make_unique<TextBatches>(
                texts,
                TextBatches::Options{
                    .batch = kBatch, .mean = pooling == Pooling::kMean, .seed = std::uint64_t{2}});
          }};
}

TaskCase tagger_case(SmallTagger small, double dropout) {
  small.sentences = 11;
  const auto corpus = std::make_shared<const TaggedCorpus>(small.corpus());
  SequenceTaggerConfig config = small.task(*corpus)->config();
  config.dropout = dropout;
  const auto task = std::make_shared<const SequenceTagger>(config, corpus->vocabulary,
                                                           small.vectors ? few_vectors() : nullptr);
  return {"tagger, " + small.name(), task, [corpus, task] {
            return std::make_unique<TaggedBatches>(corpus->train, task->batches(kBatch));
          }};
}

TaskCase series_case(const std::vector<double>& quantiles) {
  const SeriesConfig config = small_series(2, quantiles);
  return {quantiles.empty() ? "series" : "quantiles", series_task(config), [config] {
            return std::make_unique<SeriesWindows>(waves(40, 2),
                                                   SeriesWindows::Options{.begin = 0,
                                                                          .end = 20,
                                                                          .window = config.window,
                                                                          .ahead = config.ahead(),
                                                                          .batch = kBatch,
                                                                          .every_row = true,
                                                                          .seed = 3});
          }};
}

/// Without dropout, whose masks differ from shard to shard.
std::vector<TaskCase> cases_without_dropout() {
  std::vector<TaskCase> cases = {language_model_case(true, LossReduction::kMean, 0),
                                 language_model_case(false, LossReduction::kMean, 0),
                                 language_model_case(false, LossReduction::kTime, 0),
                                 classifier_case(Pooling::kLast, 0),
                                 classifier_case(Pooling::kMean, 0),
                                 series_case({}),
                                 series_case({0.1, 0.9})};
  for (const SmallTagger& small : kSmallTaggers) cases.push_back(tagger_case(small, 0));
  return cases;
}

struct Trained {
  std::vector<std::vector<float>> parameters;
  StepStatistics statistics;
  StepCounters counters;
};

/// After one epoch, whose last batch is not full.
Trained train_epoch(const TaskCase& c, const StepShards& shards) {
  const auto examples = c.examples();
  TrainingStep step({*c.task, cpu(1), 5, shards}, {.batch = kBatch,
                                                   .optimizer = {.kind = OptimizerKind::kSgd},
                                                   .learning_rate = 0.5,
                                                   .reduction = c.reduction});
  Batch batch = examples->largest();
  step.prepare(batch);
  while (examples->next(batch)) step.run(batch, 0.5);
  Trained trained{{}, step.statistics(), step.counters()};
  for (const VariableInfo& info : c.task->parameters())
    trained.parameters.push_back(step.store()->read<float>(info.name));
  return trained;
}

TEST(ShardedStep, UpdatesAsTheWholeBatchDoes) {
  for (const TaskCase& c : cases_without_dropout()) {
    const Trained whole = train_epoch(c, {});
    EXPECT_GE(whole.counters.updates, 2);
    for (const std::int64_t shards : {2, 3, 7}) {
      SCOPED_TRACE(c.name + ", " + std::to_string(shards) + " shards");
      const Trained cut = train_epoch(c, {.shards = shards});
      EXPECT_EQ(cut.counters.updates, whole.counters.updates);
      // Each of some ten updates rounds sums of some hundred terms in another order. Where losses
      // are summed over time, the guard's mean over a whole batch counts padding, too.
      const double most = c.reduction == LossReduction::kTime ? 0.05 : 1e-5;
      EXPECT_NEAR(cut.statistics.loss_mean, whole.statistics.loss_mean,
                  most * whole.statistics.loss_mean);
      EXPECT_NEAR(cut.statistics.norm, whole.statistics.norm, 1e-4 * whole.statistics.norm);
      for (std::size_t p = 0; p < whole.parameters.size(); ++p)
        for (std::size_t k = 0; k < whole.parameters[p].size(); ++k)
          ASSERT_NEAR(cut.parameters[p][k], whole.parameters[p][k], 2e-5)
              << c.task->parameters()[p].name << " " << k;
    }
  }
}

TEST(ShardedStep, HasTheSameBitsOnAnyNumberOfRanks) {
  std::vector<TaskCase> cases = {language_model_case(true, LossReduction::kMean, 0.3),
                                 language_model_case(false, LossReduction::kTime, 0.3),
                                 classifier_case(Pooling::kMean, 0.3), series_case({0.1, 0.9})};
  for (const SmallTagger& small : kSmallTaggers) cases.push_back(tagger_case(small, 0.2));
  for (const TaskCase& c : cases) {
    constexpr std::int64_t kShards = 5;
    const Trained alone = train_epoch(c, {.shards = kShards});
    EXPECT_GE(alone.counters.updates, 2);
    for (const int ranks : {2, 3, 5}) {
      SCOPED_TRACE(c.name + ", " + std::to_string(ranks) + " ranks");
      expect_no_error(on_ranks(ranks_in_process(ranks), [&](Communicator& communicator) {
        const Trained got = train_epoch(c, {kShards, &communicator});
        if (got.parameters != alone.parameters) throw std::runtime_error("other parameters");
        if (got.statistics.norm != alone.statistics.norm ||
            got.statistics.loss_mean != alone.statistics.loss_mean)
          throw std::runtime_error("another loss or norm");
      }));
    }
  }
}

}  // namespace
}  // namespace unroll::test
