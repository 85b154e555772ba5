/// The grammar against itself (sums, chain rule, graph), against counts in a large sample, against
/// English, and against a trigram model, which has to be clearly worse than the truth: the corpus
/// is there to show what a recurrent net remembers and an n-gram does not.
#include "host/data/grammar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <map>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace unroll::test {
namespace {

const Grammar& grammar() {
  static const Grammar english = Grammar::english();
  return english;
}

std::vector<std::string> split(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

std::vector<std::string> lines(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> all;
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

/// The text as indices into words(), with `<eos>`, which is 0, at the end of each line.
std::vector<std::size_t> tokens(const std::string& text) {
  std::vector<std::size_t> ids;
  for (const std::string& line : lines(text)) {
    for (const std::string& word : split(line)) ids.push_back(grammar().index_of(word));
    ids.push_back(0);
  }
  return ids;
}

Grammar::History after(const std::string& words) {
  auto history = grammar().start();
  for (const std::string& word : split(words)) history.advance(word);
  return history;
}

TEST(GrammarAutomaton, TransitionsOfEveryStateSumToOne) {
  double rarest = 1;
  for (std::size_t s = 0; s < grammar().states(); ++s) {
    double sum = 0;
    for (const auto& t : grammar().transitions(s)) {
      ASSERT_LT(t.word, grammar().words().size());
      ASSERT_LT(t.next, grammar().states());
      sum += t.probability;
      rarest = std::min(rarest, t.probability);
    }
    // At most a few dozen transitions, each a product of at most six rounded factors.
    EXPECT_NEAR(sum, 1, 1e-13) << "state " << s;
  }
  EXPECT_GE(rarest, 0.005);  // a learner has to see every continuation often
  EXPECT_LE(grammar().states(), 2100u);
  RecordProperty("states", static_cast<int>(grammar().states()));
  RecordProperty("types", static_cast<int>(grammar().words().size()));
}

TEST(GrammarAutomaton, EveryStateIsReachableAndReachesTheEnd) {
  const std::size_t count = grammar().states();
  std::vector<std::vector<std::size_t>> out(count), in(count);
  for (std::size_t s = 0; s < count; ++s)
    for (const auto& t : grammar().transitions(s)) {
      out[s].push_back(t.next);
      in[t.next].push_back(s);
    }
  for (const auto& edges : {out, in}) {
    std::vector<bool> seen(count);
    std::vector<std::size_t> open = {0};
    seen[0] = true;
    while (!open.empty()) {
      const std::size_t s = open.back();
      open.pop_back();
      for (const std::size_t next : edges[s])
        if (!seen[next]) {
          seen[next] = true;
          open.push_back(next);
        }
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), true), static_cast<std::ptrdiff_t>(count));
  }
}

// Without the transitions that emit <eos> there is no loop, so that sentences are bounded.
TEST(GrammarAutomaton, OnlyEosReturnsAndNothingElseLoops) {
  const std::size_t count = grammar().states();
  std::vector<std::size_t> incoming(count);
  for (std::size_t s = 0; s < count; ++s)
    for (const auto& t : grammar().transitions(s)) {
      EXPECT_EQ(t.word == 0, t.next == 0);
      if (t.word != 0) ++incoming[t.next];
    }
  std::vector<std::size_t> open = {0};
  std::size_t sorted = 0;
  while (!open.empty()) {
    const std::size_t s = open.back();
    open.pop_back();
    ++sorted;
    for (const auto& t : grammar().transitions(s))
      if (t.word != 0 && --incoming[t.next] == 0) open.push_back(t.next);
  }
  EXPECT_EQ(sorted, count);
}

TEST(GrammarAutomaton, WordsAreSortedWithEosFirst) {
  const auto& words = grammar().words();
  EXPECT_EQ(words[0], "<eos>");
  EXPECT_TRUE(std::is_sorted(words.begin() + 1, words.end()));
  for (std::size_t w = 0; w < words.size(); ++w) EXPECT_EQ(grammar().index_of(words[w]), w);
}

TEST(GrammarHistory, DistributionsSumToOne) {
  auto history = grammar().start();
  std::size_t most = 0;
  for (const std::size_t word : tokens(grammar().sample(5, 2000))) {
    const auto next = history.next();
    // Fewer than 100 products of at most a few live states, all positive: 1e-13 is 450 roundings.
    ASSERT_NEAR(std::accumulate(next.begin(), next.end(), 0.0), 1, 1e-13);
    ASSERT_GT(next[word], 0);
    ASSERT_NEAR(history.probability(grammar().words()[word]), next[word], 1e-15);
    history.advance(word);
    most = std::max(most, history.live_states());
  }
  EXPECT_GT(most, 1u);  // it is not deterministic: what the words mean is open for a while
}

TEST(GrammarHistory, ChainRuleGivesTheLogProbability) {
  const std::string text = grammar().sample(6, 500);
  auto history = grammar().start();
  double sum = 0;
  const auto ids = tokens(text);
  for (const std::size_t word : ids) {
    sum += std::log(history.next()[word]);
    history.advance(word);
  }
  const auto score = grammar().log_probability(text);
  EXPECT_EQ(score.tokens, static_cast<std::int64_t>(ids.size()));
  // Each logarithm differs by a few roundings of an argument of O(1), over about 6000 tokens.
  EXPECT_NEAR(score.log_probability, sum, 1e-9);
  EXPECT_NEAR(std::log(score.perplexity()), -sum / static_cast<double>(ids.size()), 1e-12);
}

TEST(GrammarHistory, StartsAfreshAfterEos) {
  EXPECT_EQ(after("they ate the cake <eos>").next(), grammar().start().next());
}

TEST(GrammarHistory, AnImpossibleWordThrowsAndChangesNothing) {
  auto history = after("the cake , which contained candles , was");
  const auto before = history.next();
  EXPECT_EQ(history.probability("drunk"), 0);
  EXPECT_EQ(history.probability("zebra"), 0);
  EXPECT_THROW(history.advance("drunk"), std::invalid_argument);
  EXPECT_THROW(history.advance(grammar().words().size()), std::invalid_argument);
  try {
    history.advance("zebra");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("'zebra'"), std::string::npos);
  }
  EXPECT_EQ(history.next(), before);
  EXPECT_GT(history.advance("eaten"), 0);
}

// The count k of a word in n visits to one history is binomial(n, p). Of some thousand pairs
// compared, none should leave 5 standard deviations (6e-7 each, by the normal approximation, which
// n p (1 - p) >= 20 makes fair); half a count of slack is for k being an integer.
TEST(GrammarSample, FrequenciesAgreeWithTheDistribution) {
  constexpr double kSigmas = 5;
  std::map<std::string, std::map<std::size_t, int>> counts;
  for (const std::string& line : lines(grammar().sample(7, 100000))) {
    std::string prefix;
    for (const std::string& word : split(line + " <eos>")) {
      ++counts[prefix][grammar().index_of(word)];
      prefix += word + ' ';
    }
  }
  int pairs = 0;
  std::size_t longest = 0;
  for (const auto& [prefix, followers] : counts) {
    int visits = 0;
    for (const auto& [word, count] : followers) visits += count;
    if (visits < 100) continue;
    const auto next = after(prefix).next();
    for (std::size_t w = 0; w < next.size(); ++w) {
      const double variance = visits * next[w] * (1 - next[w]);
      if (variance < 20) continue;
      const auto found = followers.find(w);
      const int count = found == followers.end() ? 0 : found->second;
      EXPECT_LE(std::abs(count - visits * next[w]), kSigmas * std::sqrt(variance) + 0.5)
          << '"' << prefix << "\" then " << grammar().words()[w];
      ++pairs;
      longest = std::max(longest, split(prefix).size());
    }
  }
  EXPECT_GT(pairs, 1000);
  EXPECT_GE(longest, 6u);
}

TEST(GrammarSample, AcceptsWhatItSamples) {
  std::size_t longest = 0;
  for (const std::string& line : lines(grammar().sample(8, 5000))) {
    EXPECT_TRUE(grammar().accepts(line)) << line;
    longest = std::max(longest, split(line).size());
  }
  EXPECT_LE(longest, 32u);
}

// FNV-1a of the text, recorded with g++ 12 on x86-64. It changes when the grammar does.
TEST(GrammarSample, IsTheSameEverywhere) {
  const std::string text = grammar().sample(1, 1000);
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  EXPECT_EQ(hash, 7398160645191833657u) << text.substr(0, 200);
  EXPECT_EQ(grammar().sample(1, 10), text.substr(0, grammar().sample(1, 10).size()));
  EXPECT_NE(grammar().sample(2, 10), grammar().sample(1, 10));
  EXPECT_EQ(grammar().sample(1, 0), "");
  EXPECT_THROW(grammar().sample(1, -1), std::invalid_argument);
}

TEST(GrammarEnglish, AcceptsAttachmentToVerbAndNoun) {
  for (const char* sentence : {
           "he ate the cake with the fork",
           "he ate the cake with the cherries",
           "he ate the cake with the cherries with the fork",
           "she cut the cake with her knife because she was hungry",
           "the girls washed the plate with a sponge because it was dirty",
           "the girl washed the plates with a sponge because they were dirty",
           "every day the boy , who likes birds , reads a letter and sings",
           "they cut a tree with an axe",
       })
    EXPECT_TRUE(grammar().accepts(sentence)) << sentence;
}

TEST(GrammarEnglish, AcceptsAgreementAcrossAClause) {
  for (const char* sentence : {
           "the cake , which contained candles , was eaten",
           "the cakes , which contained a candle , were eaten",
           "the cake , which belonged to the girls , has been eaten",
           "the men , who like the book , open a door",
       })
    EXPECT_TRUE(grammar().accepts(sentence)) << sentence;
}

TEST(GrammarEnglish, RejectsWhatAgreesWithTheWrongWord) {
  for (const char* sentence : {
           "",
           "he",
           "the cake , which contained candles , were eaten",
           "the cakes , which contained a candle , was eaten",
           "the cake , which belonged to the girls , have been eaten",
           "the men , who like the book , opens a door",
           "the man , who like the book , opens a door",
           "the soup , which contained onions , was written",
           "he ate the soup with the fork",
           "he saw the cake with the fork",
           "she cut the cake with his knife",
           "the girl cut the cake because he was hungry",
           "she drank the tea because she was hungry",
           "the girl washed the plates with a sponge because it was dirty",
           "yesterday he eats the cake",
           "every day she ate the cake",
           "he ate the cake and sings",
           "they ate a apple",
           "they cut a tree with a axe",
           "he ate the cake <eos>",
       })
    EXPECT_FALSE(grammar().accepts(sentence)) << sentence;
}

// The noun after "with the" depends on the verb and the object, three and five words before.
TEST(GrammarEnglish, TheToolDependsOnVerbAndObject) {
  const double eat_cake = after("he ate the cake with the").probability("fork");
  EXPECT_GT(eat_cake, 0.3);
  EXPECT_LT(eat_cake, 0.5);
  EXPECT_GT(after("he ate the soup with the").probability("spoon"), 0.3);
  EXPECT_EQ(after("he ate the soup with the").probability("fork"), 0);
  EXPECT_EQ(after("he saw the cake with the").probability("fork"), 0);
  EXPECT_GT(after("he cut the cake with the").probability("knife"), 0.3);
  EXPECT_GT(after("he saw the cake with the").probability("cherries"),
            after("he ate the cake with the").probability("cherries"));
}

TEST(GrammarScore, CountsOneEosALine) {
  const std::string line = "he ate the cake";
  const auto one = grammar().log_probability(line + "\n");
  EXPECT_EQ(one.tokens, 5);
  EXPECT_EQ(grammar().log_probability(line).log_probability, one.log_probability);
  EXPECT_EQ(grammar().log_probability(line + "\n" + line).tokens, 10);
  EXPECT_EQ(grammar().log_probability("").tokens, 0);
  EXPECT_EQ(grammar().log_probability("").perplexity(), 1);
}

TEST(GrammarScore, NamesTheLineAndTheWordItCannotProduce) {
  for (const auto& [text, expected] : std::map<std::string, std::string>{
           {"he ate the cake\nhe ate the zebra\n", "line 2: grammar: got 'zebra'"},
           {"he the\n", "line 1: grammar: 'the'"},
           {"he ate the cake\n\n", "line 2: grammar: '<eos>'"},
           {"he ate the cake <eos>\n", "line 1: grammar: got '<eos>'"},
       }) {
    try {
      grammar().log_probability(text);
      FAIL() << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_EQ(std::string(error.what()).substr(0, expected.size()), expected);
    }
  }
}

/// An interpolated trigram model: P = l3 P3 + l2 P2 + l1 P1 + l0 / V with the weights chosen by
/// expectation-maximisation on a text of their own (Jelinek and Mercer, 1980).
class Trigram {
 public:
  Trigram(const std::vector<std::size_t>& training, const std::vector<std::size_t>& tuning,
          std::size_t types)
      : types_(types), tokens_(training.size()) {
    for_each_trigram(training, [&](std::size_t a, std::size_t b, std::size_t w) {
      ++count_[key(a, b, w)];
      ++count_[key(a, b, kAny)];
      ++count_[key(kAny, b, w)];
      ++count_[key(kAny, b, kAny)];
      ++count_[key(kAny, kAny, w)];
    });
    for (int iteration = 0; iteration < 20; ++iteration) {
      std::array<double, 4> share{};
      for_each_trigram(tuning, [&](std::size_t a, std::size_t b, std::size_t w) {
        const auto p = orders(a, b, w);
        const double sum = std::inner_product(p.begin(), p.end(), weights_.begin(), 0.0);
        for (std::size_t k = 0; k < p.size(); ++k) share[k] += weights_[k] * p[k] / sum;
      });
      for (std::size_t k = 0; k < share.size(); ++k)
        weights_[k] = share[k] / static_cast<double>(tuning.size());
    }
  }

  double perplexity(const std::vector<std::size_t>& text) const {
    double sum = 0;
    for_each_trigram(text, [&](std::size_t a, std::size_t b, std::size_t w) {
      const auto p = orders(a, b, w);
      sum += std::log(std::inner_product(p.begin(), p.end(), weights_.begin(), 0.0));
    });
    return std::exp(-sum / static_cast<double>(text.size()));
  }

 private:
  static constexpr std::size_t kAny = 1023;  // wider than the vocabulary

  static std::size_t key(std::size_t a, std::size_t b, std::size_t w) {
    return (a << 20) | (b << 10) | w;
  }

  template <typename Body>
  static void for_each_trigram(const std::vector<std::size_t>& text, Body&& body) {
    std::size_t a = 0, b = 0;
    for (const std::size_t w : text) {
      body(a, b, w);
      a = b;
      b = w;
    }
  }

  double count(std::size_t a, std::size_t b, std::size_t w) const {
    const auto at = count_.find(key(a, b, w));
    return at == count_.end() ? 0 : at->second;
  }

  std::array<double, 4> orders(std::size_t a, std::size_t b, std::size_t w) const {
    const auto ratio = [](double part, double whole) { return whole > 0 ? part / whole : 0; };
    return {ratio(count(a, b, w), count(a, b, kAny)),
            ratio(count(kAny, b, w), count(kAny, b, kAny)),
            count(kAny, kAny, w) / static_cast<double>(tokens_), 1.0 / static_cast<double>(types_)};
  }

  std::size_t types_, tokens_;
  std::unordered_map<std::size_t, double> count_;
  std::array<double, 4> weights_ = {0.25, 0.25, 0.25, 0.25};
};

TEST(GrammarCorpus, ATrigramModelIsClearlyWorseThanTheTruth) {
  const std::string held_out = grammar().sample(13, 5000);
  const Trigram trigram(tokens(grammar().sample(11, 40000)), tokens(grammar().sample(12, 4000)),
                        grammar().words().size());
  const double truth = grammar().log_probability(held_out).perplexity();
  const double ratio = trigram.perplexity(tokens(held_out)) / truth;
  std::printf("true perplexity %.3f, trigram %.3f, ratio %.3f\n", truth, ratio * truth, ratio);
  EXPECT_GT(truth, 3.5);
  EXPECT_LT(truth, 12);
  EXPECT_GE(ratio, 1.15);
}

}  // namespace
}  // namespace unroll::test
