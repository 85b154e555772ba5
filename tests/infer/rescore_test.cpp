/// N-best lists sorted with a model, and the weights of the fewest word errors.
#include "host/infer/rescore.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "tests/support/asked_model.h"
#include "tests/support/backends.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

Hypothesis hypothesis(const std::string& text, double score, double log_prob = 0) {
  Hypothesis h{.id = "0", .text = text, .score = score};
  h.log_prob = log_prob;
  h.words = std::ssize(words_of(text));
  return h;
}

/// All edits that lead from one text to the other, tried one by one.
std::int64_t slow_word_errors(std::span<const std::string_view> a,
                              std::span<const std::string_view> b) {
  if (a.empty() || b.empty()) return std::ssize(a) + std::ssize(b);
  return std::min({slow_word_errors(a.subspan(1), b.subspan(1)) + (a[0] == b[0] ? 0 : 1),
                   slow_word_errors(a.subspan(1), b) + 1, slow_word_errors(a, b.subspan(1)) + 1});
}

TEST(WordErrors, AreTheFewestEdits) {
  EXPECT_EQ(word_errors("a b c", "a b c"), 0);
  EXPECT_EQ(word_errors("", "a b"), 2);
  EXPECT_EQ(word_errors("a b", " "), 2);
  EXPECT_EQ(word_errors("b  a\tc", "a b c"), 2);
  const std::vector<std::string> texts{"a b a c",   "c a b",       "b b a a b",   "a",
                                       "c c b a c", "b a c a b c", "a a b b c c", ""};
  for (const std::string& x : texts)
    for (const std::string& y : texts)
      EXPECT_EQ(word_errors(x, y), slow_word_errors(words_of(x), words_of(y))) << x << " / " << y;
}

TEST(Rescore, MixesTheScoresAndPutsTheBestFirst) {
  NBestList list{"0",
                 {hypothesis("a b c", -1, -9), hypothesis("a", -2, -4), hypothesis("b", -2, -4),
                  hypothesis("c c", -9, -3)}};
  const auto texts = [&](const RescoreWeights& weights) {
    NBestList sorted = list;
    rescore(sorted, weights, "LM");
    std::string joined;
    for (const Hypothesis& h : sorted.hypotheses) joined += h.text + "/";
    return joined;
  };
  EXPECT_EQ(texts({0}), "a b c/a/b/c c/");
  EXPECT_EQ(texts({1}), "c c/a/b/a b c/");
  EXPECT_EQ(texts({0.5}), "a/b/a b c/c c/");   // -3, -3, -5, -6
  EXPECT_EQ(texts({1, 4}), "c c/a b c/a/b/");  // 5, 3, 0, 0
  rescore(list, {0.25, 2}, "LM");
  // 0.75 * -1 + 0.25 * (-9 + 6) = -1.5 is that of the first.
  EXPECT_EQ(to_line(NBestFormat::kMoses, list.hypotheses[0]),
            "0 ||| a b c ||| LM= -9.000000 ||| -1.5");
}

TEST(Tune, FindsTheWeightsOfTheFewestErrors) {
  // The model is right in the first, the scores in the second, both together in the third.
  const std::vector<NBestList> lists{
      {"0", {hypothesis("x", 0, -9), hypothesis("a", -1, -1)}},
      {"1", {hypothesis("b", 0, -2), hypothesis("x", -9, -1)}},
      {"2", {hypothesis("x", 0, -9), hypothesis("y", -9, 0), hypothesis("c", -2, -2)}}};
  const TunedWeights tuned = tune(lists, {{"0", "a"}, {"1", "b"}, {"2", "c"}, {"3", "more"}});
  EXPECT_EQ(tuned.before.errors, 2);
  EXPECT_EQ(tuned.after.errors, 0);
  EXPECT_EQ(tuned.oracle.errors, 0);
  EXPECT_EQ(tuned.after.words, 3);
  EXPECT_EQ(tuned.before.rate(), 2.0 / 3);
  EXPECT_GT(tuned.weights.model, 0.2);
  EXPECT_LT(tuned.weights.model, 0.8);
}

// A model likes short texts; only a bonus finds the long ones.
TEST(Tune, FindsABonus) {
  const std::vector<NBestList> lists{
      {"0", {hypothesis("a", 0, -4), hypothesis("a b c", 0, -9), hypothesis("x y z w", 0, -30)}}};
  const TunedWeights tuned = tune(lists, {{"0", "a b c"}});
  EXPECT_EQ(tuned.after.errors, 0);
  EXPECT_GT(tuned.weights.word_bonus, 2.5);
}

TEST(Tune, NeedsReferences) {
  const std::vector<NBestList> lists{{"7", {hypothesis("a", 0)}}};
  EXPECT_EQ(error_of<std::runtime_error>([&] {
              tune(lists, {{"0", "a"}});
            }),
            "list '7': got no reference of this id, expected one");
  EXPECT_EQ(error_of<std::runtime_error>([&] {
              tune(lists, {{"7", " "}});
            }),
            "got references without a word, expected some words");
}

class ScoredLists : public OnEachBackend {};

TEST_P(ScoredLists, HaveTheScoresOfTheirLines) {
  const LoadedModel model = asked_model(backend_);
  const Tokenizer tokenizer = asked_tokenizer();
  std::vector<NBestList> lists{
      {"0", {hypothesis("w0 w1 w2", 0), hypothesis("w3", 0), hypothesis("", 0)}},
      {"1", {hypothesis("w4 unknown w5", 0)}}};
  Scorer scorer(model);
  score_lists(scorer, tokenizer, lists);
  for (const NBestList& list : lists)
    for (const Hypothesis& h : list.hypotheses) {
      const std::vector<std::vector<std::int32_t>> ids{tokenizer.encode(h.text + "\n")};
      const auto log_prob = scorer.score(ids);
      double sum = 0;
      for (const float p : log_prob[0]) sum += double(p);
      EXPECT_NEAR(h.log_prob, sum, backend_->kind() == DeviceKind::kCpu ? 0 : 1e-3) << h.text;
      EXPECT_EQ(h.words, std::ssize(words_of(h.text)));
    }
  lists[1].hypotheses[0].text = "\xFF";
  EXPECT_EQ(error_of<std::runtime_error>([&] { score_lists(scorer, tokenizer, lists); }),
            "'0': byte 1: got 0xFF, expected UTF-8 text without NUL (the tokenizer byte takes any "
            "bytes)");
}

UNROLL_FOR_EACH_BACKEND(ScoredLists);

}  // namespace
}  // namespace unroll::test
