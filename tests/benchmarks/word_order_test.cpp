/// The task of exchanged words, and that a bag of words cannot do it although it can learn.
#include "benchmarks/word_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "benchmarks/bag_of_words.h"
#include "host/data/grammar.h"

namespace unroll::test {
namespace {

using Words = std::vector<std::string>;

TEST(WordOrder, ExchangesOnePairOfUnequalNeighbours) {
  const Words sentence{"a", "b", "b", "c", "a"};
  std::map<std::size_t, int> times;
  for (std::uint64_t number = 0; number < 3000; ++number) {
    const Words swapped = benchmark::exchange_neighbours(sentence, 7, number).value();
    std::size_t at = 0;
    while (swapped[at] == sentence[at]) ++at;
    Words again = swapped;
    std::swap(again[at], again[at + 1]);
    EXPECT_EQ(again, sentence);
    EXPECT_NE(swapped[at], swapped[at + 1]);
    ++times[at];
  }
  // Each of the three places 1000 times; 6 deviations of a binomial count are 155.
  ASSERT_EQ(times.size(), 3U);
  EXPECT_FALSE(times.contains(1));
  for (const auto& [at, count] : times) EXPECT_NEAR(count, 1000, 155);
}

TEST(WordOrder, LeavesOutWhatHasNoSuchPair) {
  for (const Words& none : {Words{}, Words{"a"}, Words{"a", "a", "a"}}) {
    EXPECT_FALSE(benchmark::exchange_neighbours(none, 1, 1));
    EXPECT_EQ(benchmark::word_order_lines(none, 1, 1), "");
  }
  EXPECT_EQ(benchmark::word_order_lines({"a", "b"}, 1, 1), "original\ta b\nswapped\tb a\n");
}

TEST(WordOrder, GivesTheSameBytesEverywhere) {
  EXPECT_EQ(benchmark::word_order_lines({"the", "cat", "sat", "on", "the", "mat"}, 1, 0),
            "original\tthe cat sat on the mat\nswapped\tthe cat sat on mat the\n");
}

LabelledTexts texts_of(const std::string& train, const std::string& test) {
  return read_labelled_texts(
      {TextSource(train, "train"), TextSource(test, "valid"), TextSource(test, "test")}, "texts",
      {});
}

double accuracy(const LabelledTexts& texts) {
  benchmark::BagOfWords model(texts, {.epochs = 20, .learning_rate = 0.05}, cpu(1));
  model.train(*texts.train);
  return double(benchmark::count_hits(*texts.test, model.predict(*texts.test))) /
         double(texts.test->size());
}

std::string order_table(std::uint64_t seed) {
  std::string table, text = Grammar::english().sample(seed, 300);
  TextReader reader{TextSource(text, "grammar")};
  Words words;
  for (std::uint64_t number = 0; const auto word = reader.next();) {
    if (!word->empty()) {
      words.emplace_back(*word);
      continue;
    }
    table += benchmark::word_order_lines(words, 3, number++);
    words.clear();
  }
  return table;
}

TEST(BagOfWords, IsRightHalfOfTheTimeAboutOrder) {
  const LabelledTexts texts = texts_of(order_table(1), order_table(2));
  EXPECT_EQ(accuracy(texts), 0.5);
  benchmark::BagOfWords model(texts, {}, cpu(1));
  model.train(*texts.train);
  const std::vector<std::int32_t> predicted = model.predict(*texts.test);
  for (std::size_t k = 0; k < predicted.size(); k += 2) EXPECT_EQ(predicted[k], predicted[k + 1]);
}

TEST(BagOfWords, LearnsWhatWordsTell) {
  // Whether a sentence has a certain word in it.
  const auto table = [](std::uint64_t seed) {
    std::string lines, text = Grammar::english().sample(seed, 600);
    for (std::string_view left = text; !left.empty();) {
      const std::size_t end = left.find('\n');
      const std::string line(left.substr(0, end));
      lines += std::string((" " + line + " ").find(" the ") != line.npos ? "with" : "without") +
               "\t" + line + "\n";
      left.remove_prefix(end + 1);
    }
    return lines;
  };
  const LabelledTexts texts = texts_of(table(1), table(2));
  const auto& per_class = texts.test->statistics.per_class;
  const double most = double(std::ranges::max(per_class)) / double(texts.test->size());
  EXPECT_LT(most, 0.9);
  EXPECT_GT(accuracy(texts), 0.95);
}

}  // namespace
}  // namespace unroll::test
