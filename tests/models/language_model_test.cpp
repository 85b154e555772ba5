/// Shapes and first values of a language model's parameters, and what check() refuses.
#include "host/models/language_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/lstm_variants.h"

namespace unroll::test {
namespace {

LanguageModelConfig small(const LstmVariant& variant, bool tied = false) {
  return with_variant({{.vocabulary = 11, .embedding = 6, .hidden = {5, 4}}, tied}, variant);
}

/// Every parameter as a training run begins with it.
std::map<std::string, std::vector<float>> beginning(const LanguageModelConfig& config,
                                                    const Initialization& how,
                                                    const std::vector<std::int64_t>& counts = {}) {
  const LanguageModelTask task(config, {}, {.counts = counts});
  const auto graph = task.training_graph(
      {.batch = 2, .optimizer = {}, .learning_rate = 1, .guard = {}, .initialization = how});
  Session session(graph->graph, cpu(1));
  task.initialize(how, session.variables());
  std::map<std::string, std::vector<float>> values;
  for (const VariableInfo& info : task.parameters())
    values[info.name] = session.variables().read<float>(info.name);
  return values;
}

TEST(LanguageModel, TheForgetBiasIsWhereTheForgetGateIs) {
  for (const LstmVariant& variant : kLstmVariants) {
    SCOPED_TRACE(variant.name);
    const LanguageModelConfig config = small(variant);
    const auto values = beginning(config, {.forget_bias = 3});
    const std::size_t gates = variant.input_gate == InputGate::kCoupled ? 3 : 4, first = gates - 3;
    for (const std::size_t layer : {0U, 1U}) {
      const auto units = std::size_t(config.hidden[layer]);
      std::vector<float> expected(gates * units);
      EXPECT_EQ(values.at("rnn.bias_hh_l" + std::to_string(layer)), expected);
      std::fill_n(expected.begin() + std::ptrdiff_t(first * units), units, 3.0F);
      EXPECT_EQ(values.at("rnn.bias_ih_l" + std::to_string(layer)), expected);
    }
  }
}

TEST(LanguageModel, ARangeIsThatOfAllParametersButGains) {
  for (const LstmVariant& variant : kLstmVariants) {
    SCOPED_TRACE(variant.name);
    for (const auto& [name, values] :
         beginning(small(variant), {.range = 0.25, .forget_bias = {}})) {
      const auto [least, most] = std::ranges::minmax(values);
      if (name.find("gain") != name.npos) {
        EXPECT_EQ(std::pair(least, most), std::pair(1.0F, 1.0F)) << name;
      } else {
        EXPECT_GE(least, -0.25F) << name;
        EXPECT_LE(most, 0.25F) << name;
        EXPECT_LT(least, most) << name;
      }
    }
  }
}

TEST(LanguageModel, TheDecodersBiasStartsAtTheFrequenciesOfTokens) {
  const LanguageModelConfig config = small(kLstmVariants[0]);
  const std::vector<std::int64_t> counts = {500, 200, 100, 50, 30, 9, 4, 3, 2, 1, 0};
  const std::vector<float> bias = beginning(config, {}, counts).at(kDecoderBias);
  const std::vector<float> same =
      beginning(config, {}, std::vector<std::int64_t>(11, 7)).at(kDecoderBias);
  double sum = 0;
  for (const float b : bias) sum += std::exp(double(b));
  for (std::size_t k = 0; k < counts.size(); ++k) {
    // The softmax of the bias, with one more of each token. Each of 11 float32 roundings is 6e-8.
    EXPECT_NEAR(std::exp(double(bias[k])) / sum, double(counts[k] + 1) / 910, 1e-6);
    EXPECT_NEAR(same[k], 0, 1e-6);
  }
  const auto ranged = beginning(config, {.range = 0.25, .forget_bias = {}}, counts);
  EXPECT_LE(std::ranges::max(ranged.at(kDecoderBias)), 0.25F);
  EXPECT_EQ(beginning(config, {}).at(kDecoderBias), std::vector<float>(11));
  EXPECT_THROW(LanguageModelTask(config, {}, {.counts = {1, 2}}), std::invalid_argument);
}

TEST(LanguageModel, CountsItsParameters) {
  const auto count = [](const LstmVariant& variant, bool tied) {
    return parameter_count(LanguageModelTask(small(variant, tied)));
  };
  // Encoder and decoder: 11 x 6, 11 x 4 or 11 x 3, 11. Cells: gates (I + R + 2) H.
  EXPECT_EQ(count({""}, false), 66 + 4 * 5 * (6 + 5 + 2) + 4 * 4 * (5 + 4 + 2) + 44 + 11);
  EXPECT_EQ(count(kLstmVariants[0], false),
            66 + 3 * 5 * (6 + 5 + 2) + 3 * 4 * (5 + 4 + 2) + 44 + 11);
  EXPECT_EQ(count(kLstmVariants[1], false), count({""}, false));
  EXPECT_EQ(count(kLstmVariants[2], false), count({""}, false) + 2 * 4 * 9 + 2 * 9);
  EXPECT_EQ(count(kLstmVariants[3], false),
            66 + 4 * 5 * (6 + 3 + 2) + 4 * 4 * (3 + 3 + 2) + 3 * 9 + 33 + 11);
  EXPECT_EQ(count(kLstmVariants[3], true),
            33 + 4 * 5 * (3 + 3 + 2) + 4 * 4 * (3 + 3 + 2) + 3 * 9 + 11);
}

TEST(LanguageModel, SaysWhichLstmItIs) {
  EXPECT_EQ(describe_cell(small({""})), "lstm");
  EXPECT_EQ(describe_cell(small(kLstmVariants[0])), "lstm with coupled gates");
  EXPECT_EQ(describe_cell(small({"", InputGate::kCapped, true})),
            "lstm with layer norm and capped gates");
  EXPECT_EQ(describe_cell(small(kLstmVariants[4])),
            "lstm with layer norm, coupled gates and a projection to 3");
  LanguageModelConfig gru = small({""});
  gru.cell = CellKind::kGru;
  EXPECT_EQ(describe_cell(gru), "gru");
}

TEST(LanguageModel, TiedWeightsHaveTheWidthOfTheLastLayer) {
  const auto error = [](const LstmVariant& variant, std::int64_t embedding) {
    LanguageModelConfig config = small(variant, true);
    config.embedding = embedding;
    try {
      config.check();
    } catch (const std::invalid_argument& refusal) {
      return std::string(refusal.what());
    }
    return std::string("none");
  };
  EXPECT_EQ(error({""}, 4), "none");
  EXPECT_EQ(error(kLstmVariants[3], 3), "none");
  EXPECT_EQ(error({""}, 6),
            "tied weights: got embedding size 6 and 4 units in the last layer, expected the same");
  EXPECT_EQ(error(kLstmVariants[3], 4),
            "tied weights: got embedding size 4 and a projection to 3 elements, expected the same");
}

}  // namespace
}  // namespace unroll::test
