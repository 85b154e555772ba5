#include "host/data/text_reader.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <vector>

#include "host/base/utf8.h"
#include "host/data/language_corpus.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Ids = std::vector<std::int32_t>;

const Tokenizer& words() {
  static const Tokenizer small =
      Tokenizer::parse(TokenizerKind::kWord, "<eos>\n<unk>\na\nb\n", "vocab.txt");
  return small;  // <eos> 0, <unk> 1, a 2, b 3
}

TokenText tokenize(std::string_view text, const std::string& name = "text") {
  return read_tokens(TextSource(text, name), words());
}

std::vector<std::int32_t> ids(std::string_view text) {
  return tokenize(text).ids;
}

TEST(Corpus, EveryLineEndsInEos) {
  EXPECT_EQ(ids("a b\nb\n"), (Ids{2, 3, 0, 3, 0}));
  EXPECT_EQ(ids("a b\nb"), (Ids{2, 3, 0, 3, 0}));  // no newline at the end
  EXPECT_EQ(ids("\n\na\n\n"), (Ids{0, 0, 2, 0, 0}));
  EXPECT_EQ(ids("\n"), (Ids{0}));
  EXPECT_EQ(ids("a\n  "), (Ids{2, 0, 0}));  // a last line of blanks
}

TEST(Corpus, AnyAsciiWhiteSpaceSeparates) {
  EXPECT_EQ(ids("  a\t\tb \v\f a \n"), (Ids{2, 3, 2, 0}));
  EXPECT_EQ(ids("a b\r\nb\r\n"), ids("a b\nb\n"));
  EXPECT_EQ(ids("a\xC2\xA0"
                "b\n"),
            (Ids{1, 0}));  // a no-break space does not
}

TEST(Corpus, CountsLinesCharactersAndUnknownWords) {
  const TokenText text = tokenize("a \xC3\xA9\xF0\x9F\x98\x80 <unk>\r\n\nz z");
  EXPECT_EQ(text.ids, (Ids{2, 1, 1, 0, 0, 1, 1, 0}));
  EXPECT_EQ(text.statistics.lines, 3);
  EXPECT_EQ(text.statistics.characters, 1 + 1 + 2 + 1 + 5 + 2 + 1 + 3);
  EXPECT_EQ(text.statistics.unknown, 3);  // the literal <unk> is a word of the vocabulary
}

TEST(Corpus, SkipsAByteOrderMark) {
  const TokenText text = tokenize(
      "\xEF\xBB\xBF"
      "a\n");
  EXPECT_EQ(text.ids, (Ids{2, 0}));
  EXPECT_EQ(text.statistics.characters, 2);
}

TEST(Corpus, RejectsWhatIsNotTextWithLineAndOffset) {
  const auto error = [](std::string_view text) {
    return error_of<std::runtime_error>([&] { tokenize(text, "x.txt"); });
  };
  EXPECT_TRUE(contains(error(""), "x.txt: is empty"));
  EXPECT_TRUE(contains(error("a\nb \xFFz\n"), "x.txt: line 2, byte offset 4: got byte 0xFF"));
  EXPECT_TRUE(contains(error(std::string_view("a\n\na\0b\n", 7)), "line 3, byte offset 4"));
  EXPECT_TRUE(contains(error("caf\xE9 a\n"), "line 1, byte offset 3: got byte 0xE9"));  // Latin-1
  EXPECT_TRUE(contains(error("a \xE2\x82"), "byte offset 2"));                          // cut
}

// The reader works in blocks. Text across their boundary must read as it does elsewhere.
TEST(Corpus, BlocksLeaveNoTrace) {
  constexpr std::size_t kBlock = std::size_t{1} << 18;
  for (const std::size_t before : {kBlock - 3, kBlock - 2, kBlock - 1, kBlock, kBlock + 1}) {
    SCOPED_TRACE(before);
    const std::string text = std::string(before, ' ') + "\xF0\x9F\x98\x80 a\n";
    TextReader reader(TextSource(text, "text"));
    EXPECT_EQ(reader.next(), "\xF0\x9F\x98\x80");
    EXPECT_EQ(reader.next(), "a");
    EXPECT_EQ(reader.next(), "");
    EXPECT_EQ(reader.next(), std::nullopt);
    EXPECT_EQ(reader.next(), std::nullopt);
    EXPECT_EQ(reader.statistics().characters, static_cast<std::int64_t>(before) + 4);
  }
}

TEST(Corpus, WordsMayBeLongerThanABlock) {
  const std::string word(3'000'000, 'x');
  const std::string text = "a " + word + " b";
  TextReader reader(TextSource(text, "text"));
  EXPECT_EQ(reader.next(), "a");
  EXPECT_TRUE(reader.next() == word);
  EXPECT_EQ(reader.next(), "b");
  EXPECT_EQ(reader.next(), "");
  EXPECT_EQ(reader.next(), std::nullopt);
  EXPECT_EQ(reader.statistics().lines, 1);
}

TEST(Corpus, FilesReadLikeStrings) {
  const TempFolder folder;
  std::string text;
  for (int k = 0; k < 200'000; ++k) text += k % 7 == 0 ? "a\n" : k % 5 == 0 ? "long-word " : "b ";
  const TokenText from_file = read_tokens(TextSource(folder.write("x.txt", text)), words());
  const TokenText from_text = tokenize(text);
  EXPECT_EQ(from_file.ids, from_text.ids);
  EXPECT_EQ(from_file.statistics, from_text.statistics);
  EXPECT_EQ(from_file.statistics.characters, static_cast<std::int64_t>(text.size()));
}

TEST(Corpus, MissingFilesAreNamed) {
  const TempFolder folder;
  const auto error = [](auto&& body) { return error_of<std::runtime_error>(body); };
  EXPECT_TRUE(contains(error([&] { TextSource(folder.path() / "no.txt"); }),
                       "no.txt: cannot be opened: No such file"));
  ASSERT_EQ(::mkfifo((folder.path() / "pipe").c_str(), 0600), 0);  // it would wait for a writer
  EXPECT_TRUE(contains(error([&] { TextSource(folder.path() / "pipe"); }), "is a pipe, expected"));
  EXPECT_TRUE(contains(error([&] { TextSource(folder.path()); }), "is a folder"));
}

TEST(Corpus, MeasuresLines) {
  const TextStatistics text = tokenize("a\r\n\n\r\n \nlo\xC3\xA9ng one\na").statistics;
  EXPECT_EQ(text.lines, 6);
  EXPECT_EQ(text.empty_lines, 2);
  EXPECT_EQ(text.crlf_lines, 2);
  EXPECT_EQ(text.longest_line, 9);
  EXPECT_EQ(text.types, 3);  // <eos>, <unk>, a
  EXPECT_EQ(text.tokens, 10);
}

// Blocks end anywhere: inside a code point, between '\r' and '\n'.
TEST(Corpus, BlocksAreWholeCodePointsAndAddUp) {
  constexpr std::size_t kBlock = std::size_t{1} << 18;
  for (std::size_t before = kBlock - 5; before <= kBlock + 1; ++before) {
    SCOPED_TRACE(before);
    const std::string text = std::string(before, 'x') + "\xF0\x9F\x98\x80\r\n\xC3\xA9";
    TextReader reader(TextSource(text, "text"));
    std::string all;
    for (std::string_view block = reader.next_block(); !block.empty();
         block = reader.next_block()) {
      EXPECT_EQ(find_invalid_utf8(block), block.size());
      all += block;
    }
    EXPECT_TRUE(all == text);
    EXPECT_EQ(reader.statistics().characters, std::int64_t(before) + 4);
    EXPECT_EQ(reader.statistics().crlf_lines, 1);
    EXPECT_EQ(reader.statistics().longest_line, std::int64_t(before) + 2);
  }
}

TEST(Corpus, ErrorsBeyondTheFirstBlockSayWhere) {
  const TempFolder folder;
  std::string text;
  for (int k = 0; k < 100'000; ++k) text += "word\n";
  text += "ab\xFFz";
  const auto file = folder.write("x.txt", text);
  EXPECT_TRUE(
      contains(error_of<std::runtime_error>([&] { read_tokens(TextSource(file), words()); }),
               "line 100001, byte offset 500002: got byte 0xFF"));
  EXPECT_TRUE(contains(
      error_of<std::runtime_error>([&] { read_tokens(TextSource(file, 250'000), words()); }),
      "byte offset 500002"));
  const TokenText part = read_tokens(TextSource(file, 5, 10), words());
  EXPECT_EQ(part.ids, (Ids{1, 0, 1, 0}));
}

TEST(Corpus, WhatIsNoTextIsNamedByItsFirstBytes) {
  const auto error = [](std::string_view text) {
    return error_of<std::runtime_error>([&] { tokenize(text); });
  };
  const std::string rest = "and more than a block of other bytes \xFF";
  const auto packed = [&](std::string_view begin) { return error(std::string(begin) + rest); };
  using namespace std::string_view_literals;
  EXPECT_EQ(packed("\x1F\x8B\x08"),
            "text: is compressed by gzip, expected UTF-8 text: unpack it first");
  EXPECT_TRUE(contains(packed("BZh91AY&SY"), "compressed by bzip2"));
  EXPECT_TRUE(contains(packed("PK\x03\x04"), "compressed by zip"));
  EXPECT_TRUE(contains(packed("\xFD\x37zXZ\0"sv), "compressed by xz"));
  EXPECT_TRUE(contains(packed("\x28\xB5\x2F\xFD"), "compressed by zstd"));
  EXPECT_TRUE(contains(packed("BZh9 is a word"), "got byte 0xFF"));
  std::string little, big, cyrillic;
  for (const char c : "some words"sv) {
    little += {c, '\0'};
    big += {'\0', c};
    cyrillic += {c == 's' ? ' ' : c, c == 's' ? '\0' : '\x04'};
  }
  EXPECT_EQ(error(little),
            "text: is UTF-16LE, expected UTF-8 text: iconv -f UTF-16LE -t UTF-8 makes it so");
  EXPECT_TRUE(contains(error(big), "is UTF-16BE,"));
  EXPECT_TRUE(contains(error(cyrillic + cyrillic), "is UTF-16LE,"));
  EXPECT_TRUE(contains(error("\xFF\xFE" + little), "is UTF-16,"));
  EXPECT_TRUE(contains(error("\xFE\xFF" + big), "is UTF-16,"));
  EXPECT_TRUE(contains(error("\xFF\xFE\0\0a\0\0\0"sv), "is UTF-32,"));
  EXPECT_TRUE(contains(error(std::string(100, '\0')), "got byte 0x00"));
  EXPECT_TRUE(contains(error("words with one\0 that is a mistake"sv), "got byte 0x00"));
  // A part is judged by the beginning of its file.
  const TempFolder folder;
  const auto file = folder.write("x.gz", std::string("\x1F\x8B\x08") + rest);
  EXPECT_TRUE(contains(
      error_of<std::runtime_error>([&] { read_tokens(TextSource(file, 10), words()); }), "gzip"));
}

TEST(Corpus, StopsWhenAsked) {
  const std::atomic<bool> stop = true;
  TextSource source("a b", "text");
  source.stop_by(&stop);
  EXPECT_THROW(read_tokens(std::move(source), words()), Interrupted);
}

// Every sequence of up to three bytes that starts outside ASCII, and four-byte ones at the edges,
// against a decoder written from the definition: shortest form, no surrogates, at most U+10FFFF.
TEST(Utf8, AgreesWithTheDefinition) {
  const auto valid = [](std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
      const auto lead = static_cast<unsigned char>(text[i]);
      const std::size_t n = lead < 0x80   ? 1
                            : lead < 0xC0 ? 0
                            : lead < 0xE0 ? 2
                            : lead < 0xF0 ? 3
                            : lead < 0xF8 ? 4
                                          : 0;
      if (n == 0 || text.size() - i < n) return false;
      std::uint32_t code = n == 1 ? lead : lead & (0xFFU >> (n + 1));
      for (std::size_t k = 1; k < n; ++k) {
        const auto next = static_cast<unsigned char>(text[i + k]);
        if (next >> 6 != 2) return false;
        code = code << 6 | (next & 0x3F);
      }
      const std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
      if (code < least[n] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
      i += n;
    }
    return true;
  };
  std::int64_t wrong = 0;
  for (unsigned a = 0x80; a < 0x100; ++a)
    for (unsigned b = 0; b < 0x100; ++b)
      for (unsigned c = 0; c < 0x100; ++c) {
        const char text[] = {static_cast<char>(a), static_cast<char>(b), static_cast<char>(c),
                             '\x80'};
        for (const std::size_t size : {1U, 2U, 3U, 4U}) {
          const std::string_view view(text, size);
          wrong += (find_invalid_utf8(view) == size) != valid(view);
        }
      }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(find_invalid_utf8("eight bytes of it \x80"), 18U);
  EXPECT_EQ(shorten_utf8("ab\xC3\xA9", 3), "ab");
  EXPECT_EQ(shorten_utf8("ab\xC3\xA9", 4), "ab\xC3\xA9");
}

}  // namespace
}  // namespace unroll::test
