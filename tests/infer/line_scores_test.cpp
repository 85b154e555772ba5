/// Lines in ids, and the sums that compare models of different tokens.
#include "host/infer/line_scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "tests/support/asked_model.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Ids = std::vector<std::int32_t>;
using Places = std::vector<std::size_t>;

TEST(LineText, IsATextInIdsWithItsEnd) {
  const Tokenizer words = asked_tokenizer();
  const LineText line = line_text(words, " w0  w3\tw1\r");
  EXPECT_EQ(line.ids, (Ids{2, 5, 3, words.start()}));
  EXPECT_TRUE(line.unknown.empty());
  EXPECT_EQ(line.words, 4);
  EXPECT_EQ(line.bytes, 12);
  EXPECT_EQ(line_text(words, "").ids, Ids{words.start()});

  const Tokenizer characters = asked_tokenizer(TokenizerKind::kChar);
  EXPECT_EQ(line_text(characters, "ab").ids, (Ids{3, 4, 0}));
  const LineText accented = line_text(characters, "a\xC3\xA9 b");
  EXPECT_EQ(accented.characters, 5);
  EXPECT_EQ(accented.bytes, 6);
  EXPECT_EQ(accented.words, 3);
  EXPECT_EQ(accented.first_unknown, "\xC3\xA9");
  EXPECT_EQ(accented.unknown, Places{1});
  EXPECT_EQ(line_text(asked_tokenizer(TokenizerKind::kByte), "\xFF").ids, (Ids{255, '\n'}));
}

// As an evaluation reads a file whose last line has no newline.
TEST(LineText, WithoutANewlineHasAnEndOnlyOfWords) {
  EXPECT_EQ(line_text(asked_tokenizer(), "w0", false).ids, (Ids{2, 0}));
  EXPECT_EQ(line_text(asked_tokenizer(), "w0", false).bytes, 2);
  EXPECT_EQ(line_text(asked_tokenizer(TokenizerKind::kChar), "ab", false).ids, (Ids{3, 4}));
}

// A word that is written <unk> is one of the model's.
TEST(LineText, KnowsWhichTokensAreUnknown) {
  const LineText line = line_text(asked_tokenizer(), "w0 zz <unk> w1 yy zz");
  EXPECT_EQ(line.ids, (Ids{2, 1, 1, 3, 1, 1, 0}));
  EXPECT_EQ(line.unknown, (Places{1, 4, 5}));
  EXPECT_EQ(line.first_unknown, "zz");
}

TEST(LineText, MustBeText) {
  const auto error = [](TokenizerKind kind, std::string_view line) {
    return error_of<std::runtime_error>([&] { line_text(asked_tokenizer(kind), line); });
  };
  EXPECT_EQ(error(TokenizerKind::kWord, "w0 \xFF"),
            "byte 4: got 0xFF, expected UTF-8 text without NUL (the tokenizer byte takes any "
            "bytes)");
  EXPECT_EQ(error(TokenizerKind::kChar, std::string_view("a\0b", 3)),
            "byte 2: got 0x00, expected UTF-8 text without NUL (the tokenizer byte takes any "
            "bytes)");
}

TEST(ScoreSums, AreMeansByTokenWordCharacterAndByte) {
  LineText line;
  line.ids = {2, 1, 0};
  line.unknown = {1};
  line.words = 3;
  line.characters = 9;
  line.bytes = 10;
  LineText empty;
  empty.ids = {0};
  empty.words = empty.characters = empty.bytes = 1;
  ScoreSums sums;
  sums.add(line, std::vector<float>{-1, -4, -2});
  sums.add(empty, std::vector<float>{-0.5F});
  EXPECT_EQ(sums.lines, 2);
  EXPECT_EQ(sums.tokens, 4);
  EXPECT_EQ(sums.unknown, 1);
  EXPECT_DOUBLE_EQ(sums.log_prob, -7.5);
  EXPECT_DOUBLE_EQ(sums.perplexity(), std::exp(7.5 / 4));
  EXPECT_DOUBLE_EQ(sums.known_perplexity(), std::exp(3.5 / 3));
  EXPECT_DOUBLE_EQ(sums.nats_per_word(), 7.5 / 4);
  EXPECT_DOUBLE_EQ(sums.nats_per_character(), 0.75);
  EXPECT_DOUBLE_EQ(sums.bits_per_byte(), 7.5 / 11 / std::log(2.0));
}

}  // namespace
}  // namespace unroll::test
