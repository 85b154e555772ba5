/// The published recipes, against the numbers in the papers and programs that docs/training.md
/// names; the defaults for each kind and size of text.
#include "host/cli/train_settings.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "host/cli/train_setting_flags.h"
#include "host/cli/values.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

/// `data`: a name that is no text counts as one of the usual size.
cli::TrainSettings settings_of(std::string arguments, const std::string& data = "none") {
  CLI::App app;
  cli::TrainSettingFlags flags;
  flags.add_to(app);
  app.parse(std::move(arguments));
  return flags.settings(data);
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

TEST(Recipes, TheUsualOneIsTheDefaults) {
  EXPECT_EQ(to_json(settings_of("--recipe auto")), to_json(settings_of("")));
  EXPECT_EQ(settings_of("").recipe, "auto");
}

TEST(TrainingDefaults, AreOfWordLanguageModelsSizeForWords) {
  for (const char* tokenizer : {"word", "bpe:500"}) {
    const cli::TrainSettings settings = settings_of(std::string("--tokenizer ") + tokenizer);
    settings.check();
    EXPECT_EQ(settings.tokenizer, tokenizer);
    EXPECT_EQ(settings.optimizer, "sgd");
    EXPECT_EQ(settings.lr, 20);
    EXPECT_EQ(settings.reduction, "mean");
    EXPECT_EQ(settings.clip, 0.25);
    EXPECT_EQ(settings.lr_schedule, "cosine");
    EXPECT_EQ(settings.nhid, std::vector<std::int64_t>{200});
    EXPECT_EQ(settings.nlayers, 2);
    EXPECT_EQ(settings.emsize, 200);
    EXPECT_FALSE(settings.tied);
    EXPECT_EQ(settings.batch_size, 20);
    EXPECT_EQ(settings.zero_state, 0.01);
  }
}

TEST(TrainingDefaults, AreAdamsWhereFewWordsAreRead) {
  for (const char* arguments : {"--epochs 1", "--epochs 2"}) {
    const cli::TrainSettings settings = settings_of(arguments);
    EXPECT_EQ(settings.optimizer, "adam");
    EXPECT_EQ(settings.lr, 0.004);
    EXPECT_EQ(settings.lr_schedule, "cosine");
    EXPECT_EQ(settings.nhid, settings_of("").nhid);
  }
  EXPECT_EQ(settings_of("--epochs 3").optimizer, "sgd");
  EXPECT_EQ(settings_of("--epochs 1 --optimizer sgd").lr, 20);
  EXPECT_EQ(settings_of("--epochs 6 --optimizer adam").lr, 0.002);
}

TEST(TrainingDefaults, AreAdamsForCharactersAndBytes) {
  for (const char* tokenizer : {"char", "byte"}) {
    const cli::TrainSettings settings = settings_of(std::string("--tokenizer ") + tokenizer);
    settings.check();
    EXPECT_EQ(settings.tokenizer, tokenizer);
    EXPECT_EQ(settings.split, "fraction") << "what is test text does not depend on the tokens";
    EXPECT_EQ(settings.optimizer, "adam");
    EXPECT_EQ(settings.lr_schedule, "cosine");
    EXPECT_EQ(settings.zero_state, 0.01);
  }
}

TEST(TrainingDefaults, OfTheBuiltInGrammarAreAdamsForOneEpoch) {
  for (const char* tokenizer : {"word", "char"}) {
    const cli::TrainSettings settings =
        settings_of(std::string("--tokenizer ") + tokenizer, /*data=*/"");
    settings.check();
    EXPECT_EQ(settings.optimizer, "adam");
    EXPECT_EQ(settings.lr_schedule, "cosine");
    EXPECT_EQ(settings.epochs, 1);
  }
}

TEST(TrainingDefaults, ReadALargeTextLessOften) {
  const TempFolder folder;
  const std::string text = folder.write("text.txt", "").string();
  const auto epochs = [&](std::uintmax_t bytes, const std::string& flags) {
    std::filesystem::resize_file(text, bytes);
    return settings_of(flags, text).epochs;
  };
  EXPECT_EQ(epochs(5'101'618, ""), 12);  // Penn Treebank
  EXPECT_EQ(epochs(5'101'618, ""), settings_of("").epochs);
  EXPECT_EQ(epochs(1'000'000'000, ""), 1);
  EXPECT_EQ(epochs(1'000, ""), 40);
  EXPECT_EQ(epochs(1'000'000'000, "--epochs 7"), 7);
  EXPECT_EQ(epochs(1'115'394, "--tokenizer char"), 18);  // tinyshakespeare
  EXPECT_EQ(epochs(1'000, "--tokenizer char"), 50);
  EXPECT_EQ(epochs(1'000'000'000, "--tokenizer byte"), 1);
  // The training text of a folder is what counts.
  const TempFolder three;
  for (const char* name : {"train.txt", "valid.txt", "test.txt"}) three.write(name, "a b\n");
  std::filesystem::resize_file(three.path() / "train.txt", 20'000'000);
  EXPECT_EQ(settings_of("", three.path().string()).epochs, 3);
}

TEST(TrainingDefaults, DropMoreOfATextThatIsReadMoreOften) {
  double last = -1;
  for (const char* epochs : {"1", "3", "6", "12", "40"}) {
    const double rate = settings_of(std::string("--epochs ") + epochs).dropout;
    EXPECT_GE(rate, last);
    last = rate;
  }
  EXPECT_GT(last, settings_of("--epochs 1").dropout);
  EXPECT_EQ(settings_of("--epochs 1 --dropout 0.4").dropout, 0.4);
}

TEST(TrainingDefaults, EndWithARateOfZero) {
  for (const char* arguments : {"--epochs 1", "--epochs 6", "--tokenizer char", "--epochs 40"}) {
    const cli::TrainSettings settings = settings_of(arguments);
    ScheduleOptions options = settings.training_options().schedule;
    options.steps = settings.epochs * 100;  // as the trainer does
    const Schedule schedule(options);
    EXPECT_EQ(schedule.learning_rate(1, 0), settings.lr);
    EXPECT_NEAR(schedule.learning_rate(settings.epochs, options.steps - 1), 0, *settings.lr * 3e-4);
    EXPECT_NEAR(schedule.learning_rate(1, options.steps), 0, 1e-12);
  }
}

// A rate that suits a mean over tokens is --bptt times too high for a sum over time.
TEST(TrainingDefaults, DivideTheRateOfAGradientThatIsSummedOverTime) {
  EXPECT_EQ(settings_of("--recipe char-rnn --optimizer sgd").lr, 20. / 50);
  EXPECT_EQ(settings_of("--optimizer momentum --reduction time --bptt 10").lr, 2. / 10);
  EXPECT_EQ(settings_of("--recipe char-rnn --optimizer adam").lr, 0.002);
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
                           "--forget-bias", "--lr-schedule decay --lr-decay"})
    for (const char* number : {"1e39", "1e300"}) {
      SCOPED_TRACE(std::string(flag) + " " + number);
      EXPECT_THROW(settings_of(std::string(flag) + " " + number).check(), cli::UsageError);
    }
  for (const char* flag :
       {"--lr", "--clip", "--clip-value", "--weight-decay", "--init-range", "--forget-bias",
        "--optimizer momentum --momentum", "--optimizer rmsprop --rms-decay", "--dropout"}) {
    SCOPED_TRACE(flag);
    EXPECT_THROW(settings_of(std::string(flag) + " 1e-50").check(), cli::UsageError);
    EXPECT_THROW(settings_of(std::string(flag) + " 1e-40").check(), cli::UsageError);  // subnormal
    EXPECT_NO_THROW(settings_of(std::string(flag) + " 1.2e-38").check());
  }
  EXPECT_THROW(settings_of("--forget-bias=-1e39").check(), cli::UsageError);
  EXPECT_NO_THROW(settings_of("--clip 0 --dropout 0 --forget-bias=-3e38 --lr 3e38").check());
  for (const char* flag :
       {"--optimizer momentum --momentum", "--optimizer rmsprop --rms-decay", "--dropout"}) {
    SCOPED_TRACE(flag);
    EXPECT_THROW(settings_of(std::string(flag) + " 0.999999999").check(), cli::UsageError);
    EXPECT_NO_THROW(settings_of(std::string(flag) + " 0.9999999").check());
  }
}

/// A flag that changes nothing would make its user believe that it did.
TEST(TrainSettings, AFlagThatNothingUsesIsRefused) {
  const auto refusal = [](const std::string& flags) -> std::string {
    try {
      settings_of(flags);
    } catch (const cli::UsageError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(
      refusal("--lr-decay 2"),
      "--lr-decay: got --lr-schedule cosine, expected decay or plateau: nothing else uses it");
  for (const char* flags :
       {"--optimizer adam --momentum 0.5", "--optimizer adam --rms-decay 0.5",
        "--lr-schedule plateau --lr-decay-after 2", "--lr-schedule constant --warmup 5",
        "--model lstm --gru-reset before", "--model gru --forget-bias 2"})
    EXPECT_NE(refusal(flags), "") << flags;
  for (const char* flags :
       {"--optimizer momentum --momentum 0.5", "--recipe char-rnn --rms-decay 0.5",
        "--recipe zaremba-small --lr-decay 3 --lr-decay-after 2", "--warmup 5",
        "--model gru --gru-reset before", "--forget-bias 2"})
    EXPECT_EQ(refusal(flags), "") << flags;
}

}  // namespace
}  // namespace unroll::test
