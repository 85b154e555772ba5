/// Texts drawn side by side.
#include "host/infer/generate.h"

#include <gtest/gtest.h>

#include "host/infer/predict.h"
#include "host/infer/score.h"
#include "tests/support/asked_model.h"
#include "tests/support/backends.h"
#include "tests/support/reference_training.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Ids = std::vector<std::int32_t>;

class Generated : public OnEachBackend {
 protected:
  std::vector<Ids> draw(const LoadedModel& model, const std::vector<Ids>& prompts,
                        std::int64_t length, const SamplingOptions& sampler) {
    TokenStates states(model, {.rows = std::ssize(prompts), .sampler = sampler});
    std::vector<Ids> drawn(prompts.size());
    generate(states, prompts, length, [&](std::int64_t row, std::int32_t token) {
      drawn[std::size_t(row)].push_back(token);
      return true;
    });
    return drawn;
  }
};

// Row n draws with its own numbers, at the step of its own token.
TEST_P(Generated, EachTokenIsDrawnFromWhatFollowsItsText) {
  const LoadedModel model = asked_model(backend_);
  const SamplingOptions sampler{.temperature = 0.8, .top_k = 40, .top_p = 0.9, .seed = 5};
  const auto prompts = asked_texts({4, 0, 9}, 67);
  const auto drawn = draw(model, prompts, 6, sampler);
  const std::uint64_t key = reference::philox_key(5, "sampler");
  TokenStates looking(model, {.name = "looking"});
  for (std::size_t row = 0; row < prompts.size(); ++row) {
    ASSERT_EQ(drawn[row].size(), 6U);
    Ids text = prompts[row];
    for (const std::int32_t token : drawn[row]) {
      const auto log_prob = predict(looking, std::span(&text, 1))[0];
      EXPECT_EQ(token, reference::sample(log_prob,
                                         {0.8, 40, 0.9, key, std::ssize(text), std::int64_t(row)}))
          << row << ", " << text.size();
      text.push_back(token);
    }
  }
}

TEST_P(Generated, TheFirstIsWhatIsDrawnAloneAndEqualPromptsDiffer) {
  const LoadedModel model = asked_model(backend_);
  const Ids prompt{3, 4, 5};
  const auto one = draw(model, {prompt}, 20, {.seed = 7});
  const auto three = draw(model, {prompt, prompt, prompt}, 20, {.seed = 7});
  EXPECT_EQ(three[0], one[0]);
  EXPECT_NE(three[1], one[0]);
  EXPECT_NE(three[2], three[1]);
  EXPECT_EQ(draw(model, {prompt, Ids(9, 1), prompt}, 20, {.seed = 7})[2], three[2]);
  EXPECT_NE(draw(model, {prompt}, 20, {.seed = 8})[0], one[0]);
}

TEST_P(Generated, TemperatureZeroIsTheSameInEveryRow) {
  const LoadedModel model = asked_model(backend_);
  const auto drawn = draw(model, {{3}, {3}, {3}}, 10, {.temperature = 0});
  EXPECT_EQ(drawn[1], drawn[0]);
  EXPECT_EQ(drawn[2], drawn[0]);
}

// A text that ends before does not change the others.
TEST_P(Generated, ATextEndsWhenItIsTold) {
  const LoadedModel model = asked_model(backend_);
  const auto prompts = asked_texts({2, 5, 0}, 67);
  const auto whole = draw(model, prompts, 12, {.seed = 2});
  TokenStates states(model, {.rows = 3, .sampler = SamplingOptions{.seed = 2}});
  std::vector<Ids> drawn(3);
  generate(states, prompts, 12, [&](std::int64_t row, std::int32_t token) {
    drawn[std::size_t(row)].push_back(token);
    return drawn[std::size_t(row)].size() < std::size_t(4 * row + 1);
  });
  for (std::size_t row = 0; row < 3; ++row)
    EXPECT_EQ(drawn[row],
              Ids(whole[row].begin(), whole[row].begin() + 4 * std::ptrdiff_t(row) + 1));
}

TEST_P(Generated, TextKIsTheSameAmongAnyNumber) {
  const LoadedModel model = asked_model(backend_);
  const Ids prompt{3, 4, 5};
  const auto many = draw(model, std::vector<Ids>(33, prompt), 9, {.min_p = 0.01, .seed = 7});
  for (const std::size_t count : {1U, 2U, 17U}) {
    const auto few = draw(model, std::vector<Ids>(count, prompt), 9, {.min_p = 0.01, .seed = 7});
    for (std::size_t k = 0; k < count; ++k) EXPECT_EQ(few[k], many[k]) << k;
  }
}

TEST_P(Generated, TheLogProbabilityIsTheModelsNotTheSamplers) {
  const LoadedModel model = asked_model(backend_);
  const auto prompts = asked_texts({3, 0}, 67);
  TokenStates states(model, {.rows = 2,
                             .sampler = SamplingOptions{.temperature = 0.5, .top_k = 9, .seed = 4},
                             .drawn_log_prob = true});
  std::vector<Ids> texts(prompts);
  std::vector<std::vector<float>> log_prob(2);
  generate(states, prompts, 8, [&](std::int64_t row, std::int32_t token) {
    texts[std::size_t(row)].push_back(token);
    log_prob[std::size_t(row)].push_back(states.drawn_log_prob(row));
    return true;
  });
  const auto expected = Scorer(model).score(texts);
  for (std::size_t row = 0; row < 2; ++row)
    for (std::size_t t = 0; t < 8; ++t)  // softmax with and without its cross-entropy
      EXPECT_NEAR(log_prob[row][t], expected[row][prompts[row].size() + t], 1e-4);
}

TEST_P(Generated, TheSameObjectDrawsTheSameAgain) {
  const LoadedModel model = asked_model(backend_);
  TokenStates states(model, {.rows = 2, .sampler = SamplingOptions{.seed = 3}});
  std::vector<Ids> texts;
  for (const std::int64_t length : {7, 4, 7, 0}) {
    texts.emplace_back();
    generate(states, asked_texts({2, 5}, 67), length, [&](std::int64_t row, std::int32_t token) {
      texts.back().push_back(std::int32_t(row));
      texts.back().push_back(token);
      return true;
    });
  }
  EXPECT_EQ(texts[0], texts[2]);
  EXPECT_EQ(texts[1].size(), 16U);
  EXPECT_TRUE(texts[3].empty());
}

UNROLL_FOR_EACH_BACKEND(Generated);

TEST(GeneratedArguments, AreChecked) {
  const LoadedModel model = asked_model(cpu(1));
  TokenStates states(model, {.rows = 2, .sampler = SamplingOptions{}});
  const auto run = [&](const std::vector<std::size_t>& lengths, std::int64_t length) {
    return error_of<std::invalid_argument>(
        [&] { generate(states, asked_texts(lengths, 60), length, {}); });
  };
  EXPECT_EQ(run({1}, 3), "prompts: got 1, expected one for each of 2 rows");
  EXPECT_EQ(run({1, 2}, -1), "length: got -1, expected 0 or more");
}

/// What is given out of a text in pieces, with | between.
std::string until(const std::string& stop, const std::vector<std::string>& pieces) {
  TextUntil text(stop);
  std::string given;
  for (const std::string& piece : pieces) {
    if (!text.stopped()) given += text.next(piece) + "|";
  }
  return given + (text.stopped() ? "stopped" : text.rest());
}

TEST(TextUntil, EndsBeforeTheString) {
  EXPECT_EQ(until("", {"a", "b"}), "a|b|");
  EXPECT_EQ(until(".", {"a", " .", " b"}), "a| |stopped");
  EXPECT_EQ(until("abc", {"xab", "cab"}), "x||stopped");
  EXPECT_EQ(until("abc", {"a", "b", "a", "b", "d"}), "||ab||abd|");
  EXPECT_EQ(until("aab", {"a", "a", "a", "b"}), "||a||stopped");
  EXPECT_EQ(until("\n\n", {"a\n", "b\n"}), "a|\nb|\n");
}

}  // namespace
}  // namespace unroll::test
