#include "host/cli/help_format.h"

#include <gtest/gtest.h>

namespace unroll::test {
namespace {

using cli::fold;

TEST(Fold, BreaksLinesBetweenWords) {
  EXPECT_EQ(fold("", 10, 0), "");
  EXPECT_EQ(fold("one two three", 40, 0), "one two three");
  EXPECT_EQ(fold("one two three", 7, 0), "one two\nthree");
  EXPECT_EQ(fold("one two three", 6, 0), "one\ntwo\nthree");
  EXPECT_EQ(fold("one two three", 10, 3), "one two\n   three");
  EXPECT_EQ(fold("a /long/path/of/twenty b", 10, 0), "a\n/long/path/of/twenty\nb");
}

TEST(Fold, KeepsLineEndsAndBlanksThatIndent) {
  EXPECT_EQ(fold("one\ntwo three", 8, 2), "one\n  two\n  three");
  EXPECT_EQ(fold("one\n\n  two", 20, 0), "one\n\n  two");
}

}  // namespace
}  // namespace unroll::test
