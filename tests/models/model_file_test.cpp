#include "host/models/model_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <span>

#include "host/base/hash.h"
#include "host/base/strict_json.h"
#include "host/models/stored_variables.h"
#include "host/train/checkpoint_writer.h"
#include "tests/support/language_task.h"
#include "tests/support/lstm_variants.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

Tokenizer tokenizer(TokenizerKind kind = TokenizerKind::kWord) {
  return Tokenizer::parse(kind,
                          kind == TokenizerKind::kWord   ? "<eos>\n<unk>\na\nb\n"
                          : kind == TokenizerKind::kChar ? "\\n\n<unk>\na\nb\n"
                                                         : "",
                          "test");
}

LanguageModelConfig model(CellKind cell = CellKind::kGru, bool tied = true) {
  LanguageModelConfig config;
  config.cell = cell;
  config.reset = GruReset::kBefore;
  config.vocabulary = 4;
  config.embedding = 3;
  config.hidden = {5, 3};
  config.tied = tied;
  return config;
}

std::shared_ptr<VariableStore> random_parameters(const LanguageModelConfig& config) {
  auto store = std::make_shared<VariableStore>(cpu(1), 9);
  for (VariableInfo info : parameters(config)) {
    info.initializer = uniform(-1, 1);
    store->require(info);
  }
  return store;
}

std::string model_error(const std::filesystem::path& path) {
  return error_of<std::runtime_error>([&] { load_model(path, cpu(1)); });
}

TEST(ModelFile, ComesBackAsItWas) {
  for (const bool tied : {false, true}) {
    const TempFolder folder;
    const LanguageModelConfig config = model(CellKind::kGru, tied);
    const auto store = random_parameters(config);
    SavedLanguageModel{config, tokenizer(), {"a text", {{"lr", 1.5}}, nullptr}}.save(folder.path(),
                                                                                     7, *store);
    const LoadedModel loaded = load_model(folder.path(), cpu(1));
    EXPECT_EQ(loaded.step, 7);
    EXPECT_EQ(loaded.description.corpus, "a text");
    EXPECT_EQ(loaded.description.training["lr"], 1.5);
    EXPECT_EQ(loaded_config(loaded).cell, config.cell);
    EXPECT_EQ(loaded_config(loaded).reset, config.reset);
    EXPECT_EQ(loaded_config(loaded).hidden, config.hidden);
    EXPECT_EQ(loaded_config(loaded).tied, tied);
    for (const VariableInfo& info : parameters(config))
      EXPECT_EQ(loaded.store->read<float>(info.name), store->read<float>(info.name)) << info.name;
  }
}

TEST(ModelFile, VariantsOfAnLstmComeBack) {
  for (const LstmVariant& variant : kLstmVariants)
    for (const bool tied : {false, true}) {
      SCOPED_TRACE(variant.name);
      const TempFolder folder;
      LanguageModelConfig config = model(CellKind::kLstm, tied);
      config.hidden = {5, 4};
      config = with_variant(config, variant);
      const auto store = random_parameters(config);
      SavedLanguageModel{config, tokenizer()}.save(folder.path(), 7, *store);
      const LoadedModel loaded = load_model(folder.path(), cpu(1));
      const LanguageModelConfig& back = loaded_config(loaded);
      EXPECT_EQ(back.input_gate, variant.input_gate);
      EXPECT_EQ(back.layer_norm, variant.layer_norm);
      EXPECT_EQ(back.projection, variant.projection);
      for (const VariableInfo& info : parameters(config))
        EXPECT_EQ(loaded.store->read<float>(info.name), store->read<float>(info.name)) << info.name;
    }
}

// Files of other models are as they were before there were variants.
TEST(ModelFile, SaysOnlyWhatAnLstmHas) {
  const nlohmann::json plain = to_json(model(CellKind::kLstm));
  EXPECT_EQ(plain.size(), 7U) << plain;
  LanguageModelConfig config = model(CellKind::kLstm);
  config.tied = false;
  config.hidden = {5, 4};
  config = with_variant(config, kLstmVariants[4]);
  nlohmann::json json = to_json(config);
  EXPECT_EQ(json["lstm_gates"], "coupled");
  EXPECT_EQ(json["layer_norm"], true);
  EXPECT_EQ(json["projection"], 3);
  for (const char* key : {"lstm_gates", "layer_norm", "projection"}) json.erase(key);
  EXPECT_EQ(json.size(), plain.size());
  const LanguageModelConfig old = language_model_from_json(JsonObject(json, "config.json"));
  EXPECT_EQ(old.input_gate, InputGate::kSeparate);
  EXPECT_FALSE(old.layer_norm);
  EXPECT_EQ(old.projection, 0);
}

TEST(ModelFile, KeepsTheTokenizer) {
  for (const TokenizerKind kind :
       {TokenizerKind::kWord, TokenizerKind::kChar, TokenizerKind::kByte}) {
    SCOPED_TRACE(to_string(kind));
    const TempFolder folder;
    LanguageModelConfig config = model();
    config.vocabulary = tokenizer(kind).size();
    SavedLanguageModel{config, tokenizer(kind)}.save(folder.path(), 1, *random_parameters(config));
    const LoadedModel loaded = load_model(folder.path(), cpu(1));
    EXPECT_EQ(task_of<LanguageModelTask>(loaded).tokenizer().kind(), kind);
    EXPECT_EQ(task_of<LanguageModelTask>(loaded).tokenizer().vocabulary_text(),
              tokenizer(kind).vocabulary_text());
    EXPECT_EQ(std::filesystem::exists(loaded.directory / "vocab.txt"),
              kind != TokenizerKind::kByte);
  }
}

TEST(ModelFile, NamesAreThoseOfAPyTorchStateDict) {
  const TempFolder folder;
  const LanguageModelConfig config = model();
  SavedLanguageModel{config, tokenizer()}.save(folder.path(), 1, *random_parameters(config));
  const Checkpoint checkpoint = load_checkpoint(folder.path());
  const std::vector<std::string> expected = {
      "decoder.bias",     "decoder.weight",   "encoder.weight",  "rnn.bias_hh_l0",
      "rnn.bias_hh_l1",   "rnn.bias_ih_l0",   "rnn.bias_ih_l1",  "rnn.weight_hh_l0",
      "rnn.weight_hh_l1", "rnn.weight_ih_l0", "rnn.weight_ih_l1"};
  EXPECT_EQ(checkpoint.model.names(), expected);
  EXPECT_EQ(checkpoint.model.find("rnn.weight_ih_l0")->shape, (std::vector<std::int64_t>{15, 3}));
  EXPECT_EQ(checkpoint.model.metadata().at("format"), "pt");
  EXPECT_TRUE(contains(checkpoint.model.metadata().at("gru_reset"), "before"));
}

/// A checkpoint whose content a test changes before it is written.
void save_changed(const std::filesystem::path& folder,
                  const std::function<void(CheckpointContent&)>& change) {
  const LanguageModelConfig config = model();
  const TempFolder scratch;
  SavedLanguageModel{config, tokenizer()}.save(scratch.path(), 1, *random_parameters(config));
  const Checkpoint good = load_checkpoint(scratch.path());
  CheckpointContent content;
  content.config = good.config;
  content.vocabulary = good.vocabulary;
  content.tensors.assign(good.model.tensors().begin(), good.model.tensors().end());
  change(content);
  save_checkpoint(folder, 1, content, {.best = true, .keep = 1});
}

/// The error of a checkpoint whose configuration is changed.
std::string error_with_config(const std::function<void(nlohmann::json&)>& change) {
  const TempFolder folder;
  save_changed(folder.path(), [&](CheckpointContent& c) { change(c.config); });
  return model_error(folder.path());
}

TEST(ModelFile, SaysWhichTaskItIsOf) {
  EXPECT_EQ(error_with_config([](nlohmann::json& config) {
              EXPECT_EQ(config.at("task").at("name"), "language_model");
              EXPECT_EQ(config.at("task").at("version"), 1);
            }),
            "no exception");
  // Files of versions that knew only language models have no such member.
  EXPECT_EQ(error_with_config([](nlohmann::json& config) { config.erase("task"); }),
            "no exception");
  EXPECT_TRUE(contains(
      error_with_config([](nlohmann::json& config) { config["task"]["name"] = "tag\n"; }),
      "config.json: task: name: got 'tag\\x0a', expected one of language_model, classify"));
  EXPECT_TRUE(
      contains(error_with_config([](nlohmann::json& config) { config["task"]["version"] = 2; }),
               "version: got 2, expected at most 1: it was written by a newer version"));
  EXPECT_TRUE(
      contains(error_with_config([](nlohmann::json& config) { config["task"]["version"] = 0; }),
               "version: got 0"));
  EXPECT_TRUE(contains(
      error_with_config([](nlohmann::json& config) { config["task"] = "classify"; }), "task: got"));
  EXPECT_TRUE(contains(
      error_with_config([](nlohmann::json& config) { config["task"]["name"] = "classify"; }),
      "type: got 'language_model', expected"));
}

TEST(ModelFile, RefusesTensorsThatDoNotFit) {
  const TempFolder missing, surplus, shape, tied;
  save_changed(missing.path(), [](CheckpointContent& c) { c.tensors.erase(c.tensors.begin()); });
  EXPECT_TRUE(contains(model_error(missing.path()), "'decoder.bias' is missing"));

  save_changed(surplus.path(), [](CheckpointContent& c) {
    c.tensors.push_back(c.tensors.front());
    c.tensors.back().name = "more";
  });
  EXPECT_TRUE(contains(model_error(surplus.path()), "'more' is not one of the model's"));

  save_changed(shape.path(), [](CheckpointContent& c) { c.tensors.front().shape = {2, 2}; });
  EXPECT_TRUE(contains(model_error(shape.path()), "got F32 [2, 2], expected F32 [4]"));

  const std::vector<float> other(12, 0.5F);
  save_changed(tied.path(), [&](CheckpointContent& c) {
    for (TensorData& tensor : c.tensors)
      if (tensor.name == "decoder.weight") tensor.bytes = std::as_bytes(std::span(other));
  });
  EXPECT_TRUE(contains(model_error(tied.path()), "tied weights"));
}

/// Random parameters with one value replaced.
std::string error_with_value(const std::string& name, float value) {
  const TempFolder folder;
  const LanguageModelConfig config = model(CellKind::kLstm, false);
  const auto store = random_parameters(config);
  std::vector<float> values = store->read<float>(name);
  values.back() = value;
  store->write<float>(name, values);
  SavedLanguageModel{config, tokenizer()}.save(folder.path(), 1, *store);
  return model_error(folder.path());
}

TEST(ModelFile, RefusesValuesThatAreNotFinite) {
  for (const VariableInfo& info : parameters(model(CellKind::kLstm, false))) {
    EXPECT_TRUE(contains(error_with_value(info.name, std::numeric_limits<float>::quiet_NaN()),
                         "model.safetensors: tensor '" + info.name + "': value "));
    EXPECT_TRUE(contains(error_with_value(info.name, -std::numeric_limits<float>::infinity()),
                         " is -inf, expected finite numbers"));
  }
}

/// A file of the checkpoint as another program would make it, with a manifest that agrees.
void replace_file(const std::filesystem::path& checkpoint, const std::string& name,
                  const std::function<void(const std::filesystem::path&)>& make) {
  std::filesystem::remove(checkpoint / name);
  make(checkpoint / name);
  nlohmann::json manifest = parse_json(read_text(checkpoint / "manifest.json"), "manifest");
  manifest["files"][name]["bytes"] = std::filesystem::file_size(checkpoint / name);
  manifest.erase("check");
  manifest["check"] = hash_of(bytes_of(format_json(manifest, "manifest")));
  std::ofstream(checkpoint / "manifest.json", std::ios::binary)
      << format_json(manifest, "manifest");
}

// A file that no model of this configuration can have is not read, not even for its hash, which
// would take minutes.
TEST(ModelFile, RefusesFilesThatAreTooLargeBeforeTheyAreRead) {
  for (const char* name :
       {"model.safetensors", "state.safetensors", "vocab.txt", "config.json", "progress.json"}) {
    SCOPED_TRACE(name);
    const TempFolder folder;
    const LanguageModelConfig config = model();
    const auto store = random_parameters(config);
    const ResumeState state{{}, {"decoder.bias"}};
    const std::filesystem::path checkpoint =
        SavedLanguageModel{config, tokenizer()}.save(folder.path(), 1, *store, &state);
    replace_file(checkpoint, name, [](const std::filesystem::path& file) {
      std::ofstream(file, std::ios::binary) << "x";
      std::filesystem::resize_file(file, std::uintmax_t(1) << 40);  // a hole
    });
    const std::string error = error_of<std::runtime_error>([&] {
      load_checkpoint(folder.path(), {.latest = true, .state = true, .most_bytes = most_bytes});
    });
    EXPECT_TRUE(
        contains(error, std::string(name) + ": got 1099511627776 bytes, expected at most "));
  }
}

TEST(ModelFile, ChecksShapesBeforeItAllocates) {
  const auto error_with_hidden = [](std::int64_t units) {
    const TempFolder folder;
    save_changed(folder.path(), [&](CheckpointContent& c) {
      c.config["model"]["tied"] = false;
      c.config["model"]["hidden"] = {5, units};
    });
    return model_error(folder.path());
  };
  EXPECT_TRUE(contains(error_with_hidden(std::int64_t(1) << 31), "expected F32 [6442450944, 5]"));
  const TempFolder layers;
  save_changed(layers.path(), [](CheckpointContent& c) {
    c.config["model"]["hidden"] = std::vector<int>(1001, 1);
  });
  EXPECT_TRUE(contains(model_error(layers.path()), "layers: got 1001, expected at most 1000"));
}

// Saving and loading hold one piece of a tensor, and no copy of the model.
TEST(ModelFile, TensorsAreReadFromTheStoreAsTheyAreWritten) {
  const LanguageModelConfig config = model();
  const auto store = random_parameters(config);
  const std::vector<TensorData> tensors = variable_tensors(*store, {"decoder.bias"});
  const std::vector<float> later = {4, 3, 2, 1};
  store->write<float>("decoder.bias", later);
  EXPECT_TRUE(tensors.front().bytes == TensorBytes(std::as_bytes(std::span(later))));
}

TEST(ModelFile, RefusesConfigurationsThatAreNotOurs) {
  const auto error_with = [](const std::string& key, const nlohmann::json& value) {
    const TempFolder folder;
    save_changed(folder.path(), [&](CheckpointContent& c) { c.config["model"][key] = value; });
    return model_error(folder.path());
  };
  const TempFolder tokens, none;
  save_changed(tokens.path(),
               [](CheckpointContent& c) { c.config["tokenizer"]["type"] = "subword"; });
  EXPECT_TRUE(
      contains(model_error(tokens.path()), "got 'subword', expected word, char, byte or bpe"));
  const TempFolder pairs;
  save_changed(pairs.path(), [](CheckpointContent& c) { c.config["tokenizer"]["type"] = "bpe"; });
  EXPECT_TRUE(contains(model_error(pairs.path()), "tokenizer.json is missing"));
  save_changed(none.path(), [](CheckpointContent& c) { c.vocabulary.reset(); });
  EXPECT_TRUE(contains(model_error(none.path()), "vocab.txt is missing"));
  EXPECT_TRUE(contains(error_with("cell", "transformer"), "got 'transformer', expected"));
  EXPECT_TRUE(contains(error_with("gru_reset", "during"), "expected before or after"));
  EXPECT_TRUE(
      contains(error_with("lstm_gates", "shut"), "got 'shut', expected separate, coupled or"));
  EXPECT_TRUE(contains(error_with("lstm_gates", "capped"), "got a capped input gate in a gru"));
  EXPECT_TRUE(contains(error_with("layer_norm", 1), "layer_norm: got 1"));
  EXPECT_TRUE(contains(error_with("layer_norm", true), "got layer norm in a gru"));
  EXPECT_TRUE(contains(error_with("projection", -1), "projection: got -1"));
  EXPECT_TRUE(contains(error_with("projection", 2), "got a projection in a gru"));
  EXPECT_TRUE(contains(error_with("hidden", nlohmann::json::array()), "hidden"));
  EXPECT_TRUE(contains(error_with("hidden", {5, -3}), "hidden"));
  EXPECT_TRUE(contains(error_with("vocabulary", 5), "got 4 tokens, expected 5"));
  EXPECT_TRUE(contains(error_with("embedding", 4294967296000), "embedding"));
  EXPECT_TRUE(contains(error_with("dropout", 1.5), "dropout"));
}

}  // namespace
}  // namespace unroll::test
