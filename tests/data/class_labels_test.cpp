#include "host/data/class_labels.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

std::string parse_error(const std::string& text) {
  return error_of<std::runtime_error>([&] { ClassLabels::parse(text, "labels.txt"); });
}

TEST(ClassLabels, AreSortedByTheirBytes) {
  const ClassLabels labels({"b", "\xC3\xA9", "Z", "a b", "a", "10", "9"}, "train.tsv");
  EXPECT_EQ(labels.to_text(), "10\n9\nZ\na\na b\nb\n\xC3\xA9\n");
  EXPECT_EQ(labels.size(), 7);
  EXPECT_EQ(labels.label(2), "Z");
  EXPECT_EQ(labels.find("a b"), 4);
  EXPECT_EQ(labels.find("\xC3\xA9"), 6);
  for (const char* other : {"", "A", "a ", "\xC3", "zz"})
    EXPECT_EQ(labels.find(other), std::nullopt);
  EXPECT_THROW(labels.label(-1), std::invalid_argument);
  EXPECT_THROW(labels.label(7), std::invalid_argument);
  EXPECT_EQ(ClassLabels().size(), 0);
}

TEST(ClassLabels, AreTwoOrMore) {
  const auto error = [](const std::vector<std::string>& labels) {
    return error_of<std::runtime_error>([&] { ClassLabels(labels, "train.tsv"); });
  };
  EXPECT_EQ(error({}), "train.tsv: got none, expected 2 classes or more");
  EXPECT_EQ(error({"a"}), "train.tsv: got only the class 'a', expected 2 classes or more");
  std::vector<std::string> many;
  for (std::int64_t k = 0; k < ClassLabels::kMost; ++k) many.push_back(std::to_string(k));
  EXPECT_EQ(error(many), "no exception");
  many.emplace_back("one more");
  EXPECT_EQ(error(many), "train.tsv: got 65537 classes, expected at most 65536");
}

TEST(ClassLabels, RoundTripThroughTheirText) {
  const std::string text = "<other>\nnot so good\n\xE2\x82\xAC\n";
  EXPECT_EQ(ClassLabels::parse(text, "labels.txt").to_text(), text);
  EXPECT_EQ(ClassLabels::parse("a\nb", "labels.txt").to_text(), "a\nb\n");
}

TEST(ClassLabels, RefuseEveryOtherText) {
  const std::string form = ", expected a label: UTF-8 without white space, but blanks within it";
  EXPECT_EQ(parse_error(""), "labels.txt: is empty, expected one label per line");
  EXPECT_EQ(parse_error("\n"), "labels.txt: line 1: got ''" + form);
  EXPECT_EQ(parse_error("a\n\nb\n"), "labels.txt: line 2: got ''" + form);
  EXPECT_EQ(parse_error("a\nb \n"), "labels.txt: line 2: got 'b '" + form);
  EXPECT_EQ(parse_error(" a\nb\n"), "labels.txt: line 1: got ' a'" + form);
  for (const std::string& bad : {std::string("a\r\nb\r\n"), std::string("a\tx\nb\n"),
                                 std::string("a\0\nb\n", 5), std::string("a\xFF\nb\n")})
    EXPECT_TRUE(contains(parse_error(bad), "line 1: got ")) << parse_error(bad);
  EXPECT_EQ(parse_error("b\na\n"),
            "labels.txt: line 2: got 'a', expected a label that comes after 'b'");
  EXPECT_EQ(parse_error("a\na\n"),
            "labels.txt: line 2: got 'a', expected a label that comes after 'a'");
  EXPECT_EQ(parse_error("a\n"), "labels.txt: got only the class 'a', expected 2 classes or more");
}

}  // namespace
}  // namespace unroll::test
