/// Runs that train a forecaster keep what runs of a language model keep: cut after any update they
/// end with the same bits, for any number of threads and on every backend; what was measured is
/// what was saved.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "host/models/evaluate.h"
#include "host/models/model_file.h"
#include "tests/support/backends.h"
#include "tests/support/series.h"
#include "tests/support/temp_folder.h"
#include "tests/support/training.h"

namespace unroll::test {
namespace {

struct SeriesRun {
  std::int64_t inputs = 1;
  std::vector<double> quantiles = {};
  std::int64_t rows = 60;  // to train on: 8 batches of 7 windows or fewer, the last not full

  std::shared_ptr<const SeriesTask> task() const {
    SeriesConfig config = small_series(inputs, quantiles);
    config.hidden = {8, 5};
    config.dropout = 0.2;
    return series_task(config);
  }
  std::unique_ptr<SeriesWindows> windows(std::int64_t begin, std::int64_t end,
                                         std::optional<std::uint64_t> seed = {}) const {
    const SeriesConfig config = task()->config();
    return std::make_unique<SeriesWindows>(waves(rows + 40, inputs),
                                           SeriesWindows::Options{.begin = begin,
                                                                  .end = end,
                                                                  .window = config.window,
                                                                  .ahead = config.ahead(),
                                                                  .batch = 7,
                                                                  .every_row = seed.has_value(),
                                                                  .seed = seed});
  }
  TrainedRun train(const TrainingOptions& options, const TrainParts& parts = {}) const {
    TaskExamples examples;
    examples.train = windows(0, rows, options.seed);
    examples.valid = windows(rows, rows + 20);
    examples.test = windows(rows + 20, rows + 40);
    return train_task(*task(), examples, options, parts);
  }
};

const SeriesRun kSeriesRuns[] = {{1, {}}, {2, {}}, {2, {0.1, 0.5, 0.9}}};

TrainingOptions series_run_options(const TempFolder& folder) {
  TrainingOptions options = small_options(folder.path() / "run");
  options.epochs = 3;
  options.eval_interval = 5;
  options.save_interval = 3;
  options.log_interval = 4;
  return options;
}

TEST(SeriesRuns, LearnWavesAndSaveWhatTheyMeasured) {
  for (const SeriesRun& run : kSeriesRuns) {
    SCOPED_TRACE(run.task()->describe());
    const TempFolder folder;
    TrainingOptions options = small_options(folder.path() / "run");
    options.epochs = 60;
    const TrainedRun trained = run.train(options);
    // The waves have a variance of 1/2, and a mean absolute value of 0.64.
    EXPECT_LT(trained.result.test.loss(), run.quantiles.empty() ? 0.1 : 0.12);
    const std::string measure = run.quantiles.empty() ? "| test mse " : "| test pinball ";
    EXPECT_TRUE(contains(trained.log.back() + trained.log[trained.log.size() - 2], measure));
    const LoadedModel loaded = load_model(options.run_dir, cpu(1));
    const auto valid = run.windows(run.rows, run.rows + 20);
    const Evaluation again = Evaluator(*loaded.task, loaded.store).evaluate(*valid);
    EXPECT_EQ(again.loss_sum, trained.result.valid.loss_sum);
    EXPECT_EQ(again.count, trained.result.valid.count);
    EXPECT_EQ(loaded.task->name(), "series");
  }
}

TEST(SeriesRuns, CutAfterAnyUpdateTheyEndWithTheSameBits) {
  for (const SeriesRun& run : kSeriesRuns) {
    SCOPED_TRACE(run.task()->describe());
    const TempFolder uncut_folder;
    const TrainingOptions uncut_options = series_run_options(uncut_folder);
    const TrainedRun uncut = run.train(uncut_options);
    ASSERT_EQ(uncut.result.steps, 24);
    const std::int64_t stride = run.inputs == 1 ? 1 : 5;  // all cuts of all runs take a minute
    for (std::int64_t cut = 1; cut <= uncut.result.steps; cut += stride) {
      SCOPED_TRACE(cut);
      const TempFolder folder;
      const TrainingOptions options = series_run_options(folder);
      const TrainedRun first = run.train(options, {.stop_after = cut});
      EXPECT_TRUE(first.result.interrupted);
      const TrainedRun second = run.train(options, {.resume = true});
      EXPECT_TRUE(final_bits(options.run_dir) == final_bits(uncut_options.run_dir));
      EXPECT_EQ(second.result.test.loss_sum, uncut.result.test.loss_sum);
      EXPECT_EQ(first.log.size() + second.log.size(), uncut.log.size());
    }
  }
}

TEST(SeriesRuns, SameSeedSameBitsForAnyNumberOfThreads) {
  for (const SeriesRun& run : kSeriesRuns) {
    const auto bits = [&](int threads, std::uint64_t seed) {
      const TempFolder folder;
      TrainingOptions options = series_run_options(folder);
      options.seed = seed;
      run.train(options, {.backend = cpu(threads)});
      return final_bits(options.run_dir);
    };
    const std::string expected = bits(1, 5);
    EXPECT_TRUE(bits(2, 5) == expected);
    EXPECT_TRUE(bits(7, 5) == expected);
    EXPECT_FALSE(bits(1, 6) == expected);
  }
}

class SeriesTrainingOnDevice : public OnEachBackend {};

// Adam at 1e-3 does not let roundings grow in so few steps: see
// tests/models/devices_agree_test.cpp.
TEST_P(SeriesTrainingOnDevice, AgreesWithTheProcessorAndIsResumedExactly) {
  for (const SeriesRun& run : kSeriesRuns) {
    const TempFolder whole_folder, cut_folder, host_folder;
    const auto options = [](const TempFolder& folder) {
      TrainingOptions options = series_run_options(folder);
      options.schedule.learning_rate = 1e-3;
      return options;
    };
    const TrainedRun whole = run.train(options(whole_folder), {.backend = backend_});
    run.train(options(cut_folder), {.backend = backend_, .stop_after = 11});
    run.train(options(cut_folder), {.backend = backend_, .resume = true});
    EXPECT_TRUE(final_bits(options(cut_folder).run_dir) ==
                final_bits(options(whole_folder).run_dir));
    const TrainedRun host = run.train(options(host_folder));
    EXPECT_NEAR(whole.result.test.loss(), host.result.test.loss(), 1e-4 * host.result.test.loss());
  }
}

INSTANTIATE_TEST_SUITE_P(On, SeriesTrainingOnDevice, ::testing::Values("Cuda"), backend_name);

}  // namespace
}  // namespace unroll::test
