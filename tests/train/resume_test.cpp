/// A run that was cut and resumed ends with the bits, and has written the lines, of one that was
/// not.
#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <stdexcept>

#include "tests/support/lstm_variants.h"
#include "tests/support/training.h"

namespace unroll::test {
namespace {

constexpr std::int64_t kUpdates = 64;

struct ResumeCase {
  CellKind cell;
  OptimizerKind optimizer;
  LstmVariant variant = {""};
};

std::string name_of(const ::testing::TestParamInfo<ResumeCase>& info) {
  const std::string variant = info.param.variant.name;
  return to_string(info.param.cell) + (variant.empty() ? "" : "_" + variant) +
         (info.param.optimizer == OptimizerKind::kAdam ? "_adam" : "_sgd");
}

class Resume : public ::testing::TestWithParam<ResumeCase> {
 protected:
  /// 64 updates in four epochs, with validations within and between them, a rate that falls at
  /// plateaus, checkpoints within epochs, dropout, streams that begin anew, and lines of the log
  /// that span checkpoints.
  Resume() : corpus_(small_corpus(40, 4)), config_(small_model(corpus_, GetParam().cell)) {
    config_.embedding = 8;
    config_.hidden = {8, 8};
    config_.tied = GetParam().cell == CellKind::kLstm;
    if (config_.tied) config_ = with_variant(config_, GetParam().variant);
  }

  SmallOptions options(const TempFolder& folder) const {
    SmallOptions options = small_options(folder.path() / "run");
    options.batch = 3;
    options.bptt = 1;
    const std::int64_t steps = corpus_.training_stream(3, 1).length();
    options.bptt = (steps + 15) / 16;
    options.epochs = 4;
    options.optimizer = {.kind = GetParam().optimizer, .clip_norm = 0.25F};
    options.schedule = {.kind = ScheduleKind::kPlateau,
                        .learning_rate = GetParam().optimizer == OptimizerKind::kAdam ? 0.05 : 20.0,
                        .factor = 2};
    options.zero_state = 0.2;
    options.eval_interval = 10;
    options.save_interval = 7;
    options.log_interval = 6;
    return options;
  }

  LanguageCorpus corpus_;
  LanguageModelConfig config_;
};

/// Every cut takes a minute; each of the ordinary short runs takes another eighth of them.
std::vector<std::int64_t> cuts() {
  std::vector<std::int64_t> cuts;
  const bool all = std::getenv("UNROLL_EVERY_CUT") != nullptr;
  for (std::int64_t cut = 1; cut <= kUpdates; cut += all ? 1 : 7) cuts.push_back(cut);
  return cuts;
}

TEST_P(Resume, CutAfterAnyUpdateItEndsWithTheSameBits) {
  const TempFolder uncut_folder;
  const SmallOptions uncut_options = options(uncut_folder);
  const TrainedRun uncut = train_small(corpus_, config_, uncut_options);
  ASSERT_EQ(uncut.result.steps, kUpdates);
  const std::string bits = final_bits(uncut_options.run_dir);

  for (const std::int64_t cut : cuts()) {
    SCOPED_TRACE(cut);
    const TempFolder folder;
    const SmallOptions cut_options = options(folder);
    TrainedRun first = train_small(corpus_, config_, cut_options, {.stop_after = cut});
    EXPECT_TRUE(first.result.interrupted);
    EXPECT_EQ(first.result.steps, cut);
    const TrainedRun second = train_small(corpus_, config_, cut_options, {.resume = true});
    EXPECT_FALSE(second.result.interrupted);
    EXPECT_TRUE(final_bits(cut_options.run_dir) == bits);
    EXPECT_EQ(second.result.test.loss_sum, uncut.result.test.loss_sum);

    std::vector<std::string> lines = first.log;
    lines.insert(lines.end(), second.log.begin(), second.log.end());
    ASSERT_EQ(lines.size(), uncut.log.size());
    for (std::size_t k = 0; k < lines.size(); ++k)
      EXPECT_EQ(without_times(lines[k]), without_times(uncut.log[k]));
  }
}

// The last validation is interrupted, and it is the one that ends the patience.
TEST_P(Resume, CutBeforePatienceEnds) {
  const TempFolder uncut_folder, folder;
  const auto impatient = [&](const TempFolder& where) {
    SmallOptions options = this->options(where);
    options.patience = 1;
    options.eval_interval = 3;
    options.save_interval = 0;
    options.epochs = 50;
    return options;
  };
  const TrainedRun uncut = train_small(corpus_, config_, impatient(uncut_folder));
  ASSERT_TRUE(uncut.result.stopped_early);
  const TrainedRun first =
      train_small(corpus_, config_, impatient(folder), {.stop_after = uncut.result.steps});
  EXPECT_TRUE(first.result.interrupted);
  const TrainedRun second = train_small(corpus_, config_, impatient(folder), {.resume = true});
  EXPECT_TRUE(second.result.stopped_early);
  EXPECT_TRUE(final_bits(impatient(folder).run_dir) == final_bits(impatient(uncut_folder).run_dir));
}

TEST_P(Resume, CutAgainAndAgain) {
  const TempFolder uncut_folder, folder;
  train_small(corpus_, config_, options(uncut_folder));
  const SmallOptions cut_options = options(folder);
  TrainedRun part = train_small(corpus_, config_, cut_options, {.stop_after = 1});
  int parts = 1;
  for (; part.result.interrupted && parts < 100; ++parts)
    part =
        train_small(corpus_, config_, cut_options, {.stop_after = 1 + parts % 3, .resume = true});
  EXPECT_GT(parts, 20);
  EXPECT_FALSE(part.result.interrupted);
  EXPECT_TRUE(final_bits(cut_options.run_dir) == final_bits(options(uncut_folder).run_dir));
}

// From the change on, the run is as exact as any other, wherever it is killed then.
TEST_P(Resume, WithOtherSettingsItEndsWithTheSameBits) {
  const auto changed = [&](const TempFolder& folder) {
    SmallOptions options = this->options(folder);
    options.schedule.kind = ScheduleKind::kCosine;
    options.schedule.learning_rate /= 3;
    options.optimizer.clip_norm = 0.125F;
    options.epochs = 5;
    return options;
  };
  const nlohmann::ordered_json changes = {{"lr", {{"from", 3}, {"to", 1}}}};
  const TempFolder whole;
  train_small(corpus_, config_, options(whole), {.stop_after = 37});
  train_small(corpus_, config_, changed(whole), {.resume = true, .changes = changes});
  const std::string bits = final_bits(changed(whole).run_dir);
  ASSERT_EQ(metrics_of(changed(whole).run_dir, "settings").size(), 1U);
  EXPECT_EQ(metrics_of(changed(whole).run_dir, "settings")[0]["step"], 37);

  for (const std::int64_t cut : {1, 2, 9, 20}) {
    SCOPED_TRACE(cut);
    const TempFolder folder;
    train_small(corpus_, config_, options(folder), {.stop_after = 37});
    const auto dies = [&](std::int64_t step) {
      if (step == cut) throw std::runtime_error("killed");
    };
    EXPECT_THROW(train_small(corpus_, config_, changed(folder),
                             {.resume = true, .after_step = dies, .changes = changes}),
                 std::runtime_error);
    train_small(corpus_, config_, changed(folder), {.resume = true});
    EXPECT_TRUE(final_bits(changed(folder).run_dir) == bits);
    EXPECT_EQ(metrics_of(changed(folder).run_dir, "settings").size(), 1U);
  }
}

// What a plateau has divided the rate by does not apply to a rate that was asked for by hand.
TEST_P(Resume, ANewRateIsTakenAsItIs) {
  const TempFolder folder;
  const auto go_on = [&](double rate, std::int64_t epochs, const nlohmann::ordered_json& changes) {
    SmallOptions options = this->options(folder);
    options.schedule.learning_rate = rate;
    options.epochs = epochs;
    options.log_interval = 1;
    train_small(corpus_, config_, options,
                {.resume = std::filesystem::exists(options.run_dir), .changes = changes});
    return double(metrics_of(options.run_dir, "train").back()["lr"]);
  };
  const double useless = 1e-30;
  EXPECT_LT(go_on(useless, 4, {}), useless / 2) << "no epoch is better than the first";
  EXPECT_LT(go_on(useless, 5, {}), useless / 4);
  EXPECT_EQ(go_on(0.5, 6, {{"lr", {{"from", useless}, {"to", 0.5}}}}), 0.5);
}

INSTANTIATE_TEST_SUITE_P(Cells, Resume,
                         ::testing::Values(ResumeCase{CellKind::kLstm, OptimizerKind::kSgd},
                                           ResumeCase{CellKind::kLstm, OptimizerKind::kAdam},
                                           ResumeCase{CellKind::kGru, OptimizerKind::kSgd},
                                           ResumeCase{CellKind::kGru, OptimizerKind::kAdam},
                                           ResumeCase{CellKind::kRnnTanh, OptimizerKind::kSgd},
                                           ResumeCase{CellKind::kRnnTanh, OptimizerKind::kAdam}),
                         name_of);

std::vector<ResumeCase> variants() {
  std::vector<ResumeCase> cases;
  for (const LstmVariant& variant : kLstmVariants)
    cases.push_back({CellKind::kLstm, OptimizerKind::kAdam, variant});
  return cases;
}
INSTANTIATE_TEST_SUITE_P(LstmVariants, Resume, ::testing::ValuesIn(variants()), name_of);

}  // namespace
}  // namespace unroll::test
