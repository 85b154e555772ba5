#include "host/data/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "host/base/utf8.h"
#include "host/data/token_ids.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Ids = std::vector<std::int32_t>;
constexpr char32_t kCodePoints = 0x110000;

Tokenizer build(TokenizerKind kind, std::string_view text, const Vocabulary::Limits& limits = {}) {
  return Tokenizer::build(kind, TextSource(text, "text"), limits);
}

/// Every scalar value that may be in a text, once.
std::string all_characters() {
  std::string text;
  for (char32_t code = 1; code < kCodePoints; ++code)
    if (code < 0xD800 || code > 0xDFFF) text += utf8_of(code);
  return text;
}

TEST(Tokenizer, BytesComeBackWhateverTheyAre) {
  const Tokenizer bytes = build(TokenizerKind::kByte, "");
  EXPECT_EQ(bytes.size(), 256);
  EXPECT_EQ(bytes.start(), '\n');
  EXPECT_EQ(bytes.unk(), std::nullopt);
  EXPECT_EQ(bytes.vocabulary_text(), "");
  std::string text;  // every pair of bytes
  for (int a = 0; a < 256; ++a)
    for (int b = 0; b < 256; ++b) text.append({static_cast<char>(a), static_cast<char>(b)});
  const Ids ids = bytes.encode(text);
  ASSERT_EQ(ids.size(), text.size());
  EXPECT_EQ(ids[3], 1);
  EXPECT_TRUE(bytes.decode(ids) == text);
  EXPECT_EQ(bytes.find("\xFF"), 255);
  EXPECT_EQ(bytes.find("ab"), std::nullopt);
  EXPECT_EQ(bytes.label(0x80), "\\x80");
  EXPECT_EQ(bytes.label('\n'), "\\n");
  EXPECT_EQ(bytes.label(0x1B), "\\x1b");
  EXPECT_EQ(bytes.label('\\'), "\\\\");
  EXPECT_EQ(bytes.label(' '), " ");
  EXPECT_THROW(bytes.text(256), std::invalid_argument);
  EXPECT_THROW(Tokenizer::parse(TokenizerKind::kByte, "a\n", "vocab.txt"), std::runtime_error);
}

TEST(Tokenizer, EveryCharacterComesBack) {
  const std::string text = all_characters();
  const Tokenizer built = build(TokenizerKind::kChar, text);
  EXPECT_EQ(built.size(), 0x110000 - 0x800 - 1 + 1);  // no surrogates, no NUL, and <unk>
  const Tokenizer chars =
      Tokenizer::parse(TokenizerKind::kChar, built.vocabulary_text(), "vocab.txt");
  EXPECT_EQ(chars.vocabulary_text(), built.vocabulary_text());
  const Ids ids = chars.encode(text);
  EXPECT_EQ(ids.size(), static_cast<std::size_t>(chars.size()) - 1);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), *chars.unk()), 0);
  EXPECT_TRUE(chars.decode(ids) == text);
  std::int64_t wrong = 0;
  for (char32_t code = 1; code < kCodePoints; ++code) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    const std::string one = utf8_of(code);
    const auto id = chars.find(one);
    wrong += !id || chars.text(*id) != one ? 1 : 0;
  }
  EXPECT_EQ(wrong, 0);
}

TEST(Tokenizer, CharactersAreRankedByCount) {
  const Tokenizer chars = build(TokenizerKind::kChar,
                                "\xEF\xBB\xBF"
                                "bbb aa\xC3\xA9\\\t\r");
  EXPECT_EQ(chars.vocabulary_text(),
            "b\na\n\\t\n\\r\n \n\\\\\n\xC3\xA9\n\\n\n<unk>\n");  // ties by code point
  EXPECT_EQ(chars.text(chars.start()), "\n");
  EXPECT_EQ(chars.label(chars.start()), "\\n");
  EXPECT_EQ(chars.decode(chars.encode("ab\nx")), "ab\n<unk>");
  EXPECT_EQ(chars.find("ab"), std::nullopt);
  EXPECT_EQ(chars.find("x"), std::nullopt);
  EXPECT_EQ(chars.find("<unk>"), std::nullopt);
}

TEST(Tokenizer, LimitsLeaveRareCharactersOut) {
  const std::string text = "aaaabbbccd\n";
  EXPECT_EQ(build(TokenizerKind::kChar, text, {.max_size = 4}).vocabulary_text(),
            "a\nb\n<unk>\n\\n\n");
  EXPECT_EQ(build(TokenizerKind::kChar, text, {.min_count = 2}).vocabulary_text(),
            "a\nb\nc\n\\n\n<unk>\n");
  EXPECT_THROW(build(TokenizerKind::kChar, text, {.max_size = 1}), std::invalid_argument);
}

TEST(Tokenizer, CountsWhatItReads) {
  const Tokenizer chars = build(TokenizerKind::kChar, "ab\n");
  Ids ids;
  const TextStatistics text = chars.encode(TextSource("a\xC3\xA9\n\nb", "text"), [&](auto piece) {
    ids.insert(ids.end(), piece.begin(), piece.end());
  });
  EXPECT_EQ(chars.decode(ids), "a<unk>\n\nb");
  EXPECT_EQ(text.tokens, 5);
  EXPECT_EQ(text.characters, 5);
  EXPECT_EQ(text.unknown, 1);
  EXPECT_EQ(text.types, 4);
  EXPECT_EQ(text.lines, 3);
  const TextStatistics bytes =
      build(TokenizerKind::kByte, "").encode(TextSource("\xC3\xA9\n", "text"), [](auto) {});
  EXPECT_EQ(bytes.characters, 3);
  EXPECT_EQ(bytes.types, 3);
}

TEST(Tokenizer, RejectsDamagedCharacterFiles) {
  const auto error = [](std::string_view text) {
    return error_of<std::runtime_error>(
        [&] { Tokenizer::parse(TokenizerKind::kChar, text, "vocab.txt"); });
  };
  EXPECT_EQ(error("\\n\n<unk>\n \n"), "no exception");
  EXPECT_TRUE(contains(error("\\n\n<unk>\nab\n"), "vocab.txt: line 3: got 2 bytes"));
  EXPECT_TRUE(contains(error("\\n\n\n<unk>\n"), "line 2: got 0 bytes"));
  EXPECT_TRUE(contains(error("\\n\n\\x\n<unk>\n"), "line 2"));
  EXPECT_TRUE(contains(error("\\n\n\\\n<unk>\n"), "line 2"));
  EXPECT_TRUE(contains(error("\\n\n\xC3\n<unk>\n"), "line 2"));
  EXPECT_TRUE(contains(error("\\n\n<unk>\na\na\n"), "line 4: the character of line 3 again"));
  EXPECT_TRUE(contains(error("\\n\n<unk>\n<unk>\n"), "line 3"));
  EXPECT_TRUE(contains(error("a\n<unk>\n"), "has no line '\\n'"));
  EXPECT_TRUE(contains(error("\\n\n"), "has no line '<unk>'"));
  EXPECT_TRUE(contains(error(""), "vocab.txt: is empty, expected one character per line"));
}

TEST(Tokenizer, WordsOfAPromptHaveNoLineEndOfTheirOwn) {
  const Tokenizer words = build(TokenizerKind::kWord, "a b a\n");
  const std::int32_t a = *words.find("a"), b = *words.find("b"), eos = words.start();
  EXPECT_EQ(words.text(eos), "<eos>");
  EXPECT_EQ(words.encode("a  b"), (Ids{a, b}));
  EXPECT_EQ(words.encode("a\nb\n"), (Ids{a, eos, b, eos}));
  EXPECT_EQ(words.encode(""), Ids());
  std::vector<std::string> unknown;
  EXPECT_EQ(words.encode("a zz", [&](std::string_view word) { unknown.emplace_back(word); }),
            (Ids{a, *words.unk()}));
  EXPECT_EQ(unknown, std::vector<std::string>{"zz"});
  EXPECT_EQ(words.decode(Ids{a, b, eos, eos, b}), "a b\n\nb");
}

TEST(TokenWriter, ContinuesAPrompt) {
  const Tokenizer words = build(TokenizerKind::kWord, "a b\n");
  TokenWriter writer(words);
  EXPECT_EQ(writer.begin(" a zz\n b"), "a zz\nb");
  EXPECT_TRUE(writer.in_line());
  EXPECT_EQ(writer.next(*words.find("a")), " a");
  EXPECT_EQ(writer.next(words.start()), "\n");
  EXPECT_FALSE(writer.in_line());
  EXPECT_EQ(writer.next(*words.find("a")), "a");
  const Tokenizer chars = build(TokenizerKind::kChar, "a b\n");
  TokenWriter characters(chars);
  EXPECT_EQ(characters.begin("a  "), "a  ");
  EXPECT_EQ(characters.next(*chars.find("b")), "b");
}

TEST(TokenIds, ReadEveryWidth) {
  const std::uint8_t one[] = {0, 200, 255};
  const std::uint16_t two[] = {0, 200, 65535};
  const Ids four = {0, 200, 2'000'000'000};
  EXPECT_EQ(TokenIds(one, 3, 1)[2], 255);
  EXPECT_EQ(TokenIds(two, 3, 2)[2], 65535);
  EXPECT_EQ(TokenIds(four)[2], 2'000'000'000);
  EXPECT_EQ(TokenIds(two, 3, 2).subspan(1, 2)[0], 200);
  EXPECT_EQ(TokenIds(one, 3, 1).first(2).size(), 2);
  EXPECT_TRUE(TokenIds().empty());
  EXPECT_THROW(TokenIds(one, 1, 3), std::invalid_argument);
  EXPECT_THROW(TokenIds(one, -1, 1), std::invalid_argument);
  EXPECT_THROW(TokenIds(one, 3, 1).first(4), std::invalid_argument);
  EXPECT_THROW(TokenIds(one, 3, 1).subspan(3, 1), std::invalid_argument);
  EXPECT_EQ(token_width(256), 1);
  EXPECT_EQ(token_width(257), 2);
  EXPECT_EQ(token_width(65536), 2);
  EXPECT_EQ(token_width(65537), 4);
}

TEST(Tokenizer, MayStartAfterAnotherTokenThanALinesEnd) {
  const Tokenizer usual = Tokenizer::parse(TokenizerKind::kWord, "<s>\n<unk>\n<eos>\na\n", "v");
  EXPECT_EQ(usual.start(), 2);
  EXPECT_EQ(usual.given_start(), "");
  const Tokenizer given = usual.starting_after("<s>");
  EXPECT_EQ(given.start(), 0);
  EXPECT_EQ(given.line_end(), 2);
  EXPECT_EQ(given.given_start(), "<s>");
  EXPECT_EQ(given.vocabulary_text(), usual.vocabulary_text());
  EXPECT_EQ(error_of<std::runtime_error>([&] { usual.starting_after("b"); }),
            "start: got 'b', expected one of the 4 tokens");
}

}  // namespace
}  // namespace unroll::test
