#include "host/infer/confusion.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace unroll::test {
namespace {

ConfusionTable table() {
  // Rows: what texts are; columns: what they were given. Class 3 neither occurs nor is given, class
  // 2 is only given.
  const int counts[4][4] = {{3, 1, 0, 0}, {2, 4, 1, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}};
  ConfusionTable confusion(4);
  for (std::int32_t row = 0; row < 4; ++row)
    for (std::int32_t column = 0; column < 4; ++column)
      for (int k = 0; k < counts[row][column]; ++k) confusion.add(row, column);
  return confusion;
}

TEST(ConfusionTable, HasTheScoresComputedByHand) {
  const ConfusionTable confusion = table();
  EXPECT_EQ(confusion.texts(), 11);
  EXPECT_EQ(confusion.classes(), 4);
  EXPECT_EQ(confusion.count(1, 0), 2);
  EXPECT_EQ(confusion.count(0, 1), 1);
  EXPECT_EQ(confusion.count(2, 2), 0);
  EXPECT_DOUBLE_EQ(confusion.accuracy(), 7.0 / 11);
  EXPECT_DOUBLE_EQ(confusion.score(0).precision(), 3.0 / 5);
  EXPECT_DOUBLE_EQ(confusion.score(0).recall(), 3.0 / 4);
  EXPECT_DOUBLE_EQ(confusion.score(0).f1(), 2.0 / 3);
  EXPECT_DOUBLE_EQ(confusion.score(1).precision(), 4.0 / 5);
  EXPECT_DOUBLE_EQ(confusion.score(1).recall(), 4.0 / 7);
  EXPECT_DOUBLE_EQ(confusion.score(1).f1(), 2.0 / 3);
  EXPECT_EQ(confusion.score(1).texts, 7);
}

TEST(ConfusionTable, NothingOfNothingIsZero) {
  const ConfusionTable confusion = table();
  EXPECT_EQ(confusion.score(2).precision(), 0);  // given once, wrongly
  EXPECT_EQ(confusion.score(2).recall(), 0);
  EXPECT_EQ(confusion.score(2).f1(), 0);
  EXPECT_EQ(confusion.score(3).precision(), 0);
  EXPECT_EQ(confusion.score(3).f1(), 0);
  // Class 3 is left out, class 2 counts.
  EXPECT_DOUBLE_EQ(confusion.macro_f1(), (2.0 / 3 + 2.0 / 3 + 0) / 3);
  EXPECT_EQ(ConfusionTable(3).accuracy(), 0);
  EXPECT_EQ(ConfusionTable(3).macro_f1(), 0);
}

TEST(ConfusionTable, RefusesWhatIsNoClass) {
  ConfusionTable confusion(2);
  EXPECT_THROW(confusion.add(2, 0), std::out_of_range);
  EXPECT_THROW(confusion.add(0, -1), std::out_of_range);
  EXPECT_THROW(confusion.score(2), std::out_of_range);
  EXPECT_EQ(confusion.texts(), 0);
}

}  // namespace
}  // namespace unroll::test
