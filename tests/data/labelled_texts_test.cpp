#include "host/data/labelled_texts.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Strings = std::vector<std::string>;

constexpr const char* kTrain = "good\tthe film was good\nbad\tthe film was bad\ngood\tthe end\n";
constexpr const char* kValid = "bad\tthe worst film\n";

LabelledTexts read(const std::string& train, const std::string& valid = kValid,
                   const LabelledTextsOptions& options = {},
                   const std::optional<std::string>& test = {}) {
  return read_labelled_texts({TextSource(train, "train"), TextSource(valid, "valid"),
                              TextSource(test ? *test : valid, "test")},
                             "texts", options);
}

std::string error(const std::string& train, const std::string& valid = kValid,
                  const LabelledTextsOptions& options = {}) {
  return error_of<std::runtime_error>([&] { read(train, valid, options); });
}

Strings text_tokens(const LabelledTexts& texts, const LabelledSplit& split, std::int64_t k) {
  Strings tokens;
  for (const std::int32_t id : split.text(k)) tokens.push_back(texts.tokenizer.text(id));
  return tokens;
}

TEST(LabelledTexts, HaveWordsAndAClass) {
  const LabelledTexts texts = read(kTrain);
  EXPECT_EQ(texts.labels.to_text(), "bad\ngood\n");
  EXPECT_EQ(texts.train->classes, (std::vector<std::int32_t>{1, 0, 1}));
  EXPECT_EQ(text_tokens(texts, *texts.train, 0), (Strings{"the", "film", "was", "good", "<eos>"}));
  EXPECT_EQ(text_tokens(texts, *texts.train, 1), (Strings{"the", "film", "was", "bad", "<eos>"}));
  EXPECT_EQ(text_tokens(texts, *texts.train, 2), (Strings{"the", "end", "<eos>"}));
  EXPECT_EQ(texts.valid->classes, (std::vector<std::int32_t>{0}));
  EXPECT_EQ(text_tokens(texts, *texts.valid, 0), (Strings{"the", "<unk>", "film", "<eos>"}));
  const LabelledStatistics& train = texts.train->statistics;
  EXPECT_EQ(train.texts, 3);
  EXPECT_EQ(train.tokens, 13);
  EXPECT_EQ(train.longest, 5);
  EXPECT_EQ(train.unknown, 0);
  EXPECT_EQ(train.per_class, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(texts.valid->statistics.unknown, 1);
  EXPECT_EQ(texts.valid->statistics.per_class, (std::vector<std::int64_t>{1, 0}));
}

TEST(LabelledTexts, TheVocabularyIsThatOfTheTrainingTexts) {
  // Neither the labels nor the words of other texts are counted.
  EXPECT_EQ(read("x\ta b\ny\tb\n", "x\tx y\n").tokenizer.vocabulary_text(), "b\n<eos>\na\n<unk>\n");
  EXPECT_EQ(read("x\ta b\ny\tb\n", "x\tc\n", {.limits = {.min_count = 2}}).tokenizer.size(), 3);
}

TEST(LabelledTexts, CharactersAndBytesEndWithTheNewline) {
  const LabelledTexts chars =
      read("x\tab\ny\t\xC3\xA9 a\n", "x\tac\n", {.tokenizer = TokenizerKind::kChar});
  EXPECT_EQ(text_tokens(chars, *chars.train, 0), (Strings{"a", "b", "\n"}));
  EXPECT_EQ(text_tokens(chars, *chars.train, 1), (Strings{"\xC3\xA9", " ", "a", "\n"}));
  EXPECT_EQ(text_tokens(chars, *chars.valid, 0), (Strings{"a", "<unk>", "\n"}));
  const LabelledTexts bytes =
      read(std::string("x\ta\0\xFF\ny\tb\n", 9), "x\tc\n", {.tokenizer = TokenizerKind::kByte});
  EXPECT_EQ(bytes.tokenizer.size(), 256);
  const std::span<const std::int32_t> first = bytes.train->text(0);
  EXPECT_EQ(std::vector(first.begin(), first.end()),
            (std::vector<std::int32_t>{'a', 0, 255, '\n'}));
}

TEST(LabelledTexts, LineEndsByteOrderMarksAndTabsAreTolerated) {
  const std::string plain = "x\ta b\ny\tb c d\n";
  for (const TokenizerKind kind : kTokenizerKinds) {
    SCOPED_TRACE(to_string(kind));
    const LabelledTextsOptions options{.tokenizer = kind};
    const LabelledTexts expected = read(plain, "x\ta\n", options);
    for (const std::string& train :
         {std::string("x\ta b\r\ny\tb c d\r\n"), std::string("\xEF\xBB\xBFx\ta b\ny\tb c d"),
          std::string("\xEF\xBB\xBFx\ta b\r\ny\tb c d")}) {
      const LabelledTexts got = read(train, "\xEF\xBB\xBFx\ta\r\n", options);
      EXPECT_EQ(got.tokenizer.vocabulary_text(), expected.tokenizer.vocabulary_text());
      EXPECT_EQ(got.labels.to_text(), expected.labels.to_text());
      EXPECT_EQ(got.train->ids, expected.train->ids);
      EXPECT_EQ(got.train->begins, expected.train->begins);
      EXPECT_EQ(got.valid->ids, expected.valid->ids);
      EXPECT_NE(got.fingerprint, expected.fingerprint);
    }
  }
  const LabelledTexts texts = read("x\ta\tb\t\ny\t \tc\n", "x\ta\n");
  EXPECT_EQ(text_tokens(texts, *texts.train, 0), (Strings{"a", "b", "<eos>"}));
  EXPECT_EQ(text_tokens(texts, *texts.train, 1), (Strings{"c", "<eos>"}));
}

TEST(LabelledTexts, ALineMayBeLongerThanABlock) {
  const std::string longest(300'000, 'a');
  const LabelledTexts texts = read("x\t" + longest + "\ny\tb " + longest + " c\n", "x\ta\n");
  EXPECT_EQ(text_tokens(texts, *texts.train, 0), (Strings{longest, "<eos>"}));
  EXPECT_EQ(text_tokens(texts, *texts.train, 1), (Strings{"b", longest, "c", "<eos>"}));
}

TEST(LabelledTexts, BadLinesAreNamed) {
  const std::string form = "expected label<TAB>text";
  EXPECT_EQ(error("x\ta\ny b\n"), "train: line 2: got no tab in 'y b', " + form);
  EXPECT_EQ(error("x\ta\n\ny\tb\n"), "train: line 2: got no tab in '', " + form);
  EXPECT_EQ(error("x\ta\ny\tb\n\n"), "train: line 3: got no tab in '', " + form);
  EXPECT_EQ(error("x\ta\n\tb\n"), "train: line 2: got no label, " + form);
  EXPECT_EQ(error("x\ta\ny \tb\n"),
            "train: line 2: got the label 'y ', expected UTF-8 without white space, but blanks "
            "within it");
  EXPECT_TRUE(contains(error("x\ta\n\xFFy\tb\n", kValid, {.tokenizer = TokenizerKind::kByte}),
                       "train: line 2: got the label '\\xff"));
  for (const char* none : {"x\ta\ny\t\n", "x\ta\ny\t \t \n", "x\ta\ny\t\r\n"})
    EXPECT_EQ(error(none), "train: line 2: got no word in the text, expected one or more");
  EXPECT_EQ(error("x\ta\ny\t\n", kValid, {.tokenizer = TokenizerKind::kChar}),
            "train: line 2: got no char in the text, expected one or more");
  EXPECT_EQ(error("x\ta\ny\t\n", kValid, {.tokenizer = TokenizerKind::kByte}),
            "train: line 2: got no byte in the text, expected one or more");
  EXPECT_EQ(error(kTrain, "bad\tthe\ngood\t\n"),
            "valid: line 2: got no word in the text, expected one or more");
  EXPECT_EQ(error(kTrain, "bad\tthe\nworse\tthe\n"),
            "valid: line 2: got the label 'worse', expected one of the 2 of training texts");
  EXPECT_EQ(error_of<std::runtime_error>([] { read(kTrain, kValid, {}, "so so\tthe\n"); }),
            "test: line 1: got the label 'so so', expected one of the 2 of training texts");
  EXPECT_TRUE(contains(error("x\ta\ny\tb\xFF\n"), "train: line 2, byte offset 7: got byte 0xFF"));
  EXPECT_TRUE(contains(error(std::string("x\ta\ny\tb\0\n", 9)),
                       "train: line 2, byte offset 7: got byte 0x00"));
  EXPECT_TRUE(contains(error(kTrain, "bad\tthe \xC3"), "valid: line 1, byte offset 8"));
}

TEST(LabelledTexts, TextsAreBounded) {
  const std::string most(std::size_t(kMostTextTokens - 1), 'a');
  const LabelledTextsOptions options{.tokenizer = TokenizerKind::kByte};
  EXPECT_EQ(error("x\t" + most + "\ny\tb\n", "x\ta\n", options), "no exception");
  EXPECT_EQ(error("x\tb\ny\ta" + most + "\n", "x\ta\n", options),
            "train: line 2: got a text of 1048577 tokens, expected at most 1048576");
}

TEST(LabelledTexts, ClassesAreTwoToManyThousands) {
  EXPECT_EQ(error(""), "train: is empty, expected lines of label<TAB>text");
  EXPECT_EQ(error(kTrain, ""), "valid: is empty, expected lines of label<TAB>text");
  EXPECT_EQ(error("x\ta\nx\tb\n"), "train: got only the class 'x', expected 2 classes or more");
  std::string many;
  for (std::int64_t k = 0; k < ClassLabels::kMost; ++k) many += std::to_string(k) + "\ta\n";
  EXPECT_EQ(error(many, "1\ta\n"), "no exception");
  EXPECT_EQ(error(many + "7\ta\nmore\ta\n", "1\ta\n"),
            "train: line 65538: got 'more', one more class, expected at most 65536");
}

TEST(LabelledTexts, AVocabularyHasAWord) {
  EXPECT_EQ(error(kTrain, kValid, {.limits = {.min_count = 9}}),
            "train: got no word that occurs 9 times in its texts, expected one for the vocabulary");
  EXPECT_THROW(read(kTrain, kValid, {.limits = {.min_count = 0}}), std::invalid_argument);
}

TEST(LabelledTexts, TheFingerprintIsThatOfContentAndReading) {
  const std::string fingerprint = read(kTrain).fingerprint;
  EXPECT_EQ(read(kTrain, kValid, {.fingerprint = fingerprint}).fingerprint, fingerprint);
  for (const LabelledTexts& other :
       {read(std::string(kTrain) + "bad\tthe end\n"), read(kTrain, "good\tthe worst film\n"),
        read(kTrain, kValid, {}, "bad\tthe end\n"),
        read(kTrain, kValid, {.limits = {.max_size = 9}}),
        read(kTrain, kValid, {.limits = {.min_count = 2}}),
        read(kTrain, kValid, {.tokenizer = TokenizerKind::kChar})})
    EXPECT_NE(other.fingerprint, fingerprint);
  EXPECT_TRUE(contains(error(kTrain, "bad\tfilm\n", {.fingerprint = fingerprint}),
                       "texts: are not the texts that the run was begun with: got fingerprint "));
}

TEST(LabelledTexts, AreThreeFilesOfAFolder) {
  const TempFolder folder;
  const auto failure = [&](const std::filesystem::path& path) {
    return error_of<std::runtime_error>([&] { read_labelled_texts(path, {}); });
  };
  const std::string name = folder.path().string();
  folder.write("train.tsv", kTrain);
  folder.write("valid.tsv", kValid);
  EXPECT_EQ(failure(folder.path()),
            name + ": no test.tsv, expected train.tsv, valid.tsv and test.tsv");
  EXPECT_EQ(failure(folder.path() / "none"), name + "/none: no such folder");
  EXPECT_EQ(failure(folder.path() / "train.tsv"),
            name + "/train.tsv: is not a folder, expected one with train.tsv, valid.tsv, test.tsv");
  folder.write("test.tsv", kValid);
  const LabelledTexts texts = read_labelled_texts(folder.path(), {});
  EXPECT_EQ(texts.train->ids, read(kTrain).train->ids);
  EXPECT_EQ(texts.fingerprint, read(kTrain).fingerprint);
  EXPECT_EQ(texts.name, name);
  folder.write("test.tsv", "bad\n");
  EXPECT_TRUE(contains(failure(folder.path()), name + "/test.tsv: line 1: got no tab"));
  std::filesystem::remove(folder.path() / "test.tsv");
  std::filesystem::create_directory(folder.path() / "test.tsv");
  EXPECT_TRUE(contains(failure(folder.path()), "test.tsv"));
}

TEST(LabelledTexts, ReadingEndsWhenAsked) {
  const std::atomic<bool> stop{true};
  EXPECT_THROW(read(kTrain, kValid, {.stop = &stop}), Interrupted);
}

TEST(LabelledTexts, ATextAskedAboutIsOneLine) {
  const LabelledTexts texts = read(kTrain);
  std::vector<std::string> unknown;
  const auto note = [&](std::string_view word) { unknown.emplace_back(word); };
  const std::vector<std::int32_t> ids = encode_text(texts.tokenizer, "the\nfilm ends\n", note);
  EXPECT_EQ(texts.tokenizer.decode(ids), "the film <unk>\n");
  EXPECT_EQ(unknown, (Strings{"ends"}));
  EXPECT_THROW(encode_text(texts.tokenizer, " \n "), std::runtime_error);
  EXPECT_THROW(encode_text(texts.tokenizer, ""), std::runtime_error);
  EXPECT_THROW(encode_text(texts.tokenizer, "a\xFF"), std::runtime_error);
}

}  // namespace
}  // namespace unroll::test
