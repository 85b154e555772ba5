#include "host/train/import.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "tests/support/language_task.h"
#include "tests/support/lstm_variants.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

struct Stored {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
  StoredType type = StoredType::kF32;
};
using StateDict = std::map<std::string, Stored>;

/// Tensors of the given shapes, no two values of them equal. `projection`: PyTorch's proj_size.
StateDict state_dict(std::int64_t gates, const std::vector<std::int64_t>& hidden,
                     std::int64_t projection = 0) {
  constexpr std::int64_t words = 6, embedding = 3;
  StateDict state;
  const auto width = [&](std::size_t k) { return projection > 0 ? projection : hidden[k]; };
  float next = 0;
  const auto add = [&](const std::string& name, const std::vector<std::int64_t>& shape) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    std::vector<float> values;
    for (std::int64_t k = 0; k < count; ++k) values.push_back(next += 0.125F);
    state[name] = {shape, values};
  };
  add("encoder.weight", {words, embedding});
  for (std::size_t k = 0; k < hidden.size(); ++k) {
    const std::string layer = "_l" + std::to_string(k);
    add("rnn.weight_ih" + layer, {gates * hidden[k], k == 0 ? embedding : width(k - 1)});
    add("rnn.weight_hh" + layer, {gates * hidden[k], width(k)});
    add("rnn.bias_ih" + layer, {gates * hidden[k]});
    add("rnn.bias_hh" + layer, {gates * hidden[k]});
    if (projection > 0) add("rnn.weight_hr" + layer, {projection, hidden[k]});
  }
  add("decoder.weight", {words, width(hidden.size() - 1)});
  add("decoder.bias", {words});
  return state;
}

/// A state_dict in a file.
SafetensorsFile file_of(const StateDict& state, const TensorMetadata& metadata = {}) {
  std::vector<TensorData> tensors;
  for (const auto& [name, stored] : state) {
    std::span<const std::byte> bytes = std::as_bytes(std::span(stored.values));
    if (stored.type == StoredType::kBf16) bytes = bytes.first(bytes.size() / 2);
    if (stored.type == StoredType::kBool) bytes = bytes.first(bytes.size() / 4);
    tensors.push_back({name, stored.type, stored.shape, bytes});
  }
  const TempFolder folder;
  write_safetensors(folder.path() / "w", tensors, metadata);
  return SafetensorsFile::read(folder.path() / "w");
}

ImportedModel imported(const StateDict& state, const ImportOptions& options = {},
                       const TensorMetadata& metadata = {}) {
  return import_weights(file_of(state, metadata), "weights", options, cpu(1));
}

std::string import_error(const StateDict& state, const ImportOptions& options = {},
                         const TensorMetadata& metadata = {}) {
  return error_of<std::runtime_error>([&] { imported(state, options, metadata); });
}

TEST(Import, ShapesSayWhatTheModelIs) {
  const ImportedModel lstm = imported(state_dict(4, {5, 2, 4}));
  EXPECT_EQ(lstm.config.cell, CellKind::kLstm);
  EXPECT_EQ(lstm.config.vocabulary, 6);
  EXPECT_EQ(lstm.config.embedding, 3);
  EXPECT_EQ(lstm.config.hidden, (std::vector<std::int64_t>{5, 2, 4}));
  EXPECT_FALSE(lstm.config.tied);
  EXPECT_EQ(imported(state_dict(3, {5})).config.cell, CellKind::kGru);
  EXPECT_EQ(imported(state_dict(3, {5})).config.reset, GruReset::kAfter);
  const ImportOptions options{.cell = CellKind::kRnnRelu, .dropout = 0.5};
  EXPECT_EQ(imported(state_dict(1, {5}), options).config.cell, CellKind::kRnnRelu);
  EXPECT_EQ(imported(state_dict(1, {5}), options).config.dropout, 0.5);
}

TEST(Import, EveryValueArrives) {
  for (const std::int64_t gates : {1, 3, 4}) {
    const StateDict state = state_dict(gates, {5, 4});
    const CellKind cell = gates == 4   ? CellKind::kLstm
                          : gates == 3 ? CellKind::kGru
                                       : CellKind::kRnnRelu;
    const ImportedModel model = imported(state, {.cell = cell});
    std::size_t count = 0;
    for (const VariableInfo& info : parameters(model.config)) {
      EXPECT_EQ(model.store->read<float>(info.name), state.at(info.name).values) << info.name;
      ++count;
    }
    EXPECT_EQ(count, state.size());
  }
}

TEST(Import, ShapesSayWhatAProjectionIs) {
  const StateDict state = state_dict(4, {5, 4}, 2);
  const ImportedModel model = imported(state);
  EXPECT_EQ(model.config.cell, CellKind::kLstm);
  EXPECT_EQ(model.config.hidden, (std::vector<std::int64_t>{5, 4}));
  EXPECT_EQ(model.config.projection, 2);
  EXPECT_EQ(parameters(model.config).size(), state.size());
  for (const VariableInfo& info : parameters(model.config))
    EXPECT_EQ(model.store->read<float>(info.name), state.at(info.name).values) << info.name;
  StateDict tied = state_dict(4, {5}, 3);
  tied["decoder.weight"] = tied["encoder.weight"];
  EXPECT_TRUE(imported(tied).config.tied);

  StateDict lost = state;
  lost.erase("rnn.weight_hr_l1");
  EXPECT_TRUE(contains(import_error(lost), "'rnn.weight_hr_l1' is missing"));
  lost = state;
  lost.erase("rnn.weight_hr_l0");
  EXPECT_TRUE(contains(import_error(lost), "'rnn.weight_hr_l0' is missing"));
  StateDict other = state;
  other["rnn.weight_hr_l1"] = {{3, 4}, std::vector<float>(12, 0.5F)};
  EXPECT_TRUE(contains(import_error(other), "'rnn.weight_hr_l1': got [3, 4], expected [2, 4]"));
  other = state;
  other["rnn.weight_hh_l0"].shape = {4, 10};
  EXPECT_TRUE(contains(import_error(other), "'rnn.weight_hh_l0': got [4, 10], expected 20 rows"));
  EXPECT_EQ(import_error(state_dict(4, {5, 2}, 2)),
            "weights: recurrent: got a projection from 2 units to 2 elements, expected fewer "
            "elements than units");
  EXPECT_EQ(import_error(state_dict(3, {5}, 2)),
            "weights: recurrent: got a projection in a gru, expected an lstm");
  EXPECT_EQ(imported(state_dict(3, {5}, 2), {.input_gate = InputGate::kCoupled}).config.projection,
            2);
}

TEST(Import, GainsMeanLayerNorm) {
  StateDict state = state_dict(4, {5});
  for (const char* name : {"rnn.gain_ih_l0", "rnn.gain_hh_l0"})
    state[name] = {{20}, std::vector<float>(20, 0.75F)};
  state["rnn.gain_c_l0"] = state["rnn.bias_c_l0"] = {{5}, std::vector<float>(5, 0.25F)};
  const ImportedModel model = imported(state);
  EXPECT_TRUE(model.config.layer_norm);
  EXPECT_EQ(model.store->read<float>("rnn.gain_hh_l0"), state["rnn.gain_hh_l0"].values);
  EXPECT_EQ(model.store->read<float>("rnn.bias_c_l0"), state["rnn.bias_c_l0"].values);
  for (const char* name : {"rnn.gain_ih_l0", "rnn.gain_hh_l0", "rnn.gain_c_l0", "rnn.bias_c_l0"}) {
    StateDict lost = state;
    lost.erase(name);
    EXPECT_TRUE(contains(import_error(lost), "'" + std::string(name) + "' is missing")) << name;
  }
  state["rnn.gain_c_l0"].shape = {1, 5};
  EXPECT_TRUE(contains(import_error(state), "'rnn.gain_c_l0': got [1, 5], expected [5]"));
}

TEST(Import, ThreeGatesAreAnLstmsIfTheyAreSaidToBeCoupled) {
  const StateDict three = state_dict(3, {5}), four = state_dict(4, {5});
  const ImportOptions coupled{.input_gate = InputGate::kCoupled};
  EXPECT_EQ(imported(three).config.cell, CellKind::kGru);
  EXPECT_EQ(imported(three, coupled).config.cell, CellKind::kLstm);
  EXPECT_EQ(imported(three, coupled).config.input_gate, InputGate::kCoupled);
  EXPECT_EQ(imported(four, {.input_gate = InputGate::kCapped}).config.input_gate,
            InputGate::kCapped);
  EXPECT_TRUE(contains(import_error(four, coupled),
                       "got 4 gates, as an lstm has, expected 3, as an lstm with coupled gates"));
  EXPECT_TRUE(
      contains(import_error(three, {.cell = CellKind::kLstm}),
               "got 3 gates, as a gru or an lstm with coupled gates has, expected 4, as lstm"));
  EXPECT_EQ(import_error(three, {.cell = CellKind::kGru, .input_gate = InputGate::kCoupled}),
            "weights: recurrent: got a coupled input gate in a gru, expected an lstm");
  EXPECT_EQ(import_error(three, {.input_gate = InputGate::kCapped}),
            "weights: recurrent: got a capped input gate in a gru, expected an lstm");
}

TEST(Import, OfAnElmanNetworkTheCellMustBeSaid) {
  EXPECT_TRUE(contains(error_of<CellUnknown>([] { imported(state_dict(1, {5})); }),
                       "weights: is an Elman network, and nothing in it says whether its cell is"));
  for (const CellKind cell : {CellKind::kRnnTanh, CellKind::kRnnRelu, CellKind::kRnnLogistic})
    EXPECT_EQ(imported(state_dict(1, {5}), {.cell = cell}).config.cell, cell);
}

TEST(Import, TheNetworkHasAllItsBiasesOrNone) {
  StateDict state = state_dict(4, {5, 4});
  for (const char* name : {"rnn.bias_ih_l0", "rnn.bias_hh_l0", "rnn.bias_ih_l1", "rnn.bias_hh_l1"})
    state.erase(name);
  const ImportedModel none = imported(state);
  EXPECT_EQ(none.store->read<float>("rnn.bias_hh_l0"), std::vector<float>(20, 0.0F));
  EXPECT_EQ(none.notes,
            std::vector<std::string>{"weights has no biases in rnn, which are zero then"});
  state.erase("decoder.bias");
  EXPECT_EQ(imported(state).store->read<float>("decoder.bias"), std::vector<float>(6, 0.0F));
  EXPECT_EQ(imported(state).notes.size(), 2U);

  for (const char* name :
       {"rnn.bias_ih_l0", "rnn.bias_hh_l0", "rnn.bias_ih_l1", "rnn.bias_hh_l1"}) {
    StateDict lost = state_dict(4, {5, 4});
    lost.erase(name);
    EXPECT_EQ(import_error(lost), "weights: tensor '" + std::string(name) +
                                      "' is missing, got 3 of the network's 4 biases, expected "
                                      "all or none");
  }
  StateDict lost = state_dict(4, {5, 4});
  lost.erase("decoder.bias");
  EXPECT_TRUE(contains(import_error(lost), "'decoder.bias' is missing, got 'decoder.weight', "));
  EXPECT_TRUE(contains(import_error(lost), "of a decoder without a bias, save zeros"));
  StateDict third = state_dict(4, {5, 4});  // a layer more, without biases
  third["rnn.weight_ih_l2"] = third["rnn.weight_hh_l2"] = {{16, 4}, std::vector<float>(64, 0.5F)};
  EXPECT_TRUE(
      contains(import_error(third), "'rnn.bias_ih_l2' is missing, got 4 of the network's 6"));
  EXPECT_TRUE(imported(state_dict(4, {5, 4})).notes.empty());
}

TEST(Import, TiedMeansTheSameBitsOrOneTensor) {
  StateDict state = state_dict(4, {3});
  EXPECT_FALSE(imported(state).config.tied) << "equal shapes, other values";
  state["decoder.weight"] = state["encoder.weight"];
  EXPECT_TRUE(imported(state).config.tied);
  EXPECT_TRUE(contains(imported(state).notes.at(0), "decoder.weight has the values of encoder"));
  state["decoder.weight"].values.back() += 1;
  EXPECT_FALSE(imported(state).config.tied);
  // One that is missing may be lost.
  for (const char* name : {"decoder.weight", "encoder.weight"}) {
    StateDict lost = state;
    lost.erase(name);
    EXPECT_TRUE(contains(import_error(lost), "'" + std::string(name) + "' is missing, got '"));
    EXPECT_TRUE(contains(import_error(lost), "; if the two are tied, save with safetensors."));
  }
}

// safetensors.torch.save_model() writes one of the tensors that share memory, and the names of the
// others.
TEST(Import, FollowsAliasesOfTheMetadata) {
  const StateDict state = state_dict(4, {3});
  for (const auto& [kept, dropped] : {std::pair("decoder.weight", "encoder.weight"),
                                      std::pair("encoder.weight", "decoder.weight")}) {
    SCOPED_TRACE(kept);
    StateDict one = state;
    one.erase(dropped);
    const ImportedModel model = imported(one, {}, {{dropped, kept}});
    EXPECT_TRUE(model.config.tied);
    EXPECT_EQ(model.store->read<float>("encoder.weight"), state.at(kept).values);
    EXPECT_TRUE(contains(model.notes.at(0), "are one tensor, as weights's metadata say"));
    EXPECT_TRUE(contains(import_error(one, {}, {{dropped, "gone"}}), "is missing"));
    EXPECT_TRUE(contains(import_error(one, {}, {{dropped, dropped}}), "is missing"));
  }
  StateDict shared = state;  // two biases that are one parameter
  shared.erase("rnn.bias_hh_l0");
  const ImportedModel model = imported(shared, {}, {{"rnn.bias_hh_l0", "rnn.bias_ih_l0"}});
  EXPECT_EQ(model.store->read<float>("rnn.bias_hh_l0"), state.at("rnn.bias_ih_l0").values);
  EXPECT_TRUE(contains(import_error(shared, {}, {{"rnn.bias_hh_l0", "decoder.bias"}}),
                       "'decoder.bias': got [6], expected [12]"));
}

/// The weights in a checkpoint of a model, and their values.
struct Saved {
  explicit Saved(const LanguageModelConfig& config)
      : store(std::make_shared<VariableStore>(cpu(1), 9)) {
    for (VariableInfo info : parameters(config)) {
      info.initializer = uniform(-1, 1);
      store->require(info);
    }
    const Tokenizer tokenizer = Tokenizer::parse(TokenizerKind::kChar, "\\n\n<unk>\na\nb\n", "v");
    const auto checkpoint = SavedLanguageModel{config, tokenizer}.save(folder.path(), 1, *store);
    file = SafetensorsFile::read(checkpoint / "model.safetensors");
  }
  std::string error(const ImportOptions& options) const {
    return error_of<std::runtime_error>([&] { import_weights(file, "ours", options, cpu(1)); });
  }

  TempFolder folder;
  std::shared_ptr<VariableStore> store;
  SafetensorsFile file;
};

TEST(Import, OurOwnFilesSayAllOfTheModel) {
  for (const CellKind cell : kCellKinds)
    for (const bool one_hot : {false, true}) {
      LanguageModelConfig config;
      config.cell = cell;
      config.reset = GruReset::kBefore;
      config.vocabulary = 4;
      config.embedding = one_hot ? 0 : 3;
      config.hidden = {5, 3};
      config.dropout = 0.25;
      config.tied = !one_hot;
      SCOPED_TRACE(to_string(cell));
      const Saved saved(config);
      const ImportedModel model = import_weights(saved.file, "ours", {}, cpu(1));
      EXPECT_EQ(to_json(model.config), to_json(config));
      EXPECT_EQ(model.tokenizer, TokenizerKind::kChar);
      EXPECT_TRUE(model.notes.empty());
      for (const VariableInfo& info : parameters(config))
        EXPECT_EQ(model.store->read<float>(info.name), saved.store->read<float>(info.name));
      EXPECT_EQ(saved.error({.cell = cell, .dropout = 0.25}), "no exception");
      EXPECT_EQ(saved.error({.cell = cell == CellKind::kGru ? CellKind::kLstm : CellKind::kGru}),
                fmt::format("ours: cell: got {}, expected {}, as its metadata say",
                            cell == CellKind::kGru ? "lstm" : "gru", to_string(cell)));
      EXPECT_EQ(saved.error({.dropout = 0.5}),
                "ours: dropout: got 0.5, expected 0.25, as its metadata say");
      EXPECT_EQ(saved.error({.tokenizer = TokenizerKind::kWord}),
                "ours: tokenizer: got word, expected char, as its metadata say");
      EXPECT_EQ(saved.error({.reset = GruReset::kAfter}),
                cell == CellKind::kGru ? "ours: GRU reset: got after, expected before, as its "
                                         "metadata say"
                                       : "no exception");
    }
}

TEST(Import, OurOwnFilesSayWhichVariantOfAnLstm) {
  for (const LstmVariant& variant : kLstmVariants) {
    SCOPED_TRACE(variant.name);
    LanguageModelConfig config{{.vocabulary = 4, .embedding = 3, .hidden = {5, 4}}};
    config = with_variant(config, variant);
    const Saved saved(config);
    const ImportedModel model = import_weights(saved.file, "ours", {}, cpu(1));
    EXPECT_EQ(to_json(model.config), to_json(config));
    for (const VariableInfo& info : parameters(config))
      EXPECT_EQ(model.store->read<float>(info.name), saved.store->read<float>(info.name));
    EXPECT_EQ(saved.error({.input_gate = variant.input_gate}), "no exception");
    const InputGate other =
        variant.input_gate == InputGate::kCoupled ? InputGate::kSeparate : InputGate::kCoupled;
    EXPECT_EQ(saved.error({.input_gate = other}),
              fmt::format("ours: input gate: got {}, expected {}, as its metadata say",
                          to_string(other), to_string(variant.input_gate)));
  }
}

TEST(Import, OurOwnFilesHaveAllTheirTensors) {
  const std::string ours = R"({"model":{"type":"language_model","cell":"lstm","vocabulary":6,)"
                           R"("embedding":3,"hidden":[3],"dropout":0,"tied":false},)"
                           R"("tokenizer":{"type":"word"}})";
  const StateDict state = state_dict(4, {3});
  EXPECT_EQ(import_error(state, {}, {{"unroll", ours}}), "no exception");
  for (const auto& [name, stored] : state) {
    StateDict lost = state;
    lost.erase(name);
    EXPECT_TRUE(contains(import_error(lost, {}, {{"unroll", ours}}), "'" + name + "' is missing"));
  }
  std::string tied = ours;
  tied.replace(tied.find("false"), 5, "true");
  EXPECT_TRUE(contains(import_error(state, {}, {{"unroll", tied}}),
                       "'decoder.weight': differs from encoder.weight, expected the same"));
  for (const char* damaged : {"", "{}", "[]", "{\"model\":{\"type\":\"x\"}}"})
    EXPECT_TRUE(
        contains(import_error(state, {}, {{"unroll", damaged}}), "weights: metadata 'unroll'"))
        << damaged;
  // Earlier versions said only this.
  const TensorMetadata before = {{"gru_reset", "before: not PyTorch's GRU"}};
  EXPECT_EQ(imported(state_dict(3, {5}), {}, before).config.reset, GruReset::kBefore);
  EXPECT_TRUE(contains(import_error(state_dict(3, {5}), {.reset = GruReset::kAfter}, before),
                       "GRU reset: got after, expected before"));
}

TEST(Import, NamesAValueThatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    for (const auto& [name, stored] : state_dict(4, {5})) {
      StateDict state = state_dict(4, {5});
      state[name].values.back() = bad;
      EXPECT_TRUE(contains(import_error(state), "weights: tensor '" + name + "': value " +
                                                    std::to_string(stored.values.size() - 1)));
      EXPECT_TRUE(contains(import_error(state), std::isnan(bad) ? " is nan, expected finite numbers"
                                                                : " is inf, expected finite"));
    }
}

TEST(Import, ReadsAsManyLayersAsAModelMayHave) {
  const std::vector<std::int64_t> most(kMaxLayers, 1), more(kMaxLayers + 1, 1);
  EXPECT_EQ(imported(state_dict(4, most)).config.hidden, most);
  EXPECT_EQ(import_error(state_dict(4, more)), "weights: layers: got 1001, expected at most 1000");
}

TEST(Import, NamesWhatDoesNotFit) {
  const auto error_after = [](const std::function<void(StateDict&)>& change) {
    StateDict state = state_dict(4, {5, 4});
    change(state);
    return import_error(state);
  };
  const auto erased = [&](const char* name) {
    return error_after([&](StateDict& state) { state.erase(name); });
  };
  const auto added = [&](const char* name) {
    return error_after([&](StateDict& state) { state[name] = {{1}, {0.5F}}; });
  };
  const auto reshaped = [&](const char* name, const std::vector<std::int64_t>& shape) {
    return error_after([&](StateDict& state) { state[name].shape = shape; });
  };
  EXPECT_EQ(error_after([](StateDict&) {}), "no exception");
  EXPECT_TRUE(
      contains(erased("encoder.weight"), "'encoder.weight' is missing, got 'decoder.bias'"));
  EXPECT_TRUE(contains(erased("rnn.weight_hh_l0"), "'rnn.weight_hh_l0' is missing"));
  EXPECT_TRUE(contains(erased("rnn.weight_ih_l1"), "'rnn.weight_ih_l1' is missing"));
  EXPECT_TRUE(contains(added("rnn.weight_ih_l0_reverse"), "_reverse': belongs to a second"));
  EXPECT_TRUE(contains(added("rnn.weight_hr_l0"), "weight_hr_l0': got [1], expected a matrix"));
  EXPECT_TRUE(
      contains(added("extra"), "'extra': is not part of a language model of 2 layers of lstm"));
  EXPECT_TRUE(contains(added("rnn.bias_ih_l7"), "'rnn.bias_ih_l7': is not part of"));
  EXPECT_TRUE(contains(reshaped("encoder.weight", {18}), "got [18], expected a matrix"));
  EXPECT_TRUE(contains(reshaped("encoder.weight", {3, 6}), "'rnn.weight_ih_l0': got [20, 3]"));
  EXPECT_TRUE(contains(reshaped("decoder.weight", {4, 6}), "got [4, 6], expected [6, 4]"));
  EXPECT_TRUE(contains(reshaped("rnn.weight_hh_l0", {10, 10}), "rnn.weight_ih_l0': got [20, 3]"));
  EXPECT_TRUE(
      contains(reshaped("rnn.weight_hh_l0", {50, 2}), "got [50, 2], expected 8 rows (lstm)"));
  EXPECT_TRUE(contains(reshaped("rnn.bias_hh_l1", {4, 4}), "got [4, 4], expected [16]"));
  EXPECT_TRUE(contains(error_after([](StateDict& state) {
                         Stored& weight = state["encoder.weight"];
                         weight.type = StoredType::kI32;
                       }),
                       "'encoder.weight': got I32, expected F32, F16, BF16 or F64"));
  // What is surplus has no type to mend.
  EXPECT_TRUE(contains(error_after([](StateDict& state) {
                         state["flag"] = {{1}, {0}, StoredType::kBool};
                       }),
                       "'flag': is not part of a language model"));
  EXPECT_TRUE(contains(added("a\x1b[2J\n"), "tensor 'a\\x1b[2J\\x0a': is not part of"));
  EXPECT_EQ(import_error({}),
            "weights: holds no tensors, expected a state_dict of encoder, rnn and "
            "decoder");
}

TEST(Import, RefusesACellWithAnotherNumberOfGates) {
  const std::string error = import_error(state_dict(4, {5}), {.cell = CellKind::kGru});
  EXPECT_TRUE(contains(error, "lstm"));
  EXPECT_TRUE(contains(error, "gru"));
  EXPECT_EQ(import_error(state_dict(3, {5}), {.cell = CellKind::kGru}), "no exception");
}

}  // namespace
}  // namespace unroll::test
