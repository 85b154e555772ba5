/// What a run is resumed from: numbers that contradict each other are refused by name, and what
/// older versions wrote is read.
#include "host/train/training_state.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>
#include <map>

#include "host/train/checkpoint_writer.h"
#include "tests/support/training.h"
#include "unroll/optimizer.h"

namespace unroll::test {
namespace {

Progress some_progress() {
  Progress p;
  p.step = 47;
  p.epoch = 3;
  p.position = 77;  // of 20 batches of 11, the seventh is next
  p.best = {.loss_sum = 200, .count = 100, .hits = 30};
  p.last = {.loss_sum = 210, .count = 100, .hits = 20};
  p.best_step = 20;
  p.best_epoch = 1;
  p.evaluated_step = 40;
  p.without_gain = 1;
  p.scheduled_save = 45;
  p.skipped = 2;
  p.jumps = 1;
  p.interval_start = 40;
  p.metrics_bytes = 1234;
  p.seconds = 5.5;
  return p;
}

std::string progress_error(const nlohmann::json& json) {
  return error_of<std::runtime_error>([&] { progress_from(JsonObject(json, "progress")); });
}

TEST(Progress, ComesBackAsItWas) {
  const nlohmann::json json = to_json(some_progress());
  EXPECT_EQ(to_json(progress_from(JsonObject(json, "progress"))), json);
  const nlohmann::json first = to_json(Progress{});
  EXPECT_EQ(to_json(progress_from(JsonObject(first, "progress"))), first);
}

TEST(Progress, OfAnOlderVersionHasLogProbabilitiesOfTokens) {
  nlohmann::json json = to_json(some_progress());
  for (const std::string name : {"best", "last"}) {
    json[name + "_log_prob"] = -double(json[name + "_loss_sum"]);
    json[name + "_tokens"] = json[name + "_count"];
    json.erase(name + "_loss_sum");
    json.erase(name + "_count");
  }
  EXPECT_EQ(to_json(progress_from(JsonObject(json, "progress"))), to_json(some_progress()));
  json["best_tokens"] = -1;
  EXPECT_TRUE(contains(progress_error(json), "best_tokens: got -1"));
}

TEST(Progress, OfAnOlderVersionCountsNoJumps) {
  nlohmann::json json = to_json(some_progress());
  json.erase("jumps");
  EXPECT_EQ(progress_from(JsonObject(json, "progress")).jumps, 0);
}

TEST(Progress, RefusesNumbersThatContradictEachOther) {
  for (const auto& [name, value] : std::map<std::string, nlohmann::json>{
           {"best_step", 48},
           {"evaluated_step", 48},
           {"without_gain", 48},
           {"scheduled_save", 48},
           {"skipped", 48},
           {"jumps", 48},
           {"interval_start", 48},
           {"best_epoch", 4},
           {"best_hits", 101},
           {"last_hits", 101},
           {"best_count", 0},
           {"last_count", 0},
           {"rate_scale", 1.5},
           {"rate_divisor", 0.5},
           {"seconds", 1e300},
           {"best_loss_sum", std::numeric_limits<double>::infinity()},
           {"last_loss_sum", std::numeric_limits<double>::infinity()}}) {
    nlohmann::json json = to_json(some_progress());
    json[name] = value;
    const std::string error = progress_error(json);
    EXPECT_TRUE(contains(error, "progress: ")) << name;
    EXPECT_TRUE(contains(error, "expected") || contains(error, "is not finite")) << name;
  }
  nlohmann::json unmeasured = to_json(some_progress());
  unmeasured["evaluated_step"] = -1;
  EXPECT_TRUE(contains(progress_error(unmeasured), "evaluated_step -1"));
}

// For every value of one number, sums and differences with it do not overflow, which
// UndefinedBehaviorSanitizer checks.
TEST(Progress, BoundsEveryNumber) {
  const nlohmann::json sound = to_json(some_progress());
  for (const auto& [name, value] : sound.items()) {
    if (!value.is_number_integer()) continue;
    nlohmann::json json = sound;
    for (const std::int64_t extreme :
         {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
      json[name] = extreme;
      EXPECT_TRUE(contains(progress_error(json), name)) << extreme;
    }
  }
}

TEST(Progress, StepEpochAndPositionBelongTogether) {
  const EpochShape epoch{.length = 213, .stride = 11};  // 20 batches, the last of 4 timesteps
  const auto error = [&](std::int64_t step, std::int64_t epoch_number, std::int64_t position) {
    Progress p;
    p.step = step;
    p.epoch = epoch_number;
    p.position = position;
    return error_of<std::runtime_error>([&] { check_place(p, epoch, "run"); });
  };
  EXPECT_EQ(error(0, 1, 0), "no exception");
  EXPECT_EQ(error(47, 3, 77), "no exception");
  EXPECT_EQ(error(60, 3, 213), "no exception");
  EXPECT_EQ(error(60, 4, 0), "no exception");
  const std::int64_t most = std::int64_t(1) << 53;
  for (const auto& [step, number, position] : {std::array<std::int64_t, 3>{46, 3, 77},
                                               {47, 2, 77},
                                               {47, 3, 78},
                                               {60, 3, 220},
                                               {60, 3, most},
                                               {47, most, 77},
                                               {most, 3, 77},
                                               {0, 1, 77}})
    EXPECT_TRUE(contains(error(step, number, position),
                         "expected epochs of 20 batches of 11 positions, 213 in all"));
}

// ---- checkpoints whose hashes are right

/// Saves a run's last checkpoint again, with what `change` makes of it.
struct Changed {
  std::map<std::string, std::vector<std::byte>> state;  // by tensor, flat
  std::map<std::string, std::vector<std::int64_t>> shapes;
  nlohmann::json progress;
};

void change_checkpoint(const std::filesystem::path& run, const std::function<void(Changed&)>& how) {
  const Checkpoint old = load_checkpoint(run, {.latest = true, .state = true});
  Changed changed;
  for (const TensorData& tensor : old.state->tensors()) {
    changed.state[tensor.name] = tensor.bytes.all();
    changed.shapes[tensor.name] = tensor.shape;
  }
  changed.progress = nlohmann::json::parse(old.files.at("progress.json"));
  how(changed);
  CheckpointContent content;
  content.config = old.config;
  content.vocabulary = old.vocabulary;
  for (const TensorData& tensor : old.model.tensors()) content.tensors.push_back(tensor);
  for (TensorData tensor : old.state->tensors()) {
    tensor.bytes = TensorBytes(changed.state.at(tensor.name));
    tensor.shape = changed.shapes.at(tensor.name);
    content.state.push_back(tensor);
  }
  content.files["progress.json"] = changed.progress.dump();
  save_checkpoint(run, old.step, content, {});
}

void set_number(Changed& changed, const char* tensor, std::size_t index, const void* value) {
  std::vector<std::byte>& bytes = changed.state.at(tensor);
  const std::size_t size = bytes.size() / std::size_t(changed.shapes.at(tensor).at(0));
  std::memcpy(bytes.data() + index * size, value, size);
}

struct Resuming : ::testing::Test {
  Resuming() : options(small_options(folder.path() / "run")) {
    options.save_interval = 10;
    options.epochs = 2;
  }
  void begin() { train_small(corpus, config, options, {.stop_after = 25}); }
  TrainedRun resume() { return train_small(corpus, config, options, {.resume = true}); }
  std::string resume_error(const std::function<void(Changed&)>& how) {
    std::filesystem::remove_all(options.run_dir);
    begin();
    change_checkpoint(options.run_dir, how);
    return error_of<std::runtime_error>([&] { resume(); });
  }

  LanguageCorpus corpus = small_corpus();
  LanguageModelConfig config = small_model(corpus);
  TempFolder folder;
  SmallOptions options;
};

// Four counters, seven statistics, no count of jumps.
TEST_F(Resuming, GoesOnFromACheckpointOfAnOlderVersion) {
  begin();
  change_checkpoint(options.run_dir, [](Changed& changed) {
    for (const auto& [name, count, size] :
         {std::tuple{Optimizer::kCounters, 4, 8}, {Optimizer::kStatistics, 7, 4}}) {
      changed.state.at(name).resize(std::size_t(count) * std::size_t(size));
      changed.shapes.at(name) = {count};
    }
    changed.progress.erase("jumps");
  });
  EXPECT_TRUE(resume().warnings.empty());
  const std::string bits = final_bits(options.run_dir);
  const TempFolder uncut;
  options.run_dir = uncut.path() / "run";
  train_small(corpus, config, options);
  EXPECT_TRUE(final_bits(options.run_dir) == bits);
}

TEST_F(Resuming, RefusesCountersThatAreNotTheirs) {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const std::int64_t least = std::numeric_limits<std::int64_t>::min();
  constexpr const char* kNames[] = {"updates", "skipped", "refused", "culprit", "jumps"};
  for (std::size_t index = 0; index < std::size(kNames); ++index)
    for (const std::int64_t value : {most, least, std::int64_t(26), std::int64_t(-2)}) {
      SCOPED_TRACE(std::string(kNames[index]) + " " + std::to_string(value));
      const std::string error = resume_error(
          [&](Changed& changed) { set_number(changed, Optimizer::kCounters, index, &value); });
      EXPECT_TRUE(contains(error, "state.safetensors: "));
      EXPECT_TRUE(contains(error, kNames[index]));
    }
  const auto spoilt = [&](std::size_t index, float value) {
    return resume_error(
        [&](Changed& changed) { set_number(changed, Optimizer::kStatistics, index, &value); });
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(contains(spoilt(1, nan), "sum nan"));
  EXPECT_TRUE(contains(spoilt(2, nan), "mean nan"));
  EXPECT_TRUE(contains(spoilt(3, -1), "variance -1"));
}

TEST_F(Resuming, RefusesAProgressThatIsNotItsOwn) {
  const auto with = [&](const char* name, std::int64_t value) {
    return resume_error([&](Changed& changed) { changed.progress[name] = value; });
  };
  EXPECT_TRUE(contains(with("position", 286), "which contradict each other"));
  EXPECT_TRUE(contains(with("epoch", 2), "which contradict each other"));
  EXPECT_TRUE(contains(with("step", 24), "step: got 24, expected 25 as in manifest.json"));
  EXPECT_TRUE(contains(with("skipped", 1), "skipped of progress.json"));
  EXPECT_TRUE(contains(with("jumps", 1), "jumps of progress.json"));
}

}  // namespace
}  // namespace unroll::test
