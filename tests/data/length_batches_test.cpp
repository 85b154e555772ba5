#include "host/data/length_batches.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <vector>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Lengths = std::vector<std::int64_t>;

TEST(LengthBatches, ABatchKeepsItsRankAndItsLengths) {
  Lengths lengths;
  for (std::int64_t k = 0; k < 300; ++k) lengths.push_back(1 + k * 37 % 23);
  LengthBatches batches(lengths, {.batch = 8, .seed = 4});
  EXPECT_EQ(batches.size(), 38);
  EXPECT_EQ(batches.steps(), 23);
  std::vector<Lengths> of_rank(38);
  for (const std::int64_t epoch : {1, 2, 5}) {
    batches.seek(epoch, 0);
    std::set<std::int64_t> ranks, items;
    while (const auto place = batches.next()) {
      Lengths its_lengths;
      for (const std::int64_t item : place->items) {
        its_lengths.push_back(batches.length(item));
        EXPECT_LE(its_lengths.back(), place->steps);
        items.insert(item);
      }
      Lengths& expected = of_rank[std::size_t(place->rank)];
      if (expected.empty()) expected = its_lengths;
      EXPECT_EQ(its_lengths, expected);
      ranks.insert(place->rank);
    }
    EXPECT_EQ(ranks.size(), 38U);
    EXPECT_EQ(items.size(), 300U);
  }
  EXPECT_EQ(of_rank[0].size(), 4U);
}

TEST(LengthBatches, AnyPositionCanBeLookedAt) {
  LengthBatches batches({5, 1, 3, 2, 4}, {.batch = 2, .seed = 2});
  std::vector<Lengths> ahead;
  for (std::int64_t k = 0; k < batches.size(); ++k) {
    const auto place = batches.at(k);
    ahead.emplace_back(place.items.begin(), place.items.end());
  }
  EXPECT_EQ(batches.position(), 0);
  for (const Lengths& expected : ahead) {
    const auto place = batches.next();
    ASSERT_TRUE(place);
    EXPECT_EQ(Lengths(place->items.begin(), place->items.end()), expected);
  }
  EXPECT_FALSE(batches.next());
  EXPECT_EQ(batches.position(), 3);
}

TEST(LengthBatches, TheNumberOfStepsIsBounded) {
  Lengths all(900);
  std::iota(all.begin(), all.end(), 1);
  for (const std::int64_t most : {1, 2, 7, 20, 40}) {
    LengthBatches batches(all, {.batch = 3, .most_steps = most});
    std::set<std::int64_t> steps;
    while (const auto place = batches.next()) steps.insert(place->steps);
    EXPECT_LE(std::ssize(steps), most);
    EXPECT_EQ(*steps.rbegin(), 900);
  }
}

}  // namespace
}  // namespace unroll::test
