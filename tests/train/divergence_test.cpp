/// Steps that are not finite or whose loss is too high, and hardware that flips bits.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "host/models/checkpoint.h"
#include "host/train/trainer.h"
#include "tests/support/language_task.h"
#include "tests/support/recording_backend.h"
#include "tests/support/training.h"

namespace unroll::test {
namespace {

/// Does something to the arguments of one optimiser step before it runs, and to its results after.
class FaultyBackend : public RecordingBackend {
 public:
  using Fault = std::function<void(const ApplyGradients&)>;
  FaultyBackend() : RecordingBackend(cpu(1)) {}

  Fault before, after;
  Fault every;          // before each step
  std::int64_t at = 0;  // which step, from 1

  void apply_gradients(const ApplyGradients& args) override {
    const bool now = ++steps_ == at;
    if (every) every(args);
    if (now && before) before(args);
    RecordingBackend::apply_gradients(args);
    if (now && after) after(args);
  }

 private:
  std::int64_t steps_ = 0;
};

constexpr float kNotANumber = std::numeric_limits<float>::quiet_NaN();

bool all_finite(const std::filesystem::path& checkpoint) {
  const Checkpoint loaded = load_checkpoint(checkpoint, {.state = true});
  for (const TensorData& tensor : loaded.model.tensors()) {
    const std::vector<std::byte> bytes = tensor.bytes.all();
    for (std::size_t k = 0; k < bytes.size(); k += sizeof(float)) {
      float value = 0;
      std::memcpy(&value, bytes.data() + k, sizeof value);
      if (!std::isfinite(value)) return false;
    }
  }
  return true;
}

/// The index of a parameter among those with gradients, and its name.
std::vector<std::string> parameter_names(const LanguageModelConfig& config) {
  std::vector<std::string> names;
  for (const VariableInfo& info : parameters(config)) names.push_back(info.name);
  return names;
}

struct Divergence : ::testing::Test {
  Divergence() {
    options.epochs = 2;
    options.save_interval = 10;
    backend->at = 25;
  }
  TrainedRun run() { return train_small(corpus, config, options, {.backend = backend}); }
  void poison(std::size_t parameter, float value) {
    backend->before = [=](const ApplyGradients& args) {
      args.parameters[parameter].gradient.as<float>()[0] = value;
    };
  }

  LanguageCorpus corpus = small_corpus();
  LanguageModelConfig config = small_model(corpus);
  TempFolder folder;
  SmallOptions options = small_options(folder.path() / "run");
  std::shared_ptr<FaultyBackend> backend = std::make_shared<FaultyBackend>();
};

TEST_F(Divergence, StopsBeforeTheWeightsAreTouchedAndSaysWhere) {
  const std::vector<std::string> names = parameter_names(config);
  for (std::size_t parameter = 0; parameter < names.size(); ++parameter)
    for (const float value : {kNotANumber, std::numeric_limits<float>::infinity()}) {
      SCOPED_TRACE(names[parameter]);
      std::filesystem::remove_all(options.run_dir);
      backend = std::make_shared<FaultyBackend>();
      backend->at = 25;
      poison(parameter, value);
      const std::string error = error_of<std::runtime_error>([&] { run(); });
      EXPECT_TRUE(contains(error, "diverged at step 25"));
      EXPECT_TRUE(contains(error, "the gradient first in " + names[parameter] + ";"));
      EXPECT_TRUE(contains(error, "checkpoint of step 20"));
      EXPECT_TRUE(all_finite(options.run_dir / "latest"));
    }
}

TEST_F(Divergence, ALossThatIsNotFiniteIsNamedAsSuch) {
  backend->before = [](const ApplyGradients& args) { *args.loss.as<float>() = kNotANumber; };
  EXPECT_TRUE(
      contains(error_of<std::runtime_error>([&] { run(); }), "step 25: the loss is not finite"));
}

TEST_F(Divergence, AValidationThatIsNotFiniteEndsTheRun) {
  backend->at = corpus.training_stream(options.batch, options.bptt).batches();
  backend->after = [](const ApplyGradients& args) {
    for (const ParameterUpdate& update : args.parameters)
      for (std::int64_t k = 0; k < update.parameter.elements(); ++k)
        update.parameter.as<float>()[k] = kNotANumber;
  };
  const std::string error = error_of<std::runtime_error>([&] { run(); });
  EXPECT_TRUE(contains(error, "training diverged in epoch 1: the validation data: got loss "));
  EXPECT_TRUE(contains(error, "from the model, expected finite numbers"));
  EXPECT_TRUE(all_finite(options.run_dir / "latest"));
}

TEST_F(Divergence, ALossAboveTheCeilingIsRefusedEvenAfterANan) {
  options.on_divergence = OnDivergence::kSkip;
  options.epochs = 4;
  // A NaN early on, and then, once a hundred losses are known, weights that predict nonsense.
  poison(0, kNotANumber);
  backend->at = 20;
  const auto spoil = [&](const ApplyGradients& args) {
    for (const ParameterUpdate& update : args.parameters)
      if (update.parameter.shape.rank() == 2)
        for (std::int64_t k = 0; k < update.parameter.elements(); ++k)
          update.parameter.as<float>()[k] *= 60;
  };
  const TrainedRun once = run();
  EXPECT_EQ(once.result.skipped, 1);
  ASSERT_GT(once.result.steps, 120);

  std::filesystem::remove_all(options.run_dir);
  backend = std::make_shared<FaultyBackend>();
  backend->at = 120;
  backend->after = spoil;
  options.on_divergence = OnDivergence::kStop;
  const std::string error = error_of<std::runtime_error>([&] { run(); });
  EXPECT_TRUE(contains(error, "diverged at step 121: loss "));
  EXPECT_TRUE(contains(error, "is above the ceiling"));
}

// A loss far above the mean, but below the ceiling: the step is applied, and the check that finds
// it says so once, wherever the run was cut.
TEST_F(Divergence, AJumpIsAppliedAndReported) {
  options.epochs = 4;
  const auto jump = [&] {
    backend = std::make_shared<FaultyBackend>();
    backend->at = 135;
    backend->before = [](const ApplyGradients& args) { *args.loss.as<float>() = 8; };
  };
  jump();
  const TrainedRun run = this->run();
  ASSERT_GT(run.result.steps, 140);
  EXPECT_EQ(run.result.skipped, 0);
  ASSERT_EQ(run.warnings.size(), 1U);
  EXPECT_TRUE(contains(run.warnings[0], "by step 140: the loss jumped to 8.000 where at most "));
  const std::vector<nlohmann::json> events = metrics_of(options.run_dir, "jump");
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].at("step"), 140);
  EXPECT_EQ(events[0].at("jumps"), 1);
  EXPECT_EQ(events[0].at("loss"), 8);
  EXPECT_LT(events[0].at("limit"), 8);
  for (const std::int64_t cut_at : {135, 137, 140}) {
    SCOPED_TRACE(cut_at);
    const TempFolder cut_folder;
    SmallOptions cut = options;
    cut.run_dir = cut_folder.path() / "run";
    jump();
    train_small(corpus, config, cut, {.backend = backend, .stop_after = cut_at});
    train_small(corpus, config, cut, {.backend = backend, .resume = true});
    EXPECT_TRUE(final_bits(cut.run_dir) == final_bits(options.run_dir));
    EXPECT_EQ(metrics_of(cut.run_dir, "jump").size(), 1U);
  }
}

TEST_F(Divergence, JumpsBetweenTwoLooksAreOneEvent) {
  options.epochs = 4;
  options.loss_ceiling = 0;
  std::int64_t step = 0;
  backend->at = 0;
  backend->every = [&](const ApplyGradients& args) {
    if (++step >= 131 && step <= 139) *args.loss.as<float>() = step == 137 ? 30 : 8;
  };
  const TrainedRun run = this->run();
  ASSERT_EQ(run.warnings.size(), 1U);
  const std::vector<nlohmann::json> events = metrics_of(options.run_dir, "jump");
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].at("jumps"), 2);  // the deviation has grown with the first 8
  EXPECT_EQ(events[0].at("loss"), 30);
  EXPECT_LT(events[0].at("limit"), 30);
  EXPECT_TRUE(contains(run.warnings[0], "by step 140: the loss jumped 2 times, last to 30.000 "));
}

TEST_F(Divergence, TheCeilingIsWhatWasAskedFor) {
  const auto with_loss = [&](float loss, std::optional<double> ceiling) {
    std::filesystem::remove_all(options.run_dir);
    options.loss_ceiling = ceiling;
    backend = std::make_shared<FaultyBackend>();
    backend->at = 25;
    backend->before = [=](const ApplyGradients& args) { *args.loss.as<float>() = loss; };
    return error_of<std::runtime_error>([&] { run(); });
  };
  EXPECT_EQ(with_loss(7, std::nullopt), "no exception");
  EXPECT_TRUE(contains(with_loss(7, 6), "step 25: loss 7.000 is above the ceiling 6.000"));
  EXPECT_TRUE(contains(with_loss(1e6F, std::nullopt), "is above the ceiling"));
  EXPECT_EQ(with_loss(1e6F, 0), "no exception");
  EXPECT_TRUE(contains(with_loss(kNotANumber, 0), "step 25: the loss is not finite"));
}

TEST_F(Divergence, SkippingLeavesTheBatchOutAndNothingElse) {
  options.on_divergence = OnDivergence::kSkip;
  poison(1, kNotANumber);
  const TrainedRun run = this->run();
  EXPECT_EQ(run.result.skipped, 1);
  ASSERT_EQ(run.warnings.size(), 1U);
  EXPECT_TRUE(contains(run.warnings.front(),
                       "by step 30: 1 more left out, last because the gradient is not finite"));
  EXPECT_TRUE(all_finite(options.run_dir / "latest"));
  EXPECT_LT(run.result.valid.perplexity(), 0.5 * double(config.vocabulary));
  EXPECT_TRUE(contains(read_text(options.run_dir / "metrics.jsonl"), "\"event\":\"diverged\""));
}

TEST_F(Divergence, RollingBackReturnsToTheScheduledCheckpointAtHalfTheRate) {
  options.on_divergence = OnDivergence::kRollBack;
  options.epochs = 1;
  poison(1, kNotANumber);
  const TrainedRun rolled = run();
  ASSERT_EQ(rolled.warnings.size(), 1U);
  EXPECT_TRUE(contains(rolled.warnings.front(), "back to the weights of step 20"));
  EXPECT_EQ(rolled.result.skipped, 6);  // up to the check at the checkpoint of step 30
  EXPECT_TRUE(
      contains(read_text(options.run_dir / "latest" / "progress.json"), "\"rate_scale\": 0.5"));
  EXPECT_EQ(metrics_of(options.run_dir, "diverged").at(0).at("step"), 25);
  // It does not return to an interruption's checkpoint in between, and an interruption after the
  // refused step does not make it return any earlier.
  for (const std::int64_t cut_at : {23, 25, 27, 30}) {
    SCOPED_TRACE(cut_at);
    const TempFolder cut_folder;
    SmallOptions cut = options;
    cut.run_dir = cut_folder.path() / "run";
    backend = std::make_shared<FaultyBackend>();
    backend->at = 25;
    poison(1, kNotANumber);
    train_small(corpus, config, cut, {.backend = backend, .stop_after = cut_at});
    train_small(corpus, config, cut, {.backend = backend, .resume = true});
    EXPECT_TRUE(final_bits(cut.run_dir) == final_bits(options.run_dir));
  }
}

// Step 25 is refused, and with it those up to the next check, which comes with checkpoint 30.
TEST_F(Divergence, StepsBetweenTheRefusedOneAndTheLookAreLeftOutToo) {
  poison(1, kNotANumber);
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { run(); }), "diverged at step 25"));
  const nlohmann::json event = metrics_of(options.run_dir, "diverged").at(0);
  EXPECT_EQ(event.at("step"), 25);
  EXPECT_EQ(event.at("refused"), 6);
  EXPECT_EQ(event.at("action"), "stop");
}

// Steps that skip left out and reported do not halt a run that goes on with stop.
TEST_F(Divergence, ARunMayGoOnUnderStopAfterSkip) {
  options.on_divergence = OnDivergence::kSkip;
  poison(1, kNotANumber);
  backend->at = 30;
  train_small(corpus, config, options, {.backend = backend, .stop_after = 30});
  options.on_divergence = OnDivergence::kStop;
  const TrainedRun resumed =
      train_small(corpus, config, options, {.backend = backend, .resume = true});
  EXPECT_FALSE(resumed.result.interrupted);
  EXPECT_EQ(resumed.result.skipped, 1);
}

/// Spoils a recurrent weight for only one step, which leaves NaN as the state.
class SpoiledForOneStep : public RecordingBackend {
 public:
  SpoiledForOneStep() : RecordingBackend(cpu(1)) {}
  void apply_gradients(const ApplyGradients& args) override {
    float& weight = args.parameters[1].parameter.as<float>()[0];
    ++steps_;
    if (steps_ == 26) weight = sound_;
    RecordingBackend::apply_gradients(args);
    if (steps_ == 25) sound_ = std::exchange(weight, kNotANumber);
  }

 private:
  std::int64_t steps_ = 0;
  float sound_ = 0;
};

TEST_F(Divergence, AStateThatIsNoNumberDoesNotReachTheNextBatch) {
  options.on_divergence = OnDivergence::kSkip;
  const TrainedRun run =
      train_small(corpus, config, options, {.backend = std::make_shared<SpoiledForOneStep>()});
  EXPECT_EQ(run.result.skipped, 1);
}

TEST_F(Divergence, GivesUpIfEveryStepIsRefused) {
  options.on_divergence = OnDivergence::kSkip;
  options.optimizer = {.kind = OptimizerKind::kSgd};
  options.schedule.learning_rate = 1e30;
  options.epochs = 100;
  const std::string error = error_of<std::runtime_error>([&] { run(); });
  // Step 1 was the only good one; steps are checked with the checkpoints, at every tenth.
  EXPECT_TRUE(contains(error, "step 2: "));
  EXPECT_TRUE(contains(error, "and so it was for 59 steps in a row"));
  EXPECT_TRUE(contains(error, "try a lower learning rate"));
}

TEST_F(Divergence, GivesUpIfRollingBackDoesNotHelp) {
  options.on_divergence = OnDivergence::kRollBack;
  options.epochs = 6;
  options.optimizer = {.kind = OptimizerKind::kSgd};
  options.schedule.learning_rate = 1e30;
  const std::string error = error_of<std::runtime_error>([&] { run(); });
  EXPECT_TRUE(contains(error, "after 5 returns to a checkpoint without a better validation"));
}

TEST_F(Divergence, RollsBackToAnotherCheckpointIfTheScheduledOneIsGone) {
  options.on_divergence = OnDivergence::kRollBack;
  options.epochs = 1;
  backend->before = [this](const ApplyGradients& args) {
    std::filesystem::remove_all(checkpoint_directory(options.run_dir, 20));
    args.parameters[1].gradient.as<float>()[0] = kNotANumber;
  };
  const TrainedRun rolled = run();
  ASSERT_EQ(rolled.warnings.size(), 3U);
  EXPECT_TRUE(contains(rolled.warnings.back(), "back to the weights of step 10"));
}

TEST_F(Divergence, AFlippedBitInAVerifiedStepIsFound) {
  options.verify_every = 5;
  for (const int bit : {0, 13, 30}) {
    SCOPED_TRACE(bit);
    std::filesystem::remove_all(options.run_dir);
    backend = std::make_shared<FaultyBackend>();
    // Steps 5, 10, 15 and 20 count twice: this is the first of the two times of step 25.
    backend->at = 29;
    backend->after = [=](const ApplyGradients& args) {
      float& value = args.parameters[2].parameter.as<float>()[7];
      value = std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) ^ (1U << bit));
    };
    const std::string error = error_of<std::runtime_error>([&] { run(); });
    EXPECT_TRUE(contains(
        error, "step 25 computed twice gave different bits in " + parameter_names(config)[2]));
  }
}

TEST_F(Divergence, VerifyingChangesNothing) {
  train_small(corpus, config, options);
  const std::string bits = final_bits(options.run_dir);
  const TempFolder verified;
  options.run_dir = verified.path() / "run";
  options.verify_every = 1;
  train_small(corpus, config, options);
  EXPECT_TRUE(final_bits(options.run_dir) == bits);
}

}  // namespace
}  // namespace unroll::test
