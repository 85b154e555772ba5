#include "host/train/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "host/train/checkpoint.h"
#include "tests/support/recording_backend.h"
#include "tests/support/training.h"

namespace unroll::test {
namespace {

TEST(Trainer, LearnsEveryCellAndSavesWhatItMeasured) {
  const LanguageCorpus corpus = small_corpus();
  for (const CellKind cell : {CellKind::kLstm, CellKind::kGru, CellKind::kRnnTanh}) {
    SCOPED_TRACE(to_string(cell));
    const TempFolder folder;
    const LanguageModelConfig config = small_model(corpus, cell);
    const TrainedRun run = train_small(corpus, config, small_options(folder.path() / "run"));
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
  const auto bits = [&](const TempFolder& folder, int threads, std::uint64_t seed) {
    TrainingOptions options = small_options(folder.path() / "run");
    options.epochs = 1;
    options.seed = seed;
    train_small(corpus, config, options, {.backend = cpu(threads)});
    return final_bits(folder.path() / "run");
  };
  const std::string expected = bits(first, 1, 5);
  EXPECT_TRUE(expected == bits(second, 3, 5));
  EXPECT_FALSE(expected == bits(third, 1, 6));
}

// A run on another text than it began with would be one of neither.
TEST(Trainer, BytesThatAreOverwrittenEndTheRun) {
  const TempFolder folder;
  std::string text = Grammar::english().sample(11, 200);
  const std::filesystem::path file = folder.write("x.txt", text);
  const LanguageCorpus corpus = read_language_corpus(
      {.path = file, .tokenizer = TokenizerKind::kByte, .cache_dir = folder.path() / "cache"});
  TrainingOptions options = small_options(folder.path() / "run");
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

// No look comes between the last steps and the save that an interruption asks for.
TEST(Trainer, AnInterruptionSavesNothingOfBytesThatWereOverwritten) {
  for (const bool changed : {true, false}) {
    SCOPED_TRACE(changed);
    const TempFolder folder;
    std::string text = Grammar::english().sample(11, 200);
    const std::filesystem::path file = folder.write("x.txt", text);
    const LanguageCorpus corpus = read_language_corpus(
        {.path = file, .tokenizer = TokenizerKind::kByte, .cache_dir = folder.path() / "cache"});
    const TrainingOptions options = small_options(folder.path() / "run");
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
  TrainingOptions options = small_options(folder.path() / "run");
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
  const TrainingOptions options = small_options(folder.path() / "run");
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

std::vector<nlohmann::json> metrics_of(const std::filesystem::path& run_dir,
                                       const std::string& event) {
  std::istringstream lines(read_text(run_dir / "metrics.jsonl"));
  std::vector<nlohmann::json> found;
  for (std::string line; std::getline(lines, line);)
    if (auto json = nlohmann::json::parse(line); json.at("event") == event)
      found.push_back(std::move(json));
  return found;
}

TEST(Trainer, TheLossOfALineIsTheMeanOfItsSteps) {
  const LanguageCorpus corpus = small_corpus();
  for (const LossReduction reduction : {LossReduction::kMean, LossReduction::kTime}) {
    const auto losses = [&](std::int64_t interval) {
      const TempFolder folder;
      TrainingOptions options = small_options(folder.path() / "run");
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
  TrainingOptions options = small_options(folder.path() / "run");
  options.epochs = 1;
  const TrainedRun run = train_small(corpus, small_model(corpus), options);
  ASSERT_EQ(run.notes.size(), 2U);
  EXPECT_TRUE(contains(run.notes[0], "memory of a step: "));
  EXPECT_TRUE(contains(run.notes[1], "peak memory on the device: "));
  const auto config = nlohmann::json::parse(read_text(options.run_dir / "latest" / "config.json"));
  EXPECT_EQ(config.at("training").at("recurrent_algorithm"), "stepwise");
}

TEST(Trainer, RefusesABatchThatDoesNotFitAndSaysWhichWould) {
  const LanguageCorpus corpus = small_corpus();
  const auto error = [&](std::int64_t batch, std::size_t available) {
    const TempFolder folder;
    TrainingOptions options = small_options(folder.path() / "run");
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
  EXPECT_TRUE(contains(error(20, 1000), "not even --batch-size 1 fits"));
  constexpr std::size_t kAvailable = 400'000;
  const std::string refused = error(20, kAvailable);
  const std::string words = "the largest --batch-size that fits is about ";
  ASSERT_TRUE(contains(refused, words)) << refused;
  EXPECT_TRUE(contains(refused, "got 0.4 MB available on cpu"));
  EXPECT_EQ(refused.find('\n'), refused.npos);
  // About: what is said may be one off.
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
    TrainingOptions options = small_options(folder.path() / "run");
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
  TrainingOptions options = small_options(folder.path() / "run");
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
  EXPECT_EQ(again.result.test.log_prob, run.result.test.log_prob);
}

// A rate that has fallen at every plateau stays a number that a checkpoint can hold.
TEST(Trainer, GoesOnHoweverOftenTheRateHasFallen) {
  const LanguageCorpus corpus = small_corpus(4, 1);
  const TempFolder folder;
  TrainingOptions options = small_options(folder.path() / "run");
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
  TrainingOptions options = small_options(folder.path() / "run");
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

// ---- divergence, and hardware that is not to be trusted

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

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

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
  TrainingOptions options = small_options(folder.path() / "run");
  std::shared_ptr<FaultyBackend> backend = std::make_shared<FaultyBackend>();
};

TEST_F(Divergence, StopsBeforeTheWeightsAreTouchedAndSaysWhere) {
  const std::vector<std::string> names = parameter_names(config);
  for (std::size_t parameter = 0; parameter < names.size(); ++parameter)
    for (const float value : {kNan, std::numeric_limits<float>::infinity()}) {
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
  backend->before = [](const ApplyGradients& args) { *args.loss.as<float>() = kNan; };
  EXPECT_TRUE(
      contains(error_of<std::runtime_error>([&] { run(); }), "step 25: the loss is not finite"));
}

TEST_F(Divergence, AValidationThatIsNotFiniteEndsTheRun) {
  backend->at = corpus.training_stream(options.batch, options.bptt).batches();
  backend->after = [](const ApplyGradients& args) {
    for (const ParameterUpdate& update : args.parameters)
      for (std::int64_t k = 0; k < update.parameter.elements(); ++k)
        update.parameter.as<float>()[k] = kNan;
  };
  const std::string error = error_of<std::runtime_error>([&] { run(); });
  EXPECT_TRUE(contains(error, "training diverged in epoch 1: the validation text: got a loss of "));
  EXPECT_TRUE(contains(error, "nats per token from the model, expected one whose perplexity is"));
  EXPECT_TRUE(all_finite(options.run_dir / "latest"));
}

TEST_F(Divergence, ALossAboveTheCeilingIsRefusedEvenAfterANan) {
  options.on_divergence = OnDivergence::kSkip;
  options.epochs = 4;
  // A NaN early on, and then, once a hundred losses are known, weights that predict nonsense.
  poison(0, kNan);
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

// A loss far above the mean, but below the ceiling: the step is applied, and the look that finds it
// says so once, wherever the run was cut.
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
    TrainingOptions cut = options;
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
  EXPECT_TRUE(contains(with_loss(kNan, 0), "step 25: the loss is not finite"));
}

TEST_F(Divergence, SkippingLeavesTheBatchOutAndNothingElse) {
  options.on_divergence = OnDivergence::kSkip;
  poison(1, kNan);
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
  poison(1, kNan);
  const TrainedRun rolled = run();
  ASSERT_EQ(rolled.warnings.size(), 1U);
  EXPECT_TRUE(contains(rolled.warnings.front(), "back to the weights of step 20"));
  EXPECT_EQ(rolled.result.skipped, 6);  // up to the checkpoint of step 30, where it looked
  EXPECT_TRUE(
      contains(read_text(options.run_dir / "latest" / "progress.json"), "\"rate_scale\": 0.5"));
  EXPECT_EQ(metrics_of(options.run_dir, "diverged").at(0).at("step"), 25);
  // An interruption's checkpoint in between is not what it returns to, nor does an interruption
  // after the step was refused make it return any earlier.
  for (const std::int64_t cut_at : {23, 25, 27, 30}) {
    SCOPED_TRACE(cut_at);
    const TempFolder cut_folder;
    TrainingOptions cut = options;
    cut.run_dir = cut_folder.path() / "run";
    backend = std::make_shared<FaultyBackend>();
    backend->at = 25;
    poison(1, kNan);
    train_small(corpus, config, cut, {.backend = backend, .stop_after = cut_at});
    train_small(corpus, config, cut, {.backend = backend, .resume = true});
    EXPECT_TRUE(final_bits(cut.run_dir) == final_bits(options.run_dir));
  }
}

// Step 25 is refused, and with it those up to the next look, which is that of checkpoint 30.
TEST_F(Divergence, StepsBetweenTheRefusedOneAndTheLookAreLeftOutToo) {
  poison(1, kNan);
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { run(); }), "diverged at step 25"));
  const nlohmann::json event = metrics_of(options.run_dir, "diverged").at(0);
  EXPECT_EQ(event.at("step"), 25);
  EXPECT_EQ(event.at("refused"), 6);
  EXPECT_EQ(event.at("action"), "stop");
}

// What was left out under skip, and reported, does not halt a run that goes on under stop.
TEST_F(Divergence, ARunMayGoOnUnderStopAfterSkip) {
  options.on_divergence = OnDivergence::kSkip;
  poison(1, kNan);
  backend->at = 30;
  train_small(corpus, config, options, {.backend = backend, .stop_after = 30});
  options.on_divergence = OnDivergence::kStop;
  const TrainedRun resumed =
      train_small(corpus, config, options, {.backend = backend, .resume = true});
  EXPECT_FALSE(resumed.result.interrupted);
  EXPECT_EQ(resumed.result.skipped, 1);
}

/// Spoils a recurrent weight for one step alone, so that the state that it leaves is no number.
class SpoiledForOneStep : public RecordingBackend {
 public:
  SpoiledForOneStep() : RecordingBackend(cpu(1)) {}
  void apply_gradients(const ApplyGradients& args) override {
    float& weight = args.parameters[1].parameter.as<float>()[0];
    ++steps_;
    if (steps_ == 26) weight = sound_;
    RecordingBackend::apply_gradients(args);
    if (steps_ == 25) sound_ = std::exchange(weight, kNan);
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
  // Step 1 was the only good one; steps are looked at with the checkpoints, at every tenth.
  EXPECT_TRUE(contains(error, "step 2: "));
  EXPECT_TRUE(contains(error, "and so it was for 59 steps in a row"));
  EXPECT_TRUE(contains(error, "--lr"));
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
    args.parameters[1].gradient.as<float>()[0] = kNan;
  };
  const TrainedRun rolled = run();
  ASSERT_EQ(rolled.warnings.size(), 3U);
  EXPECT_TRUE(contains(rolled.warnings.back(), "back to the weights of step 10"));
}

// The folder is not made anew, nor is another one written to that has its name.
TEST(Trainer, EndsIfItsFolderIsMovedAway) {
  const LanguageCorpus corpus = small_corpus();
  const LanguageModelConfig config = small_model(corpus);
  for (const bool replaced : {false, true}) {
    const TempFolder folder, uncut;
    TrainingOptions options = small_options(folder.path() / "run");
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
    TrainingOptions other = options;
    other.run_dir = uncut.path() / "run";
    train_small(corpus, config, other);
    EXPECT_TRUE(final_bits(options.run_dir) == final_bits(other.run_dir));
  }
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
