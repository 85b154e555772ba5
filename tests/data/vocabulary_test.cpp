#include "host/data/vocabulary.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Words = std::vector<std::string>;

Vocabulary build(const std::string& text, const Vocabulary::Limits& limits = {}) {
  return Vocabulary::build(TextSource(text, "text"), limits);
}

Words words(const Vocabulary& vocabulary) {
  Words words;
  words.reserve(static_cast<std::size_t>(vocabulary.size()));
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) words.push_back(vocabulary.word(id));
  return words;
}

TEST(Vocabulary, OrdersByFallingCountThenByFirstAppearance) {
  const Vocabulary vocabulary = build("b a c\nc a d\n\n");
  // <eos> 3, a 2, c 2, b 1, d 1; <unk> never.
  EXPECT_EQ(words(vocabulary), (Words{"<eos>", "a", "c", "b", "d", "<unk>"}));
  EXPECT_EQ(vocabulary.eos(), 0);
  EXPECT_EQ(vocabulary.unk(), 5);
}

TEST(Vocabulary, FindsWordsAndFallsBackToUnk) {
  const Vocabulary vocabulary = build("a b\n");
  EXPECT_EQ(vocabulary.word(vocabulary.find("b").value()), "b");
  EXPECT_EQ(vocabulary.find("z"), std::nullopt);
  EXPECT_EQ(vocabulary.find("z"), std::nullopt);
  EXPECT_EQ(vocabulary.find("<eos>"), vocabulary.eos());
  EXPECT_THROW(vocabulary.word(-1), std::invalid_argument);
  EXPECT_THROW(vocabulary.word(vocabulary.size()), std::invalid_argument);
}

TEST(Vocabulary, CapIncludesSpecialsAndUnkCountsWhatWasLeftOut) {
  const std::string text = "a a a a b b b c c d\n";
  EXPECT_EQ(words(build(text, {.max_size = 4})), (Words{"a", "b", "<unk>", "<eos>"}));
  EXPECT_EQ(words(build(text, {.max_size = 3})), (Words{"<unk>", "a", "<eos>"}));
  EXPECT_EQ(words(build(text, {.max_size = 2})), (Words{"<unk>", "<eos>"}));
  EXPECT_EQ(words(build(text, {.max_size = 100})), (Words{"a", "b", "c", "d", "<eos>", "<unk>"}));
}

TEST(Vocabulary, MinimumCountLeavesRareWordsOutButNeverTheSpecials) {
  EXPECT_EQ(words(build("a a b\n", {.min_count = 2})), (Words{"a", "<unk>", "<eos>"}));
  EXPECT_EQ(words(build("a\n", {.min_count = 9})), (Words{"<unk>", "<eos>"}));
}

TEST(Vocabulary, UsesTheTextsOwnSpecials) {
  const Vocabulary vocabulary = build("<unk> <unk> a <eos>\n");
  EXPECT_EQ(words(vocabulary), (Words{"<unk>", "<eos>", "a"}));
}

TEST(Vocabulary, BlankLinesAreText) {
  EXPECT_EQ(words(build("\n")), (Words{"<eos>", "<unk>"}));
}

TEST(Vocabulary, RejectsBadLimitsAndBadText) {
  EXPECT_THROW(build("a\n", {.max_size = 1}), std::invalid_argument);
  EXPECT_THROW(build("a\n", {.max_size = -5}), std::invalid_argument);
  EXPECT_THROW(build("a\n", {.min_count = 0}), std::invalid_argument);
  EXPECT_THROW(build(""), std::runtime_error);
  EXPECT_THROW(build("a\xFFz\n"), std::runtime_error);
}

TEST(Vocabulary, RoundTripsThroughItsText) {
  const Vocabulary built = build("na\xC3\xAFve words\nwords\n");
  EXPECT_EQ(built.to_text(), "words\n<eos>\nna\xC3\xAFve\n<unk>\n");
  const Vocabulary again = Vocabulary::parse(built.to_text(), "vocab.txt");
  EXPECT_EQ(words(again), words(built));
  EXPECT_EQ(again.eos(), built.eos());
  EXPECT_EQ(again.unk(), built.unk());
}

TEST(Vocabulary, CopiesAndMovesKeepTheirWords) {
  Vocabulary first = build("a b\n");
  const Vocabulary copy = first;
  const Vocabulary moved = std::move(first);
  EXPECT_EQ(words(copy), words(moved));
  EXPECT_EQ(copy.find("b"), moved.find("b"));
}

TEST(Vocabulary, RejectsDamagedFiles) {
  const auto error = [](std::string_view text) {
    return error_of<std::runtime_error>([&] { Vocabulary::parse(text, "vocab.txt"); });
  };
  EXPECT_TRUE(contains(error(""), "vocab.txt: is empty"));
  EXPECT_TRUE(contains(error("<unk>\n\n<eos>\n"), "line 2: blank"));
  EXPECT_TRUE(contains(error("\n"), "line 1: blank"));
  EXPECT_TRUE(contains(error("<unk>\n<eos>\na\na\n"), "line 4: token 'a' again, first on line 3"));
  EXPECT_TRUE(contains(error("\x1B[1m\n\x1B[1m\n"), "line 2: token '\\x1b[1m' again"));
  EXPECT_TRUE(contains(error("<unk>\na\n"), "no token '<eos>'"));
  EXPECT_TRUE(contains(error("a\n<eos>\n"), "no token '<unk>'"));
  EXPECT_TRUE(contains(error("<unk>\r\n<eos>\r\n"), "line 1: white space"));
  EXPECT_TRUE(contains(error("<unk>\n<eos>\na b\n"), "line 3: white space"));
  EXPECT_TRUE(contains(error(std::string_view("<unk>\n<eos>\na\0b\n", 16)), "line 3"));
  EXPECT_TRUE(contains(error("<unk>\n<eos>\n\xC3\n"), "line 3: not UTF-8"));
  EXPECT_EQ(error("<unk>\n<eos>"), "no exception");  // as editors leave it
}

}  // namespace
}  // namespace unroll::test
