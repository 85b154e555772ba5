#include "host/train/import.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

struct Stored {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
  StoredType type = StoredType::kF32;
};
using StateDict = std::map<std::string, Stored>;

/// Tensors of the given shapes, no two values of them equal.
StateDict state_dict(std::int64_t gates, const std::vector<std::int64_t>& hidden,
                     std::int64_t words = 6, std::int64_t embedding = 3) {
  StateDict state;
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
    add("rnn.weight_ih" + layer, {gates * hidden[k], k == 0 ? embedding : hidden[k - 1]});
    add("rnn.weight_hh" + layer, {gates * hidden[k], hidden[k]});
    add("rnn.bias_ih" + layer, {gates * hidden[k]});
    add("rnn.bias_hh" + layer, {gates * hidden[k]});
  }
  add("decoder.weight", {words, hidden.back()});
  add("decoder.bias", {words});
  return state;
}

ImportedModel imported(const StateDict& state, const ImportOptions& options = {}) {
  std::vector<TensorData> tensors;
  for (const auto& [name, stored] : state) {
    std::span<const std::byte> bytes = std::as_bytes(std::span(stored.values));
    if (stored.type == StoredType::kBf16) bytes = bytes.first(bytes.size() / 2);
    tensors.push_back({name, stored.type, stored.shape, bytes});
  }
  const TempFolder folder;
  write_safetensors(folder.path() / "w", tensors);
  return import_weights(SafetensorsFile::read(folder.path() / "w"), "weights", options, cpu(1));
}

std::string import_error(const StateDict& state, const ImportOptions& options = {}) {
  return error_of<std::runtime_error>([&] { imported(state, options); });
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
  EXPECT_EQ(imported(state_dict(1, {5})).config.cell, CellKind::kRnnTanh);
  const ImportOptions options{.cell = CellKind::kRnnRelu, .dropout = 0.5};
  EXPECT_EQ(imported(state_dict(1, {5}), options).config.cell, CellKind::kRnnRelu);
  EXPECT_EQ(imported(state_dict(1, {5}), options).config.dropout, 0.5);
}

TEST(Import, EveryValueArrives) {
  for (const std::int64_t gates : {1, 3, 4}) {
    const StateDict state = state_dict(gates, {5, 4});
    const ImportedModel model = imported(state);
    std::size_t count = 0;
    for (const VariableInfo& info : parameters(model.config)) {
      EXPECT_EQ(model.store->read<float>(info.name), state.at(info.name).values) << info.name;
      ++count;
    }
    EXPECT_EQ(count, state.size());
  }
}

TEST(Import, BiasesThatAreMissingAreZero) {
  StateDict state = state_dict(4, {5});
  for (const char* name : {"rnn.bias_ih_l0", "rnn.bias_hh_l0", "decoder.bias"}) state.erase(name);
  const ImportedModel model = imported(state);
  EXPECT_EQ(model.store->read<float>("rnn.bias_hh_l0"), std::vector<float>(20, 0.0F));
  EXPECT_EQ(model.store->read<float>("decoder.bias"), std::vector<float>(6, 0.0F));
}

TEST(Import, TiedMeansTheSameBitsOrNoDecoder) {
  StateDict state = state_dict(4, {3});
  EXPECT_FALSE(imported(state).config.tied) << "equal shapes, other values";
  state["decoder.weight"] = state["encoder.weight"];
  EXPECT_TRUE(imported(state).config.tied);
  state["decoder.weight"].values.back() += 1;
  EXPECT_FALSE(imported(state).config.tied);
  state.erase("decoder.weight");
  EXPECT_TRUE(imported(state).config.tied);
  StateDict other = state_dict(4, {5});
  other.erase("decoder.weight");
  EXPECT_TRUE(contains(import_error(other), "weights: ")) << "sizes that cannot be tied";
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
  EXPECT_TRUE(contains(erased("encoder.weight"), "'encoder.weight' is missing, got decoder.bias"));
  EXPECT_TRUE(contains(erased("rnn.weight_hh_l0"), "'rnn.weight_hh_l0' is missing"));
  EXPECT_TRUE(contains(erased("rnn.weight_ih_l1"), "'rnn.weight_ih_l1' is missing"));
  EXPECT_TRUE(contains(added("rnn.weight_ih_l0_reverse"), "_reverse': belongs to a second"));
  EXPECT_TRUE(contains(added("rnn.weight_hr_l0"), "weight_hr_l0': is a projection"));
  EXPECT_TRUE(contains(added("extra"), "'extra': is not one of a lstm language model's"));
  EXPECT_TRUE(contains(added("rnn.bias_ih_l7"), "'rnn.bias_ih_l7': is not one of"));
  EXPECT_TRUE(contains(reshaped("encoder.weight", {18}), "got [18], expected a matrix"));
  EXPECT_TRUE(contains(reshaped("encoder.weight", {3, 6}), "'rnn.weight_ih_l0': got [20, 3]"));
  EXPECT_TRUE(contains(reshaped("decoder.weight", {4, 6}), "got [4, 6], expected [6, 4]"));
  EXPECT_TRUE(contains(reshaped("rnn.weight_hh_l0", {10, 10}), "rnn.weight_ih_l0': got [20, 3]"));
  EXPECT_TRUE(contains(reshaped("rnn.weight_hh_l0", {50, 2}), "got [50, 2], expected 4 (lstm)"));
  EXPECT_TRUE(contains(reshaped("rnn.bias_hh_l1", {4, 4}), "got [4, 4], expected [16]"));
  EXPECT_TRUE(contains(error_after([](StateDict& state) {
                         Stored& weight = state["encoder.weight"];
                         weight.type = StoredType::kBf16;
                       }),
                       "'encoder.weight': got BF16, expected F32: save the model's .float()"));
}

TEST(Import, RefusesACellWithAnotherNumberOfGates) {
  const std::string error = import_error(state_dict(4, {5}), {.cell = CellKind::kGru});
  EXPECT_TRUE(contains(error, "lstm"));
  EXPECT_TRUE(contains(error, "gru"));
  EXPECT_EQ(import_error(state_dict(3, {5}), {.cell = CellKind::kGru}), "no exception");
}

}  // namespace
}  // namespace unroll::test
