/// One model on several ranks: the same bits for any number of them.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "host/models/evaluate.h"
#include "host/models/model_file.h"
#include "tests/parallel/support.h"
#include "tests/support/training.h"

namespace unroll::test {
namespace {

struct RanksCase {
  const char* name;
  CellKind cell = CellKind::kLstm;
  OptimizerKind optimizer = OptimizerKind::kAdam;
  bool tied = true;
  LossReduction reduction = LossReduction::kMean;
};

void PrintTo(const RanksCase& c, std::ostream* out) {
  *out << c.name;
}

class RanksTraining : public ::testing::TestWithParam<RanksCase> {
 protected:
  RanksTraining() : corpus_(small_corpus(60, 6)), config_(small_model(corpus_, GetParam().cell)) {
    config_.embedding = 12;
    config_.hidden = {12, 12};
    config_.tied = GetParam().tied;
    config_.dropout = 0.2;
  }

  SmallOptions options(const TempFolder& folder, std::int64_t shards) const {
    SmallOptions options = small_options(folder.path() / "run");
    options.batch = 9;  // so that shards differ in size
    options.bptt = 5;
    options.epochs = 2;
    options.shards = shards;
    options.optimizer = {.kind = GetParam().optimizer, .clip_norm = 0.25F};
    const bool adam = GetParam().optimizer == OptimizerKind::kAdam;
    options.schedule = {.kind = ScheduleKind::kPlateau,
                        .learning_rate = adam                                           ? 0.02
                                         : GetParam().reduction == LossReduction::kTime ? 1
                                                                                        : 5,
                        .factor = 2};
    options.reduction = GetParam().reduction;
    options.zero_state = 0.2;
    options.eval_interval = 9;
    options.save_interval = 7;
    options.log_interval = 6;
    return options;
  }

  LanguageCorpus corpus_;
  LanguageModelConfig config_;
};

struct RunPart {
  std::int64_t stop_after = 0;
  bool resume = false;
  int stops = 0;  // the rank that is asked to
};

/// Trains on so many ranks; what rank 0 has.
TrainedRun train_on(int ranks, const LanguageCorpus& corpus, const LanguageModelConfig& config,
                    const SmallOptions& options, const RunPart& part = {}) {
  const LanguageModelTask task(config, corpus.tokenizer, {.zero_state = options.zero_state});
  TrainedRun trained;
  std::vector<TrainingResult> results(static_cast<std::size_t>(ranks));
  expect_no_error(on_ranks(ranks_in_process(ranks), [&](Communicator& c) {
    const TaskExamples examples = corpus.examples(options.batch, options.bptt);
    std::optional<RunLock> lock;
    std::optional<Checkpoint> checkpoint;
    if (c.leads()) {
      lock.emplace(options.run_dir);
      if (part.resume)
        checkpoint = load_checkpoint(options.run_dir, {.latest = true, .state = true});
    }
    std::atomic<bool> stop{false};
    std::int64_t steps = 0;
    TrainingObserver observer{.log =
                                  [&](const std::string& line) {
                                    if (c.leads()) trained.log.push_back(line);
                                  },
                              .note = [](const std::string&) {},
                              .warn = [](const std::string&) {},
                              .progress =
                                  [&](const TrainingStatus&) {
                                    // The ranks agree on it in the step that follows.
                                    if (++steps == part.stop_after - 1 && c.rank() == part.stops)
                                      stop = true;
                                  }};
    results[std::size_t(c.rank())] = train({.task = task,
                                            .examples = examples,
                                            .options = options,
                                            .lock = lock ? &*lock : nullptr,
                                            .description = {kBuiltInCorpus, nullptr, nullptr},
                                            .backend = cpu(1),
                                            .observer = observer,
                                            .resume = checkpoint ? &*checkpoint : nullptr,
                                            .stop = &stop,
                                            .communicator = &c});
  }));
  trained.result = results[0];
  for (const TrainingResult& result : results) {
    EXPECT_EQ(result.steps, trained.result.steps);
    EXPECT_EQ(result.interrupted, trained.result.interrupted);
    EXPECT_EQ(result.valid.loss_sum, trained.result.valid.loss_sum);
    EXPECT_EQ(result.test.loss_sum, trained.result.test.loss_sum);
  }
  return trained;
}

TEST_P(RanksTraining, EndsWithTheSameBitsOnAnyNumberOfRanks) {
  const TempFolder one;
  const TrainedRun alone = train_small(corpus_, config_, options(one, 8));
  EXPECT_EQ(alone.result.skipped, 0);
  const std::string bits = final_bits(options(one, 8).run_dir);
  for (const int ranks : {1, 2, 3, 4, 8}) {
    SCOPED_TRACE(ranks);
    const TempFolder folder;
    const TrainedRun run = train_on(ranks, corpus_, config_, options(folder, 8));
    EXPECT_TRUE(final_bits(options(folder, 8).run_dir) == bits);
    EXPECT_EQ(run.result.test.loss_sum, alone.result.test.loss_sum);
    EXPECT_EQ(run.result.valid.hits, alone.result.valid.hits);
    ASSERT_EQ(run.log.size(), alone.log.size());
    for (std::size_t k = 0; k < run.log.size(); ++k)
      EXPECT_EQ(without_times(run.log[k]), without_times(alone.log[k]));
  }
}

TEST_P(RanksTraining, GoesOnWithTheSameBitsOnAnotherNumberOfRanks) {
  const TempFolder one, other;
  train_small(corpus_, config_, options(one, 8));
  const SmallOptions parts = options(other, 8);
  const int ranks[] = {4, 1, 8, 2, 3, 5, 7, 6};
  TrainedRun part = train_on(2, corpus_, config_, parts, {.stop_after = 5, .stops = 1});
  EXPECT_TRUE(part.result.interrupted);
  EXPECT_EQ(part.result.steps, 5);
  int pieces = 0;
  for (; part.result.interrupted && pieces < 60; ++pieces)
    part = train_on(ranks[pieces % 8], corpus_, config_, parts,
                    {.stop_after = 2 + pieces % 5, .resume = true, .stops = 0});
  EXPECT_GT(pieces, 5);
  EXPECT_FALSE(part.result.interrupted);
  EXPECT_TRUE(final_bits(parts.run_dir) == final_bits(options(one, 8).run_dir));
}

// A mean over the batch is the same mean however it is cut, up to rounding.
TEST_P(RanksTraining, ShardsLearnWhatAWholeBatchDoes) {
  // Masks and draws are a shard's own.
  config_.dropout = 0;
  const TempFolder whole, cut;
  SmallOptions options_of_whole = options(whole, 1), options_of_cut = options(cut, 4);
  options_of_whole.zero_state = options_of_cut.zero_state = 0;
  const TrainedRun expected = train_small(corpus_, config_, options_of_whole);
  const TrainedRun got = train_small(corpus_, config_, options_of_cut);
  EXPECT_NE(final_bits(options_of_whole.run_dir), final_bits(options_of_cut.run_dir));
  EXPECT_EQ(got.result.valid.count, expected.result.valid.count);
  // Rounding differs by 1e-7 a step, and some dozens of steps make it grow tenfold and more.
  EXPECT_NEAR(got.result.valid.loss(), expected.result.valid.loss(),
              2e-3 * expected.result.valid.loss());
}

INSTANTIATE_TEST_SUITE_P(
    Cases, RanksTraining,
    ::testing::Values(RanksCase{"lstm_adam_tied"},
                      RanksCase{"lstm_sgd", CellKind::kLstm, OptimizerKind::kSgd, false},
                      RanksCase{"gru_adam", CellKind::kGru, OptimizerKind::kAdam, false},
                      RanksCase{"gru_sgd_tied_time", CellKind::kGru, OptimizerKind::kSgd, true,
                                LossReduction::kTime}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace unroll::test
