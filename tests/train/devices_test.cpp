/// Runs on a GPU, or in bfloat16: cut and resumed, and taken from one device to the other.
#include <gtest/gtest.h>

#include "tests/support/backends.h"
#include "tests/support/training.h"

namespace unroll::test {
namespace {

class TrainingOnDevice : public OnEachBackend {
 protected:
  TrainingOnDevice() : corpus_(small_corpus(60, 6)), config_(small_model(corpus_)) {}

  static SmallOptions options(const TempFolder& folder) {
    SmallOptions options = small_options(folder.path() / "run");
    options.epochs = 2;
    options.optimizer.kind = OptimizerKind::kAdam;
    options.schedule.learning_rate = 1e-3;
    options.zero_state = 0.2;
    options.eval_interval = 5;
    options.save_interval = 7;
    options.log_interval = 6;
    return options;
  }

  LanguageCorpus corpus_;
  LanguageModelConfig config_;
};

TEST_P(TrainingOnDevice, CutAndResumedItEndsWithTheSameBits) {
  const TempFolder uncut_folder;
  const TrainedRun uncut =
      train_small(corpus_, config_, options(uncut_folder), {.backend = backend_});
  ASSERT_GT(uncut.result.steps, 12);
  for (const std::int64_t cut : {std::int64_t{1}, std::int64_t{8}, uncut.result.steps - 1}) {
    SCOPED_TRACE(cut);
    const TempFolder folder;
    const TrainedRun first =
        train_small(corpus_, config_, options(folder), {.backend = backend_, .stop_after = cut});
    EXPECT_TRUE(first.result.interrupted);
    train_small(corpus_, config_, options(folder), {.backend = backend_, .resume = true});
    EXPECT_TRUE(final_bits(options(folder).run_dir) == final_bits(options(uncut_folder).run_dir));
  }
}

// Adam at 1e-3 does not let roundings grow in so few steps: see
// tests/models/devices_agree_test.cpp. In bfloat16 they are 2^16 times those of float32.
TEST_P(TrainingOnDevice, GoesOnOnTheOtherDevice) {
  const TempFolder here;
  const TrainedRun whole = train_small(corpus_, config_, options(here));
  const std::shared_ptr<Backend> host = cpu(1);
  for (const auto& [begin, end] : {std::pair{host, backend_}, std::pair{backend_, host}}) {
    const TempFolder folder;
    train_small(corpus_, config_, options(folder), {.backend = begin, .stop_after = 9});
    const TrainedRun rest =
        train_small(corpus_, config_, options(folder), {.backend = end, .resume = true});
    EXPECT_EQ(rest.result.steps, whole.result.steps);
    const double close = backend_->precision() == Precision::kBf16 ? 1e-3 : 1e-4;
    EXPECT_NEAR(rest.result.test.loss(), whole.result.test.loss(),
                close * whole.result.test.loss());
  }
}

INSTANTIATE_TEST_SUITE_P(On, TrainingOnDevice, ::testing::Values("CpuBf16", "Cuda"), backend_name);

TEST(TrainingInBf16, HasTheSameBitsForAnyNumberOfThreads) {
  const LanguageCorpus corpus = small_corpus(60, 6);
  const LanguageModelConfig config = small_model(corpus);
  std::string bits;
  for (const int threads : {1, 2, 7}) {
    const TempFolder folder;
    SmallOptions options = small_options(folder.path() / "run");
    options.epochs = 1;
    options.zero_state = 0.2;
    train_small(corpus, config, options, {.backend = cpu(threads, Precision::kBf16)});
    if (threads == 1) bits = final_bits(options.run_dir);
    EXPECT_TRUE(final_bits(options.run_dir) == bits) << threads << " threads";
  }
}

}  // namespace
}  // namespace unroll::test
