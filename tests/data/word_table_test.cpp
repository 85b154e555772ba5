#include "host/data/word_table.h"

#include <gtest/gtest.h>

#include <string>
#include <unordered_map>
#include <vector>

namespace unroll::test {
namespace {

// Against the standard library's map, with enough words to grow several times and to collide.
TEST(WordTable, AgreesWithAMap) {
  WordTable table;
  std::unordered_map<std::string, std::int32_t> map;
  std::vector<std::string> words;
  for (std::int64_t k = 0; k < 200'000; ++k) {
    const std::string word = "w" + std::to_string(k * k % 70'001) + std::string(k % 3, 'x');
    const auto [at, inserted] = map.emplace(word, std::int32_t(map.size()));
    if (inserted) {
      ASSERT_EQ(table.find(word), -1);
      words.push_back(word);
    }
    ASSERT_EQ(table.add(word), at->second);
    ASSERT_EQ(table.find(word), at->second);
  }
  EXPECT_EQ(table.size(), std::int32_t(map.size()));
  EXPECT_EQ(table.words(), words);
  for (const auto& [word, number] : map) ASSERT_EQ(table.find(word), number);
  EXPECT_EQ(table.find("not there"), -1);
}

// Around the size up to which a word is compared within its slot; zeros at the end count.
TEST(WordTable, TellsShortWordsApart) {
  WordTable table;
  std::vector<std::string> words;
  for (std::size_t size = 0; size <= 10; ++size) {
    words.emplace_back(size, '\0');
    for (std::size_t at = 0; at < size; ++at) {
      words.emplace_back(size, '\0');
      words.back()[at] = '\xFF';
    }
  }
  for (std::size_t k = 0; k < words.size(); ++k) ASSERT_EQ(table.add(words[k]), std::int32_t(k));
  for (std::size_t k = 0; k < words.size(); ++k) EXPECT_EQ(table.find(words[k]), std::int32_t(k));
  EXPECT_EQ(table.words(), words);
}

TEST(WordTable, TakesWordsOfAnyLength) {
  WordTable table;
  const std::string longest(1'000'000, 'x');
  EXPECT_EQ(table.add(""), 0);
  EXPECT_EQ(table.add(longest), 1);
  EXPECT_EQ(table.add(longest + "y"), 2);
  EXPECT_EQ(table.find(longest), 1);
  EXPECT_EQ(table.find(""), 0);
  EXPECT_EQ(table.words()[1], longest);
}

}  // namespace
}  // namespace unroll::test
