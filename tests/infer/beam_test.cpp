/// Beam search against every text there is.
#include "host/infer/beam.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "host/infer/predict.h"
#include "host/infer/score.h"
#include "tests/support/asked_model.h"
#include "tests/support/backends.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Ids = std::vector<std::int32_t>;

/// A model of few words, so that all texts can be tried.
LoadedModel few_words(const std::shared_ptr<Backend>& backend) {
  const Tokenizer tokenizer =
      Tokenizer::parse(TokenizerKind::kWord, "<eos>\n<unk>\na\nb\nc\n", "test");
  return asked_model(backend, asked_config(tokenizer), tokenizer, 1);
}

bool ends_line(std::span<const std::int32_t> tokens) {
  return tokens.back() == 0;
}

/// The best texts of at most `length` tokens, of which only the last is <eos>, by ln P a token.
std::vector<std::pair<double, Ids>> best_texts(const LoadedModel& model, const Ids& prompt,
                                               std::int64_t length, std::int32_t excluded) {
  std::vector<Ids> open{{}}, texts;
  for (std::int64_t t = 1; t <= length; ++t) {
    std::vector<Ids> longer;
    for (const Ids& text : open)
      for (std::int32_t id = 0; id < 5; ++id) {
        if (id == excluded) continue;
        Ids next = text;
        next.push_back(id);
        (id == 0 || t == length ? texts : longer).push_back(next);
      }
    open = longer;
  }
  std::vector<Ids> whole;
  for (const Ids& text : texts) {
    whole.push_back(prompt);
    whole.back().insert(whole.back().end(), text.begin(), text.end());
  }
  const auto log_prob = Scorer(model).score(whole);
  std::vector<std::pair<double, Ids>> scored;
  for (std::size_t k = 0; k < texts.size(); ++k) {
    double sum = 0;
    for (std::size_t t = prompt.size(); t < whole[k].size(); ++t) sum += double(log_prob[k][t]);
    scored.emplace_back(sum / double(texts[k].size()), texts[k]);
  }
  std::ranges::sort(scored, std::greater());
  return scored;
}

class BeamSearch : public OnEachBackend {};

// A beam as wide as there are texts forgets none of them.
TEST_P(BeamSearch, FindsTheBestTexts) {
  const LoadedModel model = few_words(backend_);
  for (const Ids& prompt : {Ids{}, Ids{2, 3}})
    for (const std::int32_t excluded : {-1, 1}) {
      TokenStates states(model, {.rows = 64});
      const auto found =
          beam_search(states, prompt, {.length = 3, .excluded_id = excluded, .ends = ends_line});
      const auto expected = best_texts(model, prompt, 3, excluded);
      ASSERT_GE(found.size(), 20U);
      for (std::size_t k = 0; k < 20; ++k) {
        EXPECT_EQ(found[k].tokens, expected[k].second) << k;
        EXPECT_NEAR(found[k].score(), expected[k].first, 1e-5);
        EXPECT_EQ(found[k].ended, found[k].tokens.back() == 0);
      }
    }
}

TEST_P(BeamSearch, OfWidthOneTakesTheMostProbable) {
  const LoadedModel model = asked_model(backend_);
  TokenStates states(model, {});
  const Ids prompt{5, 6};
  const auto found = beam_search(states, prompt, {.length = 12});
  ASSERT_EQ(found.size(), 1U);
  Ids text = prompt;
  double sum = 0;
  for (std::size_t t = 0; t < 12; ++t) {
    TokenStates looking(model, {.name = "looking"});
    const auto log_prob = predict(looking, std::span(&text, 1))[0];
    text.push_back(most_probable(log_prob, 1)[0]);
    EXPECT_EQ(found[0].tokens[t], text.back());
    sum += double(log_prob[std::size_t(text.back())]);
  }
  EXPECT_NEAR(found[0].log_prob, sum, 1e-4);
  EXPECT_FALSE(found[0].ended);
}

// The states follow their texts from row to row.
TEST_P(BeamSearch, LogProbabilitiesAreThoseOfTheTexts) {
  const LoadedModel model = asked_model(backend_);
  TokenStates states(model, {.rows = 7});
  const Ids prompt{5};
  const auto found = beam_search(states, prompt, {.length = 10, .ends = ends_line});
  EXPECT_EQ(found.size(), 7U);
  for (const BeamText& text : found) {
    std::vector<Ids> whole{prompt};
    whole[0].insert(whole[0].end(), text.tokens.begin(), text.tokens.end());
    const auto log_prob = Scorer(model).score(whole);
    ASSERT_EQ(text.log_probs.size(), text.tokens.size());
    for (std::size_t t = 0; t < text.tokens.size(); ++t)
      EXPECT_NEAR(text.log_probs[t], log_prob[0][t + 1], 1e-4);
  }
  EXPECT_TRUE(std::ranges::is_sorted(found, std::greater(), &BeamText::score));
}

UNROLL_FOR_EACH_BACKEND(BeamSearch);

TEST(BeamArguments, AreChecked) {
  const LoadedModel model = asked_model(cpu(1));
  TokenStates states(model, {});
  EXPECT_EQ(error_of<std::invalid_argument>([&] { beam_search(states, {}, {.length = 0}); }),
            "length: got 0, expected 1 or more");
}

}  // namespace
}  // namespace unroll::test
