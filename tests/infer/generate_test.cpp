/// Texts drawn side by side.
#include "host/infer/generate.h"

#include <gtest/gtest.h>

#include "host/infer/predict.h"
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

TEST_P(Generated, TheSameObjectDrawsTheSameAgain) {
  const LoadedModel model = asked_model(backend_);
  TokenStates states(model, {.rows = 2, .sampler = SamplingOptions{.seed = 3}});
  std::vector<Ids> texts;
  for (const std::int64_t length : {7, 4, 7, 0}) {
    texts.emplace_back();
    generate(states, asked_texts({2, 5}, 67), length, [&](std::int64_t row, std::int32_t token) {
      texts.back().push_back(std::int32_t(row));
      texts.back().push_back(token);
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

}  // namespace
}  // namespace unroll::test
