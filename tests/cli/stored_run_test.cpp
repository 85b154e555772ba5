/// What config.json says about a run, and the rule of --device auto.
#include "host/cli/stored_run.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "host/cli/device_flags.h"
#include "host/train/model_file.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

cli::StoredRun some_run() {
  cli::StoredRun run{{}, "/texts/ptb", "whole:12", "cuda (a GPU) in bf16", "bf16", 3};
  run.settings.lr = 0.5;
  run.settings.nhid = {7};
  run.settings.rnn_algorithm = "auto";
  return run;
}

nlohmann::json config_of(const cli::StoredRun& run) {
  LanguageModelConfig model = run.settings.model_config();
  model.vocabulary = 10;
  return {
      {"model", model_to_json(model)}, {"corpus", run.corpus}, {"training", run.training_json()}};
}

cli::StoredRun read(const nlohmann::json& config) {
  return cli::StoredRun::from(JsonObject(config, "config.json"));
}

TEST(StoredRun, ComesBackAsItWas) {
  nlohmann::json config = config_of(some_run());
  config["training"]["recurrent_algorithm"] = "persistent";  // as the trainer adds it
  const cli::StoredRun run = read(config);
  EXPECT_EQ(run.training_json(), some_run().training_json());
  EXPECT_EQ(run.corpus, "/texts/ptb");
  EXPECT_EQ(run.text_fingerprint, "whole:12");
  EXPECT_EQ(run.settings.rnn_algorithm, "auto");
  EXPECT_EQ(run.algorithm, "persistent");
  EXPECT_EQ(run.precision, "bf16");
  EXPECT_EQ(run.threads, 3);
  EXPECT_FALSE(run.was_on_cpu());
}

TEST(StoredRun, OfAnOlderVersionHasNeitherPrecisionNorAlgorithm) {
  nlohmann::json config = config_of(some_run());
  config["training"].erase("precision");
  config["training"].erase("rnn_algorithm");
  const cli::StoredRun run = read(config);
  EXPECT_EQ(run.precision, "fp32");
  EXPECT_EQ(run.settings.rnn_algorithm, "auto");
  EXPECT_EQ(run.algorithm, "");
}

TEST(StoredRun, RefusesSettingsOfAnotherModel) {
  nlohmann::json config = config_of(some_run());
  config["training"]["nhid"] = {8};
  const auto error = [](const nlohmann::json& bad) {
    return error_of<std::runtime_error>([&] { read(bad); });
  };
  EXPECT_EQ(error(config), "config.json: training: got another model than that of model");
  config["training"]["nhid"] = {7};
  config["training"]["threads"] = "many";
  EXPECT_TRUE(contains(error(config), "config.json: training: threads: got"));
}

TEST(AutoDevice, IsTheFirstThatCanBeUsed) {
  const auto choose = [](const std::vector<std::string>& why_not) {
    return cli::choose_automatically(int(why_not.size()), "no driver",
                                     [&](int ordinal) { return why_not[std::size_t(ordinal)]; });
  };
  EXPECT_EQ(choose({"busy", "", ""}).gpu, 1);
  EXPECT_EQ(choose({"busy", "", ""}).why(), ", the first usable GPU");
  EXPECT_EQ(choose({"busy", "too old"}).gpu, std::nullopt);
  EXPECT_EQ(choose({"busy", "too old"}).why(), "; no GPU: too old");
  EXPECT_EQ(choose({}).why(), "; no GPU: no driver");
}

}  // namespace
}  // namespace unroll::test
