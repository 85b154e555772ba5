/// What config.json says about a run, and the rule of --device auto.
#include "host/cli/stored_run.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "host/cli/device_flags.h"
#include "host/models/language_model.h"
#include "host/train/trainer.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

cli::StoredRun some_run() {
  cli::StoredRun run{{}, "/texts/ptb", "whole:12", "cuda (a GPU) in bf16", "bf16", 3};
  run.settings.lr = 0.5;
  run.settings.nhid = {7};
  run.settings.rnn_algorithm = "auto";
  run.settings.choose_shards(1);  // as a run does when it begins
  return run;
}

nlohmann::json config_of(const cli::StoredRun& run) {
  LanguageModelConfig model = run.settings.language_model();
  model.vocabulary = 10;
  return {{"model", to_json(model)}, {"corpus", run.corpus}, {"training", run.training_json()}};
}

cli::StoredRun read(const nlohmann::json& config) {
  return cli::StoredRun::from(JsonObject(config, "config.json"));
}

TEST(StoredRun, ComesBackAsItWas) {
  nlohmann::json config = config_of(some_run());
  config["training"][kAlgorithmKey] = "persistent";  // as the trainer adds it
  const cli::StoredRun run = read(config);
  EXPECT_EQ(run.training_json(), some_run().training_json());
  EXPECT_EQ(run.corpus, "/texts/ptb");
  EXPECT_EQ(run.text_fingerprint, "whole:12");
  EXPECT_EQ(run.settings.rnn_algorithm, "auto");
  EXPECT_EQ(run.algorithm, PassAlgorithm{.persistent = true});
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
  EXPECT_EQ(run.algorithm, std::nullopt);
}

// A whole file of a version that called the algorithm in use "recurrent_algorithm".
TEST(StoredRun, OfAnOlderVersionStillLoads) {
  const auto old = nlohmann::json::parse(R"(
    {"corpus": "/texts/ptb", "metrics": {"epoch": 1, "step": 27, "valid_accuracy":
    0.09659090909090909, "valid_loss": 5.322032468111226, "valid_ppl": 204.79970814912286},
    "model": {"cell": "lstm", "dropout": 0.2, "embedding": 4, "hidden": [6, 6], "tied": false,
    "type": "language_model", "vocabulary": 310}, "tokenizer": {"type": "word"}, "training":
    {"batch_size": 4, "bptt": 5, "chunk_rows": 0, "clip": 0.25, "clip_value": 0.0, "device":
    "cuda (CUDA emulated on the CPU) in bf16", "dropout": 0.2, "emsize": 4, "epochs": 1,
    "eval_interval": 0, "forget_bias": null, "gru_reset": "after", "init_range": 0.0, "keep": 2,
    "log_interval": 200, "loss_ceiling": null, "lr": 20.0, "lr_decay": 4.0, "lr_decay_after": 0,
    "lr_schedule": "plateau", "min_count": 1, "model": "lstm", "momentum": 0.9, "nhid": [6],
    "nlayers": 2, "on_divergence": "stop", "optimizer": "sgd", "overfit_one_batch": false,
    "patience": 0, "precision": "bf16", "recipe": "", "recurrent_algorithm":
    "persistent+stepwise:8", "reduction": "mean", "rms_decay": 0.99, "rnn_algorithm": "auto",
    "save_every": 2000, "seed": 1111, "split": "fraction", "test_fraction": null,
    "text_fingerprint": "whole:12", "threads": 0, "tied": false, "tokenizer": "word",
    "valid_fraction": 0.05, "verify_every": 0, "vocab_size": 0, "warmup": 0, "weight_decay":
    0.0}, "unroll_version": "0.1.0"})");
  const cli::StoredRun run = read(old);
  EXPECT_EQ(run.settings.rnn_algorithm, "auto");
  EXPECT_EQ(run.algorithm, (StackAlgorithm{{.persistent = true}, {.block = 8}}));
  EXPECT_EQ(run.device, "cuda (CUDA emulated on the CPU) in bf16");
  // A part that goes on is written with the new key only, which would also win over the old one.
  EXPECT_FALSE(run.training_json().contains("recurrent_algorithm"));
  nlohmann::json both = old;
  both["training"][kAlgorithmKey] = "stepwise";
  EXPECT_EQ(read(both).algorithm, PassAlgorithm{});
}

TEST(StoredRun, RefusesAnAlgorithmThatIsNone) {
  for (const std::string key : {"rnn_algorithm_used", "recurrent_algorithm"}) {
    nlohmann::json config = config_of(some_run());
    config["training"][key] = "fast\n";
    const auto error = error_of<std::runtime_error>([&] { read(config); });
    EXPECT_TRUE(contains(error, "config.json: training: " + key + ": got 'fast")) << error;
    EXPECT_TRUE(contains(error, "', expected auto, stepwise, ")) << error;
    EXPECT_EQ(error.find('\n'), error.npos) << error;
  }
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

}  // namespace
}  // namespace unroll::test
