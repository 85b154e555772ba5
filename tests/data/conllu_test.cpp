#include "host/data/conllu.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Strings = std::vector<std::string>;
using Options = TaggedReader::Options;

constexpr Options kTwoColumns{.format = TaggedFormat::kTwoColumns};

/// A line of CoNLL-U.
std::string row(const std::string& id, const std::string& form, const std::string& upos,
                const std::string& xpos = "_") {
  return id + "\t" + form + "\t_\t" + upos + "\t" + xpos + "\t_\t_\t_\t_\t_\n";
}

std::string ordinary() {
  return "# sent_id = 1\n# text = I don't.\n" + row("1", "I", "PRON", "PP") +
         row("2-3", "don't", "_") + row("2", "do", "AUX", "VB") + row("3", "n't", "PART", "RB") +
         row("3.1", "know", "VERB", "VV") + "4\t.\t.\tPUNCT\tFS\t_\t1\tpunct\t_\tSpaceAfter=No\n" +
         "\n# sent_id = 2\n" + row("1", "New York", "PROPN", "NP") + "\n";
}

struct Sentence {
  Strings forms, tags;
  bool operator==(const Sentence&) const = default;
};

std::vector<Sentence> sentences_of(const std::string& text, const Options& options = {}) {
  TaggedReader reader(TextSource(text, "file"), options);
  std::vector<Sentence> sentences;
  TaggedLines lines;
  while (reader.next(lines)) {
    if (lines.size() == 0) continue;
    Sentence& sentence = sentences.emplace_back();
    for (std::int64_t k = 0; k < lines.size(); ++k) {
      sentence.forms.emplace_back(lines.form(k));
      sentence.tags.emplace_back(lines.tag(k));
    }
  }
  return sentences;
}

/// The text of all lines, each tag replaced.
std::string tagged_copy(const std::string& text, const std::string& tag,
                        const Options& options = {.tagged = false}) {
  TaggedReader reader(TextSource(text, "file"), options);
  std::string copy;
  TaggedLines lines;
  while (reader.next(lines)) {
    for (std::int64_t k = 0; k < lines.size(); ++k)
      lines.set_tag(k, tag.empty() ? std::string(lines.tag(k)) : tag);
    for (const std::string& line : lines.lines()) copy += line;
  }
  return copy;
}

std::string conllu_error(const std::string& text, const Options& options = {}) {
  return error_of<std::runtime_error>([&] { sentences_of(text, options); });
}

TEST(TaggedReader, WordsAreTheLinesWithWholeIds) {
  const std::vector<Sentence> expected{{{"I", "do", "n't", "."}, {"PRON", "AUX", "PART", "PUNCT"}},
                                       {{"New York"}, {"PROPN"}}};
  EXPECT_EQ(sentences_of(ordinary()), expected);
  const std::vector<Sentence> xpos{{{"I", "do", "n't", "."}, {"PP", "VB", "RB", "FS"}},
                                   {{"New York"}, {"NP"}}};
  EXPECT_EQ(sentences_of(ordinary(), {.column = TagColumn::kXpos}), xpos);
}

TEST(TaggedReader, TwoColumnsAreSeparatedByATabOrByBlanks) {
  const std::vector<Sentence> expected{{{"the", "#"}, {"DT", "SYM"}}, {{"New York"}, {"NP"}}};
  EXPECT_EQ(sentences_of("the\tDT\n#\tSYM\n\nNew York\tNP\n", kTwoColumns), expected);
  EXPECT_EQ(sentences_of("\n\nthe  DT \n  # SYM\n \t\n\nNew York\tNP", kTwoColumns), expected);
}

TEST(TaggedReader, LineEndsAndAByteOrderMarkAreNoPartOfWords) {
  std::string text = ordinary();
  const std::vector<Sentence> expected = sentences_of(text);
  for (std::size_t at = 0; (at = text.find('\n', at)) != text.npos; at += 2)
    text.replace(at, 1, "\r\n");
  EXPECT_EQ(sentences_of("\xEF\xBB\xBF" + text), expected);
  EXPECT_EQ(sentences_of(text.substr(0, text.size() - 4)), expected);  // no end of the last line
  EXPECT_EQ(sentences_of(text.substr(0, text.size() - 3)), expected);  // half of it
  EXPECT_EQ(sentences_of("\xEF\xBB\xBFthe\tDT\r\n\r\nNew York\tNP\r", kTwoColumns),
            sentences_of("the\tDT\n\nNew York\tNP\n", kTwoColumns));
}

TEST(TaggedReader, ACopyDiffersInTheTagsOnly) {
  std::string text = "\xEF\xBB\xBF\n# about\n\n" + ordinary() + "\r\n# end";
  EXPECT_EQ(tagged_copy(text, ""), text);
  const std::string tagged = tagged_copy(text, "LONGER-TAG");
  std::size_t at = 0;
  for (const char* tag : {"PRON", "AUX", "PART", "PUNCT", "PROPN"}) {
    at = text.find("\t" + std::string(tag) + "\t", at) + 1;
    text.replace(at, std::string(tag).size(), "LONGER-TAG");
  }
  EXPECT_EQ(tagged, text);
  EXPECT_EQ(tagged_copy("a\tx\r\n\r\nb y\n\n\n", "T", {TaggedFormat::kTwoColumns, {}, false}),
            "a\tT\r\n\r\nb T\n\n\n");
  EXPECT_EQ(tagged_copy(row("1", "a", "_", "b"), "T", {.column = TagColumn::kXpos}),
            row("1", "a", "_", "T"));
}

TEST(TaggedReader, ATagMayBeWrittenAgain) {
  TaggedReader reader(TextSource("a\tA\nb\tB\n", "file"), kTwoColumns);
  TaggedLines lines;
  ASSERT_TRUE(reader.next(lines));
  for (const char* tag : {"LONGER", "X", "LONGER"}) {
    lines.set_tag(0, tag);
    EXPECT_EQ(lines.tag(0), tag);
    EXPECT_EQ(lines.form(0), "a");
    EXPECT_EQ(lines.lines(), (Strings{"a\t" + std::string(tag) + "\n", "b\tB\n"}));
  }
}

TEST(TaggedReader, TagsMayBeMissingWhereNoneIsNeeded) {
  const std::string text = row("1", "a", "_") + "\n";
  EXPECT_EQ(sentences_of(text, {.tagged = false}), (std::vector<Sentence>{{{"a"}, {"_"}}}));
  EXPECT_EQ(conllu_error(text),
            "file: line 1: got no tag for 'a', expected one in the column upos");
  EXPECT_EQ(sentences_of("a\t_\n", kTwoColumns), (std::vector<Sentence>{{{"a"}, {"_"}}}));
}

TEST(TaggedReader, WordsKnowTheirLines) {
  const std::string text = "\n" + ordinary();
  TaggedReader reader(TextSource(text, "file"), {});
  TaggedLines lines;
  ASSERT_TRUE(reader.next(lines));
  EXPECT_EQ(lines.line_of(0), 4);
  EXPECT_EQ(lines.line_of(1), 6);
  EXPECT_EQ(lines.line_of(3), 9);
  ASSERT_TRUE(reader.next(lines));
  EXPECT_EQ(lines.line_of(0), 12);
  EXPECT_FALSE(reader.next(lines));
  EXPECT_FALSE(reader.next(lines));
}

TEST(TaggedReader, SentencesWithoutWordsPass) {
  for (const char* text : {"", "\n", "\n\r\n \n", "# comment\n", "# comment\n\n# another\n\n"}) {
    EXPECT_TRUE(sentences_of(text).empty()) << text;
    EXPECT_EQ(tagged_copy(text, "T"), text);
  }
}

TEST(TaggedReader, EmptyNodesMayBeFirstAndRangesOfOneWord) {
  EXPECT_EQ(sentences_of(row("0.1", "x", "_") + row("0.2", "x", "_") + row("1-1", "ab", "_") +
                         row("1", "a", "A") + row("1.1", "x", "_") + row("2-3", "cd", "_") +
                         row("2", "c", "C") + row("2.1", "x", "_") + row("3", "d", "D")),
            (std::vector<Sentence>{{{"a", "c", "d"}, {"A", "C", "D"}}}));
}

TEST(TaggedReader, TenThousandWordsAreASentence) {
  std::string text;
  for (int k = 1; k <= 10'000; ++k)
    text += row(std::to_string(k), "w" + std::to_string(k), k % 2 == 0 ? "A" : "B");
  const std::vector<Sentence> sentences = sentences_of(text);
  ASSERT_EQ(sentences.size(), 1U);
  EXPECT_EQ(sentences[0].forms.size(), 10'000U);
  EXPECT_EQ(sentences[0].forms.back(), "w10000");
}

TEST(TaggedReader, SentencesAreBounded) {
  std::string text;
  for (std::int64_t k = 0; k < kMostSentenceWords; ++k) text += "a b\n";
  EXPECT_EQ(conllu_error(text + "a b\n", kTwoColumns),
            "file: line 1048577: got a sentence of more than 1048576 words, expected an empty line "
            "after each sentence");
  EXPECT_EQ(conllu_error("a\tb\n" + std::string(kMostLineBytes, 'a') + "\tb\n", kTwoColumns),
            "file: line 2: is longer than 1048576 bytes, expected a line: is this a text file?");
}

TEST(TaggedReader, LinesWithOtherColumnsAreNamed) {
  EXPECT_EQ(conllu_error(row("1", "a", "A") + "2\tb\t_\tB\t_\t_\t_\t_\t_\n"),
            "file: line 2: got 9 columns in '2\\x09b\\x09_\\x09B\\x09_\\x09_\\x09_\\x09_\\x09_', "
            "expected 10 columns with tabs between them");
  EXPECT_EQ(conllu_error("1\ta\t_\tA\t_\t_\t_\t_\t_\t_\t_\n").substr(0, 26),
            "file: line 1: got 11 colum");
  EXPECT_EQ(conllu_error("1 a _ A _ _ _ _ _ _\n"),
            "file: line 1: got 1 column in '1 a _ A _ _ _ _ _ _', expected 10 columns with tabs "
            "between them");
  EXPECT_EQ(conllu_error("a\tA\n\nb\n", kTwoColumns),
            "file: line 3: got 1 column in 'b', expected word<TAB>tag");
  EXPECT_EQ(conllu_error("a\tA\tx\n", kTwoColumns),
            "file: line 1: got 3 columns in 'a\\x09A\\x09x', expected word<TAB>tag");
  EXPECT_EQ(conllu_error("a b c\n", kTwoColumns),
            "file: line 1: got 3 columns in 'a b c', expected word<TAB>tag");
}

TEST(TaggedReader, IdsMustBeInOrder) {
  const std::string one = row("1", "a", "A");
  const auto second = [&](const std::string& id) {
    return conllu_error(one + row(id, "b", "B") + "\n");
  };
  const std::string got = "file: line 2: got the id ";
  EXPECT_EQ(second("2"), "no exception");
  for (const char* id : {"1", "3", "0", "9223372036854775807"})
    EXPECT_EQ(second(id), got + "'" + id + "' out of order, expected 2");
  for (const char* id : {"", "x", "-1", "+2", "02", "2.", "2-", "2-x", "2.1.1", "2_", " 2",
                         "9223372036854775808", "2.-1"})
    EXPECT_EQ(second(id), got + "'" + id +
                              "', expected a word's (7), a range's (7-8) or an empty node's (7.1)");
  for (const char* id : {"1.2", "1.0", "0.1", "2.1"})
    EXPECT_EQ(second(id), got + "'" + id + "' out of order, expected 1.1");
  EXPECT_EQ(second("3-4"), got + "'3-4' out of order, expected 2");
  EXPECT_EQ(second("2-1"), got + "'2-1' out of order, expected a range that ends with 2 or later");
  EXPECT_EQ(second("2-3"),
            "file: line 3: got the end of a sentence after word 1, expected the words up to 3 of "
            "its range");
  EXPECT_EQ(conllu_error(one + row("2-3", "bc", "_") + row("2", "b", "B") + row("3-4", "cd", "_")),
            "file: line 4: got the id '3-4' out of order, expected no range before 3, where one "
            "ends");
  EXPECT_EQ(conllu_error(one + "\n" + row("2", "b", "B")),
            "file: line 3: got the id '2' out of order, expected 1");
}

TEST(TaggedReader, WordsAndTagsAreText) {
  const std::string word = "expected text without white space, but blanks within it";
  EXPECT_EQ(conllu_error(row("1", "", "A")), "file: line 1: got the word '', " + word);
  EXPECT_EQ(conllu_error(row("1", " a", "A")), "file: line 1: got the word ' a', " + word);
  EXPECT_EQ(conllu_error(row("1", "a\rb", "A")), "file: line 1: got the word 'a\\x0db', " + word);
  EXPECT_EQ(conllu_error(row("1", "a", "")),
            "file: line 1: got the tag '', expected text without white space");
  EXPECT_EQ(conllu_error(row("1", "a", "A B")),
            "file: line 1: got the tag 'A B', expected text without white space");
  EXPECT_EQ(conllu_error("a\tA\n\xFF\tB\n", kTwoColumns),
            "file: line 2: byte 1: got byte 0xFF, expected UTF-8 text without NUL");
  EXPECT_EQ(conllu_error(std::string("a\tA\nb\0\tB\n", 9), kTwoColumns),
            "file: line 2: byte 2: got byte 0x00, expected UTF-8 text without NUL");
  EXPECT_EQ(conllu_error("a\t\xC3", kTwoColumns),
            "file: line 1: byte 3: got byte 0xC3, expected UTF-8 text without NUL");
  EXPECT_TRUE(contains(conllu_error("\x1F\x8B\x08"), "gzip"));
  EXPECT_TRUE(contains(conllu_error(std::string("\xFF\xFE"
                                                "1\0\t\0",
                                                6)),
                       "UTF-16"));
}

TEST(TaggedReader, LinesMayBeLongerThanABlock) {
  const std::string longest(600'000, 'a');
  EXPECT_EQ(sentences_of("x\tX\n" + longest + "\tA\ny\tY\n", kTwoColumns),
            (std::vector<Sentence>{{{"x", longest, "y"}, {"X", "A", "Y"}}}));
}

TEST(TaggedReader, CoNllUIsKnownByItsFirstWord) {
  EXPECT_TRUE(is_conllu(ordinary()));
  EXPECT_TRUE(is_conllu("\xEF\xBB\xBF# c\r\n\r\n1-2\ta\tb\r\n"));
  EXPECT_TRUE(is_conllu("1\ta\t_\n"));  // too few columns, but meant as such
  EXPECT_FALSE(is_conllu(""));
  EXPECT_FALSE(is_conllu("# comment\n"));
  EXPECT_FALSE(is_conllu("the\tDT\n"));
  EXPECT_FALSE(is_conllu("1\tCD\n"));
  EXPECT_FALSE(is_conllu("It is 1\t2\t3.\n"));
}

TEST(TagColumn, HaveNames) {
  for (const TagColumn column : kTagColumns) EXPECT_EQ(tag_column_of(to_string(column)), column);
  EXPECT_EQ(tag_column_of("feats"), std::nullopt);
}

}  // namespace
}  // namespace unroll::test
