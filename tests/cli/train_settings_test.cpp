/// The published recipes, against the numbers in the papers and programs that docs/training.md
/// names.
#include "host/cli/train_settings.h"

#include <gtest/gtest.h>

#include <string>

namespace unroll::test {
namespace {

cli::TrainSettings settings_of(std::string arguments) {
  CLI::App app;
  cli::TrainSettingFlags flags;
  flags.add_to(app);
  app.parse(std::move(arguments));
  return flags.settings();
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
    const LanguageModelConfig model = settings.model_config();
    EXPECT_EQ(model.cell, CellKind::kLstm);
    EXPECT_EQ(model.embedding, p.units);
    EXPECT_EQ(model.hidden, std::vector<std::int64_t>(2, p.units));
    EXPECT_EQ(model.dropout, p.dropout);
    EXPECT_FALSE(model.tied);
    const TrainingOptions training = settings.training_options();
    EXPECT_EQ(training.batch, 20);
    EXPECT_EQ(training.bptt, p.bptt);
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

}  // namespace
}  // namespace unroll::test
