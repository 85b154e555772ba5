#include "host/data/language_corpus.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <vector>

#include "tests/support/corpus_files.h"

namespace unroll::test {
namespace {

TEST_F(CorpusFiles, SaysWhichOfThreeTextsAreTheSame) {
  write_folder();
  for (int time = 0; time < 2; ++time) {  // also from a cache
    notes_.clear();
    read_language_corpus(options(folder_.path()));
    EXPECT_EQ(notes_.size(), 0U);
  }
  folder_.write("test.txt", read_text(folder_.path() / "valid.txt"));
  for (int time = 0; time < 2; ++time) {
    notes_.clear();
    read_language_corpus(options(folder_.path()));
    ASSERT_FALSE(notes_.empty());
    EXPECT_TRUE(contains(notes_.back(), "valid.txt and " + (folder_.path() / "test.txt").string() +
                                            " are the same text: "));
  }
}

TEST_F(CorpusFiles, ReadsFilesThatLieApart) {
  write_folder();
  const LanguageCorpus folder = read_language_corpus(options(folder_.path()));
  CorpusOptions o = options(folder_.path() / "train.txt");
  o.files = {o.path, folder_.path() / "valid.txt", folder_.path() / "test.txt"};
  const LanguageCorpus three = read_language_corpus(o);
  EXPECT_EQ(all(three.test.ids), all(folder.test.ids));
  EXPECT_EQ(three.fingerprint, folder.fingerprint);
  for (const TokenizerKind kind : {TokenizerKind::kWord, TokenizerKind::kByte}) {
    o.tokenizer = kind;
    o.files.resize(2);
    const LanguageCorpus two = read_language_corpus(o);
    EXPECT_TRUE(two.test.ids.empty());
    EXPECT_EQ(two.valid.statistics.tokens, kind == TokenizerKind::kByte ? 16 : 6);
    EXPECT_EQ(read_language_corpus(o).valid.ids.size(), two.valid.ids.size()) << "from the cache";
  }
}

TEST_F(CorpusFiles, FractionsAreCutAtLineEnds) {
  const fs::path file = folder_.write("x.txt", "abcd\nbcda\ncdab\ndabc\n");
  CorpusOptions o = options(file, TokenizerKind::kChar);
  const auto texts = [&] {
    const LanguageCorpus corpus = read_language_corpus(o);
    return std::vector<std::string>{corpus.tokenizer.decode(all(corpus.train.ids)),
                                    corpus.tokenizer.decode(all(corpus.valid.ids)),
                                    corpus.tokenizer.decode(all(corpus.test.ids))};
  };
  // 20 bytes: the first cut is just after a newline, those at 9 and 14 are within lines.
  o.valid_fraction = 0.5;
  o.test_fraction = 0;
  EXPECT_EQ(texts(), (std::vector<std::string>{"abcd\nbcda\n", "cdab\ndabc\n", ""}));
  o.valid_fraction = 0.25;
  o.test_fraction = 0.3;
  EXPECT_EQ(texts(), (std::vector<std::string>{"abcd\nbcda\n", "cdab\n", "dabc\n"}));
  o.tokenizer = TokenizerKind::kByte;
  EXPECT_EQ(texts(), (std::vector<std::string>{"abcd\nbcda", "\ncdab", "\ndabc\n"}));
  o.tokenizer = TokenizerKind::kChar;
  o.valid_fraction = o.test_fraction = 0.05;
  EXPECT_TRUE(contains(error(o), "leave no validation text"));
  o.valid_fraction = 0;
  EXPECT_THROW(read_language_corpus(o), std::invalid_argument);
}

TEST_F(CorpusFiles, StreamsAreCharRnns) {
  std::string text;
  for (int k = 0; k < 1234; ++k) text += static_cast<char>('a' + k * k % 23);
  for (const TokenizerKind kind : {TokenizerKind::kChar, TokenizerKind::kByte}) {
    CorpusOptions o = options(folder_.write("x.txt", text), kind);
    o.split = SplitKind::kStreams;
    o.test_fraction = 0;
    o.valid_fraction = 0.2;
    o.streams = 10;
    o.steps = 9;  // 13 batches of 90, and 64 tokens that are left out
    for (int time = 0; time < 2; ++time) {
      const LanguageCorpus corpus = read_language_corpus(o);
      EXPECT_EQ(corpus.streams.train_batches, 10);
      EXPECT_EQ(corpus.streams.valid_batches, 3);
      EXPECT_EQ(corpus.train.statistics.tokens, 900);
      EXPECT_EQ(corpus.valid.statistics.tokens, 270);
      EXPECT_EQ(corpus.valid.statistics.characters, 270);
      EXPECT_EQ(corpus.streams.text.tokens, 1234);
      EXPECT_EQ(corpus.streams.text.longest_line, 1234);
      EXPECT_EQ(corpus.streams.text.types, 12);  // squares modulo 23
      BatchStream train = corpus.training_stream(10, 9), valid = corpus.validation_stream();
      EXPECT_EQ(train.batches(), 10);
      EXPECT_EQ(valid.batches(), 3);
      std::vector<std::int32_t> x(90), y(90);
      EXPECT_EQ(valid.next(x, y), 9);
      for (std::size_t s = 0; s < 10; ++s) {
        EXPECT_EQ(corpus.tokenizer.text(y[s]), std::string(1, text[117 * s + 90]));
        EXPECT_EQ(corpus.tokenizer.text(x[s]), std::string(1, text[117 * s + 89]));
      }
      EXPECT_THROW(corpus.training_stream(9, 10), std::invalid_argument);
      EXPECT_THROW(corpus.test_stream(), std::invalid_argument);
    }
    o.steps = 100;
    EXPECT_TRUE(contains(error(o), "1234 tokens are 1 batches of 10 streams x 100 timesteps"));
    EXPECT_TRUE(contains(error(o), "what fits: 6 streams or 61 timesteps"));
    o.steps = 61;
    EXPECT_EQ(error(o), "no exception");
    o.test_fraction = 0.1;
    EXPECT_THROW(read_language_corpus(o), std::invalid_argument);
    o.test_fraction = 0;
    o.path = write_folder();
    EXPECT_TRUE(contains(error(o), "expected a file to split"));
  }
}

// Statistics of the file are the same as for any other split: literal <eos> and <unk> are words.
TEST_F(CorpusFiles, StreamsAreToldAsTheFileIs) {
  std::string text = "a <eos> <unk> b\n\na line that is longer\r\n";
  for (int k = 0; k < 60; ++k) text += "a b\n";
  CorpusOptions o = options(folder_.write("x.txt", text));
  o.split = SplitKind::kStreams;
  o.test_fraction = 0;
  o.streams = o.steps = 3;
  o.limits.min_count = 2;
  const LanguageCorpus corpus = read_language_corpus(o);
  EXPECT_EQ(corpus.streams.text,
            read_tokens(TextSource(text, "text"), corpus.tokenizer).statistics);
  EXPECT_EQ(corpus.streams.text.lines, 63);
  EXPECT_EQ(corpus.streams.text.empty_lines, 1);
  EXPECT_EQ(corpus.streams.text.longest_line, 22);
  EXPECT_EQ(corpus.streams.text.unknown, 4);
  EXPECT_EQ(corpus.train.statistics.tokens + corpus.valid.statistics.tokens, 189);
}

TEST_F(CorpusFiles, TinyShakespeareIsSplitAsByCharRnn) {
  const char* data = std::getenv("UNROLL_DATA");
  const fs::path file = fs::path(data ? data : "../shared/data") / "tinyshakespeare" / "input.txt";
  if (!fs::exists(file)) GTEST_SKIP() << "no tinyshakespeare at " << file;
  CorpusOptions o = options(file, TokenizerKind::kChar);
  o.split = SplitKind::kStreams;
  o.test_fraction = 0;
  o.streams = o.steps = 50;
  const LanguageCorpus corpus = read_language_corpus(o);
  EXPECT_EQ(corpus.streams.train_batches, 423);
  EXPECT_EQ(corpus.streams.valid_batches, 23);
  EXPECT_EQ(corpus.tokenizer.size(), 66);  // 65 characters and <unk>
}

TEST_F(CorpusFiles, PennTreebankHasTenThousandTypes) {
  const char* data = std::getenv("UNROLL_DATA");
  const fs::path ptb = fs::path(data ? data : "../shared/data") / "ptb";
  if (!fs::exists(ptb)) GTEST_SKIP() << "no Penn Treebank at " << ptb;
  const LanguageCorpus corpus = read_language_corpus(options(ptb));
  EXPECT_EQ(corpus.tokenizer.size(), 10'000);
  EXPECT_EQ(corpus.tokenizer.text(0), "the");
  EXPECT_EQ(corpus.train.ids.size(), 929'589);
  EXPECT_EQ(corpus.valid.ids.size(), 73'760);
  EXPECT_EQ(corpus.test.ids.size(), 82'430);
  EXPECT_EQ(corpus.train.statistics.unknown, 0);
  EXPECT_EQ(corpus.train.statistics.characters, std::int64_t(fs::file_size(ptb / "train.txt")));
}

TEST_F(CorpusFiles, AreFoundUnderTheNamesThatKnownCorporaHave) {
  const fs::path& path = folder_.path();
  std::string text;
  for (int k = 0; k < 40; ++k) text += "i i n n\n";
  folder_.write("input.txt", text);
  EXPECT_TRUE(read_language_corpus(options(path)).tokenizer.find("n"));
  for (const char* split : {"train", "valid", "test"}) {
    folder_.write("wiki." + std::string(split) + ".tokens", "w w\n");
    folder_.write("ptb." + std::string(split) + ".txt", "p p\n");
  }
  EXPECT_TRUE(read_language_corpus(options(path)).tokenizer.find("w"));
  fs::remove(path / "wiki.test.tokens");
  EXPECT_TRUE(contains(error(options(path)), "no wiki.test.tokens, expected wiki.train.tokens, "));
  fs::remove(path / "wiki.train.tokens");
  EXPECT_TRUE(read_language_corpus(options(path)).tokenizer.find("p"));
  folder_.write("train.txt", "t t\n");
  EXPECT_TRUE(contains(error(options(path)), "no valid.txt, expected train.txt, valid.txt and"));
}

TEST_F(CorpusFiles, WhatIsNoCorpusIsNamed) {
  const fs::path& path = folder_.path();
  EXPECT_TRUE(contains(error(options(path / "no")), "no: no such file or folder"));
  EXPECT_TRUE(contains(error(options(path)), "no train.txt, expected train.txt, valid.txt and"));
  folder_.write("train.txt", "a b\n");
  EXPECT_TRUE(contains(error(options(path)), "no valid.txt"));
  folder_.write("valid.txt", "");
  folder_.write("test.txt", "a\n");
  EXPECT_TRUE(contains(error(options(path)), "valid.txt: is empty"));
  fs::remove(path / "valid.txt");
  ASSERT_EQ(::mkfifo((path / "valid.txt").c_str(), 0600), 0);
  EXPECT_TRUE(contains(error(options(path)), "valid.txt: is a pipe, expected a text file"));
  fs::remove(path / "valid.txt");
  folder_.write("valid.txt", "\xEF\xBB\xBF");
  EXPECT_TRUE(contains(error(options(path)), "valid.txt: is empty"));
  folder_.write("valid.txt", std::string_view("a\0b\n", 4));
  EXPECT_TRUE(contains(error(options(path)),
                       "valid.txt: line 1, byte offset 1: got byte 0x00, expected UTF-8 text "
                       "without NUL (the tokenizer byte takes any bytes)"));
  EXPECT_TRUE(contains(error(options(path, TokenizerKind::kChar)), "byte offset 1"));
  EXPECT_EQ(error(options(path, TokenizerKind::kByte)), "no exception");
  folder_.write("valid.txt", "a\n");
  folder_.write("train.txt", "\n\n \n");
  EXPECT_TRUE(contains(error(options(path)), "got no word beside line ends, expected"));
  CorpusOptions rare = options(folder_.write("rare.txt", many_words(100)));
  rare.limits.min_count = 1000;
  EXPECT_TRUE(contains(error(rare), "got no word that occurs 1000 times"));
}

TEST_F(CorpusFiles, ATextTooShortForABatchSaysWhatFits) {
  std::string text;
  for (int k = 0; k < 100; ++k) text += "a b\n";
  folder_.write("train.txt", text);
  folder_.write("valid.txt", "a\n");
  folder_.write("test.txt", "a\n");
  const LanguageCorpus corpus = read_language_corpus(options(folder_.path()));
  const auto what = [&](std::int64_t batch, std::int64_t bptt) {
    return error_of<std::runtime_error>([&] { corpus.training_stream(batch, bptt); });
  };
  EXPECT_TRUE(
      contains(what(20, 35),
               "the training text has 300 tokens, a batch of 20 streams x 35 timesteps needs 700; "
               "what fits: 8 streams or 15 timesteps"));
  EXPECT_EQ(what(8, 35), "no exception");
  EXPECT_EQ(what(20, 15), "no exception");
  EXPECT_TRUE(contains(what(9, 35), "what fits"));
  EXPECT_TRUE(contains(what(500, 500), "fewer of both"));
}

TEST(LanguageCorpus, TheBuiltInTextGoesWithEveryTokenizer) {
  for (const TokenizerKind kind : {TokenizerKind::kChar, TokenizerKind::kByte}) {
    const LanguageCorpus corpus = read_language_corpus({.tokenizer = kind});
    EXPECT_EQ(corpus.tokenizer.kind(), kind);
    EXPECT_EQ(corpus.test.ids.size(), std::int64_t(built_in_test_text().size()));
  }
}

}  // namespace
}  // namespace unroll::test
