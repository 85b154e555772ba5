/// Texts read side by side: each row is what a single text is, and states go from row to row.
#include "host/infer/token_states.h"

#include <gtest/gtest.h>

#include <cmath>

#include "host/infer/predict.h"
#include "tests/support/asked_model.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/lstm_variants.h"
#include "tests/support/recording_backend.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Ids = std::vector<std::int32_t>;

class States : public OnEachBackend {
 protected:
  /// The same bits on the CPU. On a GPU a product of several rows may be made by another kernel
  /// than one of a single row: each of some 40 sums of 33 terms of at most 1 is rounded otherwise,
  /// by 33 * 2^-24 = 2e-6 at most.
  ::testing::AssertionResult same(std::span<const float> actual, std::span<const float> expected) {
    const double tolerance = backend_->kind() == DeviceKind::kCpu ? 0 : 1e-4;
    if (actual.size() != expected.size())
      return ::testing::AssertionFailure() << actual.size() << " values";
    for (std::size_t k = 0; k < actual.size(); ++k)
      if (!(std::abs(double(actual[k]) - double(expected[k])) <= tolerance))
        return ::testing::AssertionFailure()
               << "value " << k << ": " << actual[k] << ", expected " << expected[k];
    return ::testing::AssertionSuccess();
  }

  std::vector<float> alone(const LoadedModel& model, const Ids& text) {
    TokenStates states(model, {.name = "alone"});
    return predict(states, std::span(&text, 1))[0];
  }

  std::vector<LanguageModelConfig> configurations() const {
    std::vector<LanguageModelConfig> list;
    for (const CellKind cell : {CellKind::kLstm, CellKind::kGru, CellKind::kRnnTanh})
      list.push_back(asked_config(asked_tokenizer(), cell));
    for (const LstmVariant& variant : kLstmVariants) list.push_back(with_variant(list[0], variant));
    list.push_back(list[0]);
    list.back().embedding = 0;
    return list;
  }
};

TEST_P(States, RowsOfAnyLengthsAreWhatSingleTextsAre) {
  const auto texts = asked_texts({3, 0, 17, 8, 8}, asked_tokenizer().size());
  for (const LanguageModelConfig& config : configurations()) {
    SCOPED_TRACE(describe_encoder(config));
    const LoadedModel model = asked_model(backend_, config);
    TokenStates states(model, {.rows = std::ssize(texts)});
    const auto together = predict(states, texts);
    for (std::size_t n = 0; n < texts.size(); ++n) {
      SCOPED_TRACE(n);
      EXPECT_TRUE(same(together[n], alone(model, texts[n])));
      double sum = 0;
      for (const float p : together[n]) sum += std::exp(double(p));
      EXPECT_NEAR(sum, 1, 1e-5);
    }
    EXPECT_NE(together[0], together[1]);
  }
}

TEST_P(States, NeighboursDoNotMatter) {
  const LoadedModel model = asked_model(backend_);
  auto texts = asked_texts({9, 4, 12, 5}, 67);
  TokenStates states(model, {.rows = 4});
  const std::vector<float> first = predict(states, texts)[2];
  texts[0] = texts[1] = texts[3] = {5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5};
  EXPECT_EQ(predict(states, texts)[2], first);
}

TEST_P(States, AStateGoesOnInAnyRowOfAnyBatch) {
  for (const LanguageModelConfig& config : configurations()) {
    SCOPED_TRACE(describe_encoder(config));
    const LoadedModel model = asked_model(backend_, config);
    const auto texts = asked_texts({6, 9, 4}, 67);
    TokenStates states(model, {.rows = 3});
    predict(states, texts);
    const TextState taken = states.take(1);
    EXPECT_EQ(taken.values.size(), states.blank().values.size());
    Ids longer = texts[1];
    longer.insert(longer.end(), {8, 9});
    const std::vector<float> expected = alone(model, longer);

    TokenStates one(model, {.name = "one"}), more(model, {.rows = 5, .name = "more"});
    one.put(0, taken);
    one.advance(Ids{8});
    one.advance(Ids{9});
    EXPECT_TRUE(same(one.log_prob(0), expected));
    for (const std::int64_t row : {0, 4}) more.put(row, taken);
    more.advance(Ids{8, 1, 2, 3, 8});
    more.advance(Ids{9, 1, 2, 3, 10});
    EXPECT_TRUE(same(more.log_prob(0), expected));
    EXPECT_FALSE(same(more.log_prob(4), expected));  // it read something else
    states.put(0, taken);
    states.advance(Ids{8, 8, TokenStates::kNoToken});
    states.advance(Ids{9, 9, 1});
    EXPECT_TRUE(same(states.log_prob(0), expected));
    EXPECT_TRUE(same(states.log_prob(1), expected));
  }
}

TEST_P(States, ARowThatRestsStaysAsItWas) {
  const LoadedModel model = asked_model(backend_);
  constexpr std::int32_t kNo = TokenStates::kNoToken;
  TokenStates states(model, {.rows = 2});
  states.advance(Ids{4, 5});
  const TextState before = states.take(1);
  for (const std::int32_t token : {6, 7, 8}) states.advance(Ids{token, kNo});
  EXPECT_EQ(states.take(1).values, before.values);
  EXPECT_NE(states.take(0).values, before.values);
  states.advance(Ids{kNo, 9});
  EXPECT_TRUE(same(states.log_prob(1), alone(model, {5, 9})));
  states.advance(Ids{9, kNo});
  EXPECT_TRUE(same(states.log_prob(0), alone(model, {4, 6, 7, 8, 9})));
}

// What a text begins with is read from nothing.
TEST_P(States, AStepWithoutResultsGoesOnAllTheSame) {
  const LoadedModel model = asked_model(backend_);
  TokenStates states(model, {.rows = 2});
  states.advance(Ids{4, 5}, false);
  EXPECT_EQ(error_of<std::invalid_argument>([&] { states.log_prob(0); }),
            "row 0: it has no results of the last step, expected some");
  states.advance(Ids{6, 7});
  EXPECT_TRUE(same(states.log_prob(0), alone(model, {4, 6})));
  EXPECT_TRUE(same(states.log_prob(1), alone(model, {5, 7})));
}

TEST_P(States, ABlankStateAndTheStartAreTheBeginning) {
  const LoadedModel model = asked_model(backend_);
  TokenStates states(model, {.rows = 2});
  states.advance(Ids{4, 5});
  states.put(1, states.blank());
  states.advance(Ids{4, states.tokenizer().start()});
  states.advance(Ids{4, 30});
  EXPECT_TRUE(same(states.log_prob(1), alone(model, {30})));
  states.begin();
  EXPECT_TRUE(same(states.log_prob(0), alone(model, {})));
}

TEST_P(States, ReadNothingButTheTokensThatWereDrawn) {
  const auto recording = std::make_shared<RecordingBackend>(backend_);
  const LoadedModel model = asked_model(recording);
  TokenStates states(model, {.rows = 3, .sampler = SamplingOptions{}});
  const int downloads = recording->downloads;
  states.advance(Ids{1, 2, 3});
  for (const std::int64_t row : {0, 1, 2}) EXPECT_GE(states.drawn(row), 0);
  EXPECT_EQ(recording->downloads, downloads + 1);
}

TEST_P(States, ProbabilitiesThatAreNoNumbersAreOneError) {
  const LoadedModel model = asked_model(backend_);
  model.store->write<float>(kDecoderBias, std::vector<float>(67, std::nanf("")));
  const std::string expected =
      "the model gives probabilities of the next token that are not numbers, expected finite ones";
  TokenStates states(model, {.rows = 2});
  EXPECT_EQ(error_of<std::runtime_error>([&] { states.log_prob(1); }), expected);
  TokenStates drawing(model, {.rows = 2, .sampler = SamplingOptions{}, .name = "drawing"});
  EXPECT_EQ(error_of<std::runtime_error>([&] { drawing.drawn(1); }), expected);
}

UNROLL_FOR_EACH_BACKEND(States);

TEST(StatesArguments, AreChecked) {
  const LoadedModel model = asked_model(cpu(1));
  const auto error = [](const auto& act) { return error_of<std::invalid_argument>(act); };
  EXPECT_EQ(error([&] { TokenStates none(model, {.rows = 0}); }),
            "rows: got 0, expected 1 or more");
  EXPECT_THROW(TokenStates(model, {.sampler = SamplingOptions{.top_p = 0}}), std::invalid_argument);
  TokenStates states(model, {.rows = 2});
  EXPECT_EQ(error([&] { states.advance(Ids{1}); }),
            "tokens: got 1, expected one for each of 2 rows");
  EXPECT_EQ(error([&] { states.advance(Ids{1, 67}); }), "token: got 67, expected an id below 67");
  EXPECT_EQ(error([&] { states.advance(Ids{-2, 1}); }), "token: got -2, expected an id below 67");
  EXPECT_EQ(error([&] { states.log_prob(2); }), "row: got 2, expected one below 2");
  EXPECT_EQ(error([&] { states.take(-1); }), "row: got -1, expected one below 2");
  states.advance(Ids{1, TokenStates::kNoToken});
  EXPECT_EQ(error([&] { states.log_prob(1); }),
            "row 1: it has no results of the last step, expected some");
  EXPECT_EQ(error([&] { states.put(0, {{1, 2}}); }), "state: got 2 values, expected 128");
  states.put(0, states.blank());
  EXPECT_THROW(states.log_prob(0), std::invalid_argument);
  EXPECT_EQ(error([&] { predict(states, asked_texts({1}, 60)); }),
            "histories: got 1, expected one for each of 2 rows");
}

TEST(MostProbable, AreInOrderAndTheSmallerIdFirst) {
  const std::vector<float> log_prob{-3, -1, -2, -1, -5};
  EXPECT_EQ(most_probable(log_prob, 3), (Ids{1, 3, 2}));
  EXPECT_EQ(most_probable(log_prob, 9), (Ids{1, 3, 2, 0, 4}));
  EXPECT_EQ(most_probable(log_prob, 0), Ids{});
  EXPECT_EQ(rank_of(log_prob, 3), 1);
  EXPECT_EQ(rank_of(log_prob, 2), 3);
  EXPECT_EQ(rank_of(log_prob, 4), 5);
}

}  // namespace
}  // namespace unroll::test
