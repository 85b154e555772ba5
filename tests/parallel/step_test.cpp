/// A training step of every task, cut into shards: the same update as of the whole batch but for
/// rounding, and the same bits on any number of ranks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "host/data/text_batches.h"
#include "host/models/sharded_training.h"
#include "host/train/training_step.h"
#include "tests/parallel/support.h"
#include "tests/support/backends.h"
#include "tests/support/classifier.h"
#include "tests/support/series.h"
#include "tests/support/tagger.h"
#include "tests/support/training.h"

namespace unroll::test {
namespace {

constexpr std::int64_t kStepRows = 7;

struct CutTask {
  std::string name;
  std::shared_ptr<const Task> task;
  std::function<std::unique_ptr<Examples>()> examples;
  LossReduction reduction = LossReduction::kMean;
};

CutTask cut_language_model(bool tied, LossReduction reduction, double dropout) {
  const auto corpus = std::make_shared<const LanguageCorpus>(small_corpus(12, 2));
  LanguageModelConfig config = small_model(*corpus);
  config.embedding = 10;
  config.hidden = {10};
  config.tied = tied;
  config.dropout = dropout;
  return {std::string(tied ? "tied" : "untied") +
              (reduction == LossReduction::kTime ? ", summed over time" : ""),
          std::make_shared<LanguageModelTask>(config, corpus->tokenizer),
          [corpus] { return std::make_unique<BatchStream>(corpus->training_stream(kStepRows, 5)); },
          reduction};
}

CutTask cut_classifier(Pooling pooling, double dropout) {
  SequenceClassifierConfig config;
  config.vocabulary = 30;  // so many that rows travel
  config.embedding = 5;
  config.hidden = {6};
  config.classes = 3;
  config.pooling = pooling;
  config.dropout = dropout;
  const auto texts = random_texts(config, {3, 5, 4, 6, 2, 3, 7, 5, 4, 3, 2}, 4);
  return {"classifier, " + to_string(pooling),
          std::make_shared<SequenceClassifier>(classifier_of(config)), [texts, pooling] {
            return std::make_unique<TextBatches>(
                texts, TextBatches::Options{.batch = kStepRows,
                                            .mean = pooling == Pooling::kMean,
                                            .seed = std::uint64_t{2}});
          }};
}

CutTask cut_tagger(SmallTagger small, double dropout) {
  small.sentences = 11;
  const auto corpus = std::make_shared<const TaggedCorpus>(small.corpus());
  SequenceTaggerConfig config = small.task(*corpus)->config();
  config.dropout = dropout;
  const auto task = std::make_shared<const SequenceTagger>(config, corpus->vocabulary,
                                                           small.vectors ? few_vectors() : nullptr);
  return {"tagger, " + small.name(), task, [corpus, task] {
            return std::make_unique<TaggedBatches>(corpus->train, task->batches(kStepRows));
          }};
}

CutTask cut_series(const std::vector<double>& quantiles) {
  const SeriesConfig config = small_series(2, quantiles);
  return {quantiles.empty() ? "series" : "quantiles", series_task(config), [config] {
            return std::make_unique<SeriesWindows>(waves(40, 2),
                                                   SeriesWindows::Options{.begin = 0,
                                                                          .end = 20,
                                                                          .window = config.window,
                                                                          .ahead = config.ahead(),
                                                                          .batch = kStepRows,
                                                                          .every_row = true,
                                                                          .seed = 3});
          }};
}

/// Without dropout, whose masks differ from shard to shard.
std::vector<CutTask> cases_without_dropout() {
  std::vector<CutTask> cases = {cut_language_model(true, LossReduction::kMean, 0),
                                cut_language_model(false, LossReduction::kMean, 0),
                                cut_language_model(false, LossReduction::kTime, 0),
                                cut_classifier(Pooling::kLast, 0),
                                cut_classifier(Pooling::kMean, 0),
                                cut_series({}),
                                cut_series({0.1, 0.9})};
  for (const SmallTagger& small : kSmallTaggers) cases.push_back(cut_tagger(small, 0));
  return cases;
}

struct SteppedModel {
  std::vector<std::vector<float>> parameters;
  StepStatistics statistics;
  StepCounters counters;
};

/// After one epoch, whose last batch is not full. Each rank has a backend of its own.
SteppedModel train_epoch(const CutTask& c, const std::string& device, const StepShards& shards) {
  const auto examples = c.examples();
  const auto backend = device == "Cpu" ? cpu(1) : cuda(0, kCudaForms.at(device));
  Batch batch = examples->largest();
  TrainingStep step({*c.task, backend, 5, shards},
                    {.batch = kStepRows,
                     .lookups = batch.columns.front().shape.elements(),
                     .optimizer = {.kind = OptimizerKind::kSgd},
                     .learning_rate = 0.5,
                     .reduction = c.reduction});
  step.prepare(batch);
  while (examples->next(batch)) step.run(batch, 0.5);
  SteppedModel trained{{}, step.statistics(), step.counters()};
  for (const VariableInfo& info : c.task->parameters())
    trained.parameters.push_back(step.store()->read<float>(info.name));
  return trained;
}

class ShardedStep : public OnEachBackend {
 protected:
  /// An emulated GPU is slow: some of the cases there.
  std::vector<CutTask> chosen(std::vector<CutTask> all) const {
    if (GetParam() == "Cpu") return all;
    std::vector<CutTask> some;
    for (std::size_t k = 0; k < all.size(); k += 3) some.push_back(all[k]);
    return some;
  }
  std::vector<int> counts(std::vector<int> all) const {
    if (GetParam() != "Cpu") all.resize(1);
    return all;
  }
};

TEST_P(ShardedStep, UpdatesAsTheWholeBatchDoes) {
  for (const CutTask& c : chosen(cases_without_dropout())) {
    const SteppedModel whole = train_epoch(c, GetParam(), {});
    EXPECT_GE(whole.counters.updates, 2);
    for (const int shards : counts({3, 2, 7})) {
      SCOPED_TRACE(c.name + ", " + std::to_string(shards) + " shards");
      const SteppedModel cut = train_epoch(c, GetParam(), {.shards = shards});
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

TEST_P(ShardedStep, HasTheSameBitsOnAnyNumberOfRanks) {
  std::vector<CutTask> cases = {cut_language_model(true, LossReduction::kMean, 0.3),
                                cut_language_model(false, LossReduction::kTime, 0.3),
                                cut_classifier(Pooling::kMean, 0.3), cut_series({0.1, 0.9})};
  for (const SmallTagger& small : kSmallTaggers) cases.push_back(cut_tagger(small, 0.2));
  for (const CutTask& c : chosen(cases)) {
    constexpr std::int64_t kShards = 5;
    const SteppedModel alone = train_epoch(c, GetParam(), {.shards = kShards});
    EXPECT_GE(alone.counters.updates, 2);
    for (const int ranks : counts({2, 3, 5})) {
      SCOPED_TRACE(c.name + ", " + std::to_string(ranks) + " ranks");
      expect_no_error(on_ranks(ranks_in_process(ranks), [&](Communicator& communicator) {
        const SteppedModel got = train_epoch(c, GetParam(), {kShards, &communicator});
        if (got.parameters != alone.parameters) throw std::runtime_error("other parameters");
        if (got.statistics.norm != alone.statistics.norm ||
            got.statistics.loss_mean != alone.statistics.loss_mean)
          throw std::runtime_error("another loss or norm");
      }));
    }
  }
}

UNROLL_FOR_EACH_BACKEND(ShardedStep);

TEST(ShardedTraining, ATableTravelsByRowsUnlessAsAWholeItIsLess) {
  const CutTask c = cut_language_model(false, LossReduction::kMean, 0);
  std::int64_t table = 0;
  for (const VariableInfo& info : c.task->parameters())
    if (info.name == "encoder.weight") table = info.type.shape[0];
  ASSERT_GT(table, 0);
  for (const auto& [lookups, by_rows] :
       {std::pair(std::int64_t{0}, true), std::pair(2 * table, true),
        std::pair(2 * table + 1, false)}) {
    const ShardedTraining made =
        sharded_training(*c.task, {.batch = kStepRows, .lookups = lookups}, {4, {0, 2}});
    const auto is_sparse = [](const GradientTensors& tensors) { return tensors.is_sparse(); };
    EXPECT_EQ(std::ranges::any_of(made.rows, is_sparse), by_rows) << lookups;
    EXPECT_EQ(std::ranges::any_of(made.update->gradients, is_sparse), by_rows) << lookups;
  }
}

}  // namespace
}  // namespace unroll::test
