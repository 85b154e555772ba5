#include "host/train/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "host/models/evaluate.h"
#include "host/models/model_file.h"
#include "tests/support/lstm_variants.h"
#include "tests/support/recording_backend.h"
#include "tests/support/training.h"

namespace unroll::test {
namespace {

TEST(Trainer, LearnsEveryCellAndSavesWhatItMeasured) {
  const LanguageCorpus corpus = small_corpus();
  std::vector<LanguageModelConfig> configs;
  for (const CellKind cell : {CellKind::kLstm, CellKind::kGru, CellKind::kRnnTanh})
    configs.push_back(small_model(corpus, cell));
  for (LstmVariant variant : kLstmVariants) {
    if (variant.projection > 0) variant.projection = 16;  // 3 elements learn little
    configs.push_back(with_variant(small_model(corpus), variant));
  }
  for (const LanguageModelConfig& config : configs) {
    SCOPED_TRACE(describe_cell(config));
    const TempFolder folder;
    const TrainedRun run = train_small(corpus, config, small_options(folder.path() / "run"));
    // A model that knows nothing has a perplexity of about the vocabulary's size.
    EXPECT_LT(run.result.valid.perplexity(), 0.4 * double(config.vocabulary));
    EXPECT_EQ(run.result.valid.count, corpus.valid.ids.size());
    EXPECT_EQ(run.result.skipped, 0);

    const LoadedModel loaded = load_model(folder.path() / "run", cpu(1));
    const TaskExamples examples = corpus.examples(1, 1);
    EXPECT_EQ(Evaluator(*loaded.task, loaded.store).evaluate(*examples.valid).loss_sum,
              run.result.valid.loss_sum);
  }
}

/// The bits at the end of an epoch.
std::string bits_after_epoch(const LanguageCorpus& corpus, const LanguageModelConfig& config,
                             int threads, std::uint64_t seed) {
  const TempFolder folder;
  SmallOptions options = small_options(folder.path() / "run");
  options.epochs = 1;
  options.seed = seed;
  train_small(corpus, config, options, {.backend = cpu(threads)});
  return final_bits(folder.path() / "run");
}

TEST(Trainer, SameSeedSameBitsForAnyNumberOfThreads) {
  const LanguageCorpus corpus = small_corpus();
  const LanguageModelConfig config = small_model(corpus);
  const std::string expected = bits_after_epoch(corpus, config, 1, 5);
  EXPECT_TRUE(expected == bits_after_epoch(corpus, config, 3, 5));
  EXPECT_FALSE(expected == bits_after_epoch(corpus, config, 1, 6));
}

TEST(Trainer, SameSeedSameBitsForAnyNumberOfThreadsInEveryVariant) {
  const LanguageCorpus corpus = small_corpus(40, 4);
  for (LstmVariant variant : kLstmVariants) {
    SCOPED_TRACE(variant.name);
    LanguageModelConfig config = small_model(corpus);
    config.hidden = {40, 70};  // several blocks of units, the last of them not full
    config.tied = false;
    if (variant.projection > 0) variant.projection = 33;
    config = with_variant(config, variant);
    const std::string expected = bits_after_epoch(corpus, config, 1, 5);
    EXPECT_TRUE(expected == bits_after_epoch(corpus, config, 2, 5));
    EXPECT_TRUE(expected == bits_after_epoch(corpus, config, 7, 5));
  }
}

// A run must not go on with another text than it began with.
TEST(Trainer, BytesThatAreOverwrittenEndTheRun) {
  const TempFolder folder;
  std::string text = Grammar::english().sample(11, 200);
  const std::filesystem::path file = folder.write("x.txt", text);
  const LanguageCorpus corpus = read_language_corpus(
      {.path = file, .tokenizer = TokenizerKind::kByte, .cache_dir = folder.path() / "cache"});
  SmallOptions options = small_options(folder.path() / "run");
  const TrainParts overwritten{.after_step = [&](std::int64_t steps) {
    if (steps != 30) return;
    std::ranges::replace(text, 'e', 'o');
    folder.write("x.txt", text);
  }};
  EXPECT_TRUE(contains(error_of<std::runtime_error>(
                           [&] { train_small(corpus, small_model(corpus), options, overwritten); }),
                       "x.txt: was changed while it was in use, expected it to stay as it was"));
  EXPECT_EQ(load_checkpoint(options.run_dir, {.latest = true, .state = true}).step, 0);
}

// No check comes between the last steps and the save that an interruption asks for.
TEST(Trainer, AnInterruptionSavesNothingOfBytesThatWereOverwritten) {
  for (const bool changed : {true, false}) {
    SCOPED_TRACE(changed);
    const TempFolder folder;
    std::string text = Grammar::english().sample(11, 200);
    const std::filesystem::path file = folder.write("x.txt", text);
    const LanguageCorpus corpus = read_language_corpus(
        {.path = file, .tokenizer = TokenizerKind::kByte, .cache_dir = folder.path() / "cache"});
    const SmallOptions options = small_options(folder.path() / "run");
    const TrainParts parts{.stop_after = 33, .after_step = [&](std::int64_t steps) {
                             if (steps != 30) return;
                             if (changed) std::ranges::replace(text, 'e', 'o');
                             folder.write("x.txt", text);
                           }};
    const std::string error = error_of<std::runtime_error>(
        [&] { train_small(corpus, small_model(corpus), options, parts); });
    if (changed)
      EXPECT_TRUE(contains(error, "x.txt: was changed while it was in use, expected it to stay"));
    else
      EXPECT_EQ(error, "no exception");
    EXPECT_EQ(load_checkpoint(options.run_dir, {.latest = true, .state = true}).step,
              changed ? 0 : 33);
  }
}

TEST(Trainer, WritesTheLinesOfWordLanguageModel) {
  const LanguageCorpus corpus = small_corpus();
  const TempFolder folder;
  SmallOptions options = small_options(folder.path() / "run");
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

TEST(Trainer, WritesMetricsThatAgreeWithItsLines) {
  const LanguageCorpus corpus = small_corpus();
  const TempFolder folder;
  const SmallOptions options = small_options(folder.path() / "run");
  const TrainedRun run = train_small(corpus, small_model(corpus), options);
  std::istringstream lines(read_text(folder.path() / "run" / "metrics.jsonl"));
  std::map<std::string, int> events;
  double best = std::numeric_limits<double>::infinity();
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json json = nlohmann::json::parse(line);
    const std::string event = json.at("event");
    ++events[event];
    EXPECT_NEAR(json.at("ppl"), std::exp(double(json.at("loss"))), 1e-9 * double(json.at("ppl")));
    EXPECT_GE(json.at("seconds"), 0);
    if (event == "train") {
      EXPECT_GT(json.at("gradient_norm"), 0);
      EXPECT_GT(json.at("tokens_per_second"), 0);
      EXPECT_DOUBLE_EQ(json.at("lr"), 0.01);
    } else if (event == "valid") {
      EXPECT_EQ(json.at("best"), double(json.at("loss")) < best);
      best = std::min(best, double(json.at("loss")));
    }
  }
  EXPECT_EQ(events["valid"], 3);
  EXPECT_EQ(events["test"], 1);
  EXPECT_EQ(best, run.result.valid.loss());
}

TEST(Trainer, TheLossOfALineIsTheMeanOfItsSteps) {
  const LanguageCorpus corpus = small_corpus();
  for (const LossReduction reduction : {LossReduction::kMean, LossReduction::kTime}) {
    const auto losses = [&](std::int64_t interval) {
      const TempFolder folder;
      SmallOptions options = small_options(folder.path() / "run");
      options.epochs = 2;
      options.log_interval = interval;
      options.reduction = reduction;
      train_small(corpus, small_model(corpus), options);
      return metrics_of(options.run_dir, "train");
    };
    const std::vector<nlohmann::json> steps = losses(1), lines = losses(10);
    ASSERT_GT(lines.size(), 4U);
    for (const nlohmann::json& line : lines) {
      double sum = 0;
      std::int64_t count = 0;
      for (const nlohmann::json& step : steps)
        if (step.at("epoch") == line.at("epoch") && step.at("step") <= line.at("step") &&
            step.at("step") > std::int64_t(line.at("step")) - 10) {
          sum += double(step.at("loss"));
          ++count;
        }
      ASSERT_EQ(count, 10);
      EXPECT_NEAR(line.at("loss"), sum / 10, 1e-6 * sum);  // sums of ten in float32
    }
  }
}

TEST(Trainer, SaysWhatMemoryAStepTookAndHowTheCellsWereComputed) {
  const LanguageCorpus corpus = small_corpus();
  const TempFolder folder;
  SmallOptions options = small_options(folder.path() / "run");
  options.epochs = 1;
  const TrainedRun run = train_small(corpus, small_model(corpus), options);
  ASSERT_EQ(run.notes.size(), 2U);
  EXPECT_TRUE(contains(run.notes[0], "memory of a step: "));
  EXPECT_TRUE(contains(run.notes[1], "peak memory on the device: "));
  const auto config = nlohmann::json::parse(read_text(options.run_dir / "latest" / "config.json"));
  EXPECT_EQ(config.at("training").at("rnn_algorithm_used"), "stepwise");
}

TEST(Trainer, RefusesABatchThatDoesNotFitAndSaysWhichWould) {
  const LanguageCorpus corpus = small_corpus();
  const auto error = [&](std::int64_t batch, std::size_t available) {
    const TempFolder folder;
    SmallOptions options = small_options(folder.path() / "run");
    options.batch = batch;
    options.epochs = 1;
    try {
      train_small(corpus, small_model(corpus), options,
                  {.backend = std::make_shared<SmallBackend>(available)});
      return std::string();
    } catch (const std::runtime_error& e) {
      return std::string(e.what());
    }
  };
  EXPECT_EQ(error(20, 100'000'000), "");
  EXPECT_EQ(error(20, std::numeric_limits<std::size_t>::max()), "");  // it is not known
  EXPECT_TRUE(contains(error(20, 1000), "not even a batch size of 1 fits"));
  constexpr std::size_t kAvailable = 400'000;
  const std::string refused = error(20, kAvailable);
  const std::string words = "the largest batch size that fits is about ";
  ASSERT_TRUE(contains(refused, words)) << refused;
  EXPECT_TRUE(contains(refused, "got 0.4 MB available on cpu"));
  EXPECT_EQ(refused.find('\n'), refused.npos);
  // The number is approximate, and may be one off.
  const std::int64_t largest = std::stoll(refused.substr(refused.find(words) + words.size()));
  EXPECT_GT(largest, 1);
  EXPECT_LT(largest, 20);
  EXPECT_EQ(error(largest - 1, kAvailable), "");
  EXPECT_NE(error(largest + 2, kAvailable), "");
}

// The gradient summed over time and a rate of 1 is the gradient averaged over tokens and a rate of
// T, as long as all batches are full.
TEST(Trainer, SummingOverTimeIsARateTimesTheSteps) {
  LanguageCorpus corpus = small_corpus();
  corpus.train.ids = corpus.train.ids.first(7 * 11 * 20);
  const auto loss = [&](LossReduction reduction, double rate) {
    const TempFolder folder;
    SmallOptions options = small_options(folder.path() / "run");
    options.epochs = 1;
    options.optimizer = {.kind = OptimizerKind::kSgd};
    options.schedule.learning_rate = rate;
    options.reduction = reduction;
    return train_small(corpus, small_model(corpus), options).result.valid.loss();
  };
  const double summed = loss(LossReduction::kTime, 0.1), mean = loss(LossReduction::kMean, 1.1);
  // 20 steps of rounding differently in float32; the losses themselves differ by tens of percent
  // when the factor T is missing.
  EXPECT_NEAR(summed, mean, 1e-4 * mean);
}

TEST(Trainer, StopsWhenValidationsBringNoGain) {
  const LanguageCorpus corpus = small_corpus();
  const TempFolder folder;
  SmallOptions options = small_options(folder.path() / "run");
  options.epochs = 50;
  options.patience = 2;
  options.eval_interval = 10;
  options.schedule.learning_rate = 0.1;  // overfits within a few epochs
  const TrainedRun run = train_small(corpus, small_model(corpus), options);
  EXPECT_TRUE(run.result.stopped_early);
  EXPECT_LT(run.result.epoch, 50);
  // Nothing is left to do when the run is taken up again.
  const TrainedRun again = train_small(corpus, small_model(corpus), options, {.resume = true});
  EXPECT_EQ(again.result.steps, run.result.steps);
  EXPECT_EQ(again.result.test.loss_sum, run.result.test.loss_sum);
}

// A rate that has fallen at every plateau stays a number that a checkpoint can hold.
TEST(Trainer, GoesOnHoweverOftenTheRateHasFallen) {
  const LanguageCorpus corpus = small_corpus(4, 1);
  const TempFolder folder;
  SmallOptions options = small_options(folder.path() / "run");
  options.batch = 1;
  options.bptt = 59;  // all of it
  options.epochs = 60;
  options.schedule = {.kind = ScheduleKind::kPlateau, .learning_rate = 0.1, .factor = 1e12};
  options.log_interval = 1000;
  const TrainedRun run = train_small(corpus, small_model(corpus), options);
  EXPECT_EQ(run.result.epoch, 60);
  // And an epoch shorter than an interval of the log has a line of its own.
  EXPECT_TRUE(contains(run.log.front(), "| epoch   1 |     1/    1 batches | lr 0.10 |"));
}

TEST(Trainer, OverfitsOneBatch) {
  const LanguageCorpus corpus = small_corpus();
  const TempFolder folder;
  SmallOptions options = small_options(folder.path() / "run");
  options.overfit_one_batch = true;
  options.epochs = 8;
  options.schedule.learning_rate = 0.02;
  LanguageModelConfig config = small_model(corpus);
  config.dropout = 0;
  const TrainedRun run = train_small(corpus, config, options);
  std::istringstream lines(read_text(folder.path() / "run" / "metrics.jsonl"));
  double loss = 0;
  for (std::string line; std::getline(lines, line);)
    if (const auto json = nlohmann::json::parse(line); json.at("event") == "train")
      loss = json.at("loss");
  EXPECT_LT(loss, 0.05);
  EXPECT_GT(run.result.valid.loss(), 1);  // it has learnt one batch and nothing else
}

// The folder is not made anew, and another one of its name is not written to.
TEST(Trainer, EndsIfItsFolderIsMovedAway) {
  const LanguageCorpus corpus = small_corpus();
  const LanguageModelConfig config = small_model(corpus);
  for (const bool replaced : {false, true}) {
    const TempFolder folder, uncut;
    SmallOptions options = small_options(folder.path() / "run");
    options.save_interval = 10;
    const auto move = [&](std::int64_t step) {
      if (step != 15) return;
      std::filesystem::rename(folder.path() / "run", folder.path() / "moved");
      if (replaced) std::filesystem::create_directory(folder.path() / "run");
    };
    const std::string error = error_of<std::runtime_error>(
        [&] { train_small(corpus, config, options, {.after_step = move}); });
    EXPECT_TRUE(contains(error, "run: was moved, removed or replaced"));
    EXPECT_EQ(std::filesystem::exists(folder.path() / "run"), replaced);
    if (replaced) {
      EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "run"));
    }
    options.run_dir = folder.path() / "moved";
    train_small(corpus, config, options, {.resume = true});
    SmallOptions other = options;
    other.run_dir = uncut.path() / "run";
    train_small(corpus, config, other);
    EXPECT_TRUE(final_bits(options.run_dir) == final_bits(other.run_dir));
  }
}

TEST(Trainer, ShowsALossThatIsNotOld) {
  const TempFolder folder;
  const LanguageCorpus corpus = small_corpus(60, 6);
  SmallOptions options = small_options(folder.path() / "run");
  options.log_interval = 1000;  // nothing else looks at the loss within the epoch
  options.epochs = 1;
  std::vector<TrainingStatus> seen;
  std::vector<double> losses;
  train_small(corpus, small_model(corpus), options, {.progress = [&](const TrainingStatus& status) {
                seen.push_back(status);
                losses.push_back(status.loss());
                if (seen.size() < 5) std::this_thread::sleep_for(std::chrono::milliseconds(210));
              }});
  ASSERT_GT(seen.size(), 5U);
  for (std::size_t k = 1; k < 5; ++k) EXPECT_NE(losses[k], losses[k - 1]) << k;
  double before = 0;
  for (const TrainingStatus& status : seen) {
    EXPECT_GE(status.seconds, before);
    before = status.seconds;
    EXPECT_GE(status.seconds_left, 0);
    EXPECT_EQ(status.epochs, 1);
  }
  EXPECT_EQ(seen.back().seconds_left, 0);
  EXPECT_EQ(seen.back().batch, seen.back().batches);
}

}  // namespace
}  // namespace unroll::test
