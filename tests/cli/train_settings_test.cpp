/// The published recipes, against the numbers in the papers and programs that docs/training.md
/// names.
#include "host/cli/train_settings.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "host/cli/train_setting_flags.h"
#include "host/cli/values.h"

namespace unroll::test {
namespace {

cli::TrainSettings settings_of(std::string arguments, bool built_in_text = false) {
  CLI::App app;
  cli::TrainSettingFlags flags;
  flags.add_to(app);
  app.parse(std::move(arguments));
  return flags.settings(built_in_text);
}

struct Published {
  const char* recipe;
  std::int64_t units, bptt, epochs, full_rate;
  double dropout, range, clip, divisor;
};

TEST(Recipes, AreZarembasPublishedSettings) {
  for (const Published& p : {Published{"zaremba-small", 200, 20, 13, 4, 0, 0.1, 5, 2},
                             {"zaremba-medium", 650, 35, 39, 6, 0.5, 0.05, 5, 1.2},
                             {"zaremba-large", 1500, 35, 55, 14, 0.65, 0.04, 10, 1.15}}) {
    SCOPED_TRACE(p.recipe);
    const cli::TrainSettings settings = settings_of(std::string("--recipe ") + p.recipe);
    settings.check();
    const LanguageModelConfig model = settings.language_model();
    EXPECT_EQ(model.cell, CellKind::kLstm);
    EXPECT_EQ(model.embedding, p.units);
    EXPECT_EQ(model.hidden, std::vector<std::int64_t>(2, p.units));
    EXPECT_EQ(model.dropout, p.dropout);
    EXPECT_FALSE(model.tied);
    const TrainingOptions training = settings.training_options();
    EXPECT_EQ(settings.batch_size, 20);
    EXPECT_EQ(settings.bptt, p.bptt);
    EXPECT_EQ(training.epochs, p.epochs);
    EXPECT_EQ(training.optimizer.kind, OptimizerKind::kSgd);
    EXPECT_EQ(training.optimizer.clip_norm, float(p.clip));
    EXPECT_EQ(training.reduction, LossReduction::kTime);
    EXPECT_EQ(training.initialization.range, p.range);
    EXPECT_FALSE(training.initialization.forget_bias);
    const Schedule schedule(training.schedule);
    EXPECT_EQ(schedule.learning_rate(1, 0), 1);
    EXPECT_EQ(schedule.learning_rate(p.full_rate, 0), 1);
    EXPECT_DOUBLE_EQ(schedule.learning_rate(p.full_rate + 1, 0), 1 / p.divisor);
    EXPECT_DOUBLE_EQ(schedule.learning_rate(p.full_rate + 2, 0), 1 / p.divisor / p.divisor);
  }
}

TEST(Recipes, GiveWayToFlags) {
  const cli::TrainSettings settings = settings_of("--recipe zaremba-large --nhid 300 --epochs 2");
  EXPECT_EQ(settings.nhid, std::vector<std::int64_t>{300});
  EXPECT_EQ(settings.epochs, 2);
  EXPECT_EQ(settings.dropout, 0.65);
}

TEST(TrainingDefaults, AreWordLanguageModelsForWords) {
  const cli::TrainSettings settings = settings_of("");
  EXPECT_EQ(settings.optimizer, "sgd");
  EXPECT_EQ(settings.lr, 20);
  EXPECT_EQ(settings.reduction, "mean");
  EXPECT_EQ(settings.clip, 0.25);
  EXPECT_EQ(settings.lr_schedule, "plateau");
  EXPECT_EQ(settings.lr_decay, 4);
  EXPECT_EQ(settings.nhid, std::vector<std::int64_t>{200});
  EXPECT_EQ(settings.batch_size, 20);
  EXPECT_EQ(settings.bptt, 35);
  EXPECT_EQ(settings.dropout, 0.2);
}

TEST(TrainingDefaults, AreCharRnnsForCharactersAndBytes) {
  const nlohmann::json recipe = to_json(settings_of("--recipe char-rnn"));
  for (const char* tokenizer : {"char", "byte"}) {
    nlohmann::json defaults = to_json(settings_of(std::string("--tokenizer ") + tokenizer));
    EXPECT_EQ(defaults["tokenizer"], tokenizer);
    EXPECT_EQ(defaults["split"], "fraction");
    for (const char* own : {"recipe", "tokenizer", "split"}) defaults[own] = recipe[own];
    EXPECT_EQ(defaults, recipe);
  }
}

TEST(TrainingDefaults, OfTheBuiltInGrammarAreAdams) {
  const cli::TrainSettings settings = settings_of("", /*built_in_text=*/true);
  EXPECT_EQ(settings.optimizer, "adam");
  EXPECT_EQ(settings.lr, 0.002);
}

// A rate that suits a mean over tokens is --bptt times too high for a sum over time.
TEST(TrainingDefaults, DivideTheRateOfAGradientThatIsSummedOverTime) {
  EXPECT_EQ(settings_of("--tokenizer char --optimizer sgd").lr, 20. / 50);
  EXPECT_EQ(settings_of("--optimizer momentum --reduction time --bptt 10").lr, 2. / 10);
  EXPECT_EQ(settings_of("--tokenizer char --optimizer adam").lr, 0.002);
  EXPECT_EQ(settings_of("--tokenizer char --optimizer sgd --lr 3").lr, 3);
}

// Such a run was begun with the rate of a mean, and goes on with it.
TEST(TrainingDefaults, OfARunThatDoesNotSayItsRateAreTheOldOnes) {
  nlohmann::json stored = to_json(settings_of("--optimizer sgd --reduction time"));
  stored["lr"] = nullptr;
  EXPECT_EQ(cli::settings_from(JsonObject(stored, "config.json")).lr, 20);
}

TEST(TrainSettings, TheLastListCounts) {
  using Units = std::vector<std::int64_t>;
  EXPECT_EQ(settings_of("--nhid 10 --nhid 12").nhid, Units{12});
  EXPECT_EQ(settings_of("--nhid 10,20,30 --nhid=40,50").nhid, (Units{40, 50}));
  EXPECT_EQ(settings_of("--nhid 10 20 --epochs 1 --nhid 30 40").nhid, (Units{30, 40}));
  EXPECT_EQ(settings_of("--nhid 10,20").nhid, (Units{10, 20}));
}

/// A setting is neither 0 nor infinity as float32, and a rate of dropout is not 1.
TEST(TrainSettings, NumbersAreFloat32s) {
  for (const char* flag : {"--lr", "--clip", "--clip-value", "--weight-decay", "--init-range",
                           "--forget-bias", "--lr-decay"})
    for (const char* number : {"1e39", "1e300"}) {
      SCOPED_TRACE(std::string(flag) + " " + number);
      EXPECT_THROW(settings_of(std::string(flag) + " " + number).check(), cli::UsageError);
    }
  for (const char* flag : {"--lr", "--clip", "--clip-value", "--weight-decay", "--init-range",
                           "--forget-bias", "--momentum", "--rms-decay", "--dropout"}) {
    SCOPED_TRACE(flag);
    EXPECT_THROW(settings_of(std::string(flag) + " 1e-50").check(), cli::UsageError);
    EXPECT_THROW(settings_of(std::string(flag) + " 1e-40").check(), cli::UsageError);  // subnormal
    EXPECT_NO_THROW(settings_of(std::string(flag) + " 1.2e-38").check());
  }
  EXPECT_THROW(settings_of("--forget-bias=-1e39").check(), cli::UsageError);
  EXPECT_NO_THROW(settings_of("--clip 0 --dropout 0 --forget-bias=-3e38 --lr 3e38").check());
  for (const char* flag : {"--momentum", "--rms-decay", "--dropout"}) {
    SCOPED_TRACE(flag);
    EXPECT_THROW(settings_of(std::string(flag) + " 0.999999999").check(), cli::UsageError);
    EXPECT_NO_THROW(settings_of(std::string(flag) + " 0.9999999").check());
  }
}

}  // namespace
}  // namespace unroll::test
