#include "host/data/language_corpus.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <thread>
#include <vector>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

Ids all(TokenIds ids) {
  Ids out;
  for (std::int64_t k = 0; k < ids.size(); ++k) out.push_back(ids[k]);
  return out;
}

std::size_t files_in(const fs::path& folder) {
  if (!fs::exists(folder)) return 0;
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

std::string many_words(std::int64_t lines, std::int64_t words = 500) {
  std::string text;
  for (std::int64_t k = 0; k < lines; ++k)
    text += "w" + std::to_string(k * 7919 % words) + " the end" + std::to_string(k % 3) + "\n";
  return text;
}

/// Few enough words that its first nine tenths have them all.
std::string train_text() {
  std::string text = many_words(300, 50);
  for (int k = 0; k < 300; ++k) text.insert(0, "w" + std::to_string(k) + "\n");
  return text;
}

/// A folder with texts and one for caches, and what was noted.
class CorpusFiles : public ::testing::Test {
 protected:
  CorpusOptions options(const fs::path& path, TokenizerKind kind = TokenizerKind::kWord) {
    CorpusOptions o;
    o.path = path;
    o.tokenizer = kind;
    o.cache_dir = cache();
    o.note = [this](const std::string& line) { notes_.push_back(line); };
    return o;
  }
  std::string error(const CorpusOptions& o) {
    return error_of<std::runtime_error>([&] { read_language_corpus(o); });
  }
  fs::path cache() const { return folder_.path() / "cache"; }
  fs::path only_cache() const { return fs::directory_iterator(cache())->path(); }
  fs::path write_folder() {
    folder_.write("train.txt", train_text());
    folder_.write("valid.txt", "the w7\nend0 new\n");
    folder_.write("test.txt", "the\n");
    return folder_.path();
  }

  TempFolder folder_;
  std::vector<std::string> notes_;
};

TEST_F(CorpusFiles, WarmIsAsColdForEveryTokenizer) {
  write_folder();
  std::size_t caches = 0;
  for (const TokenizerKind kind :
       {TokenizerKind::kWord, TokenizerKind::kChar, TokenizerKind::kByte}) {
    for (const fs::path& path : {folder_.path(), folder_.path() / "train.txt"}) {
      SCOPED_TRACE(to_string(kind) + " " + path.string());
      const LanguageCorpus cold = read_language_corpus(options(path, kind));
      EXPECT_EQ(files_in(cache()), ++caches);
      const LanguageCorpus warm = read_language_corpus(options(path, kind));
      EXPECT_EQ(files_in(cache()), caches);
      EXPECT_EQ(notes_, std::vector<std::string>());
      EXPECT_EQ(warm.tokenizer.vocabulary_text(), cold.tokenizer.vocabulary_text());
      EXPECT_EQ(warm.fingerprint, cold.fingerprint);
      std::string text;
      for (const auto split :
           {&LanguageCorpus::train, &LanguageCorpus::valid, &LanguageCorpus::test}) {
        EXPECT_EQ(all((warm.*split).ids), all((cold.*split).ids));
        EXPECT_EQ((warm.*split).statistics, (cold.*split).statistics);
        EXPECT_EQ((warm.*split).ids.size(), (warm.*split).statistics.tokens);
        text += warm.tokenizer.decode(all((warm.*split).ids));
      }
      if (path == folder_.path()) continue;
      EXPECT_EQ(text, train_text());  // the parts of a file are all of it
      EXPECT_NEAR(double(warm.valid.ids.size()), 0.05 * double(warm.train.ids.size()) / 0.9, 30);
    }
  }
  const LanguageCorpus words = read_language_corpus(options(folder_.path()));
  EXPECT_EQ(words.train.ids.width(), 2);
  EXPECT_EQ(words.valid.statistics.unknown, 1);
  EXPECT_EQ(words.valid.statistics.lines, 2);
  EXPECT_EQ(words.tokenizer.decode(all(words.valid.ids)), "the w7\nend0 <unk>\n");
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
    EXPECT_TRUE(contains(error(o), "1234 tokens are 1 batches of --batch-size 10 x --bptt 100"));
    EXPECT_TRUE(contains(error(o), "what fits: --batch-size 6 or --bptt 61"));
    o.steps = 61;
    EXPECT_EQ(error(o), "no exception");
    o.test_fraction = 0.1;
    EXPECT_THROW(read_language_corpus(o), std::invalid_argument);
    o.test_fraction = 0;
    o.path = write_folder();
    EXPECT_TRUE(contains(error(o), "expected a file to split"));
  }
}

// The numbers of the file are those of any other split: literal <eos> and <unk> are words.
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

TEST_F(CorpusFiles, AChangedSourceIsReadAgain) {
  const fs::path file = folder_.write("x.txt", many_words(100));
  const LanguageCorpus first = read_language_corpus(options(file));
  std::string other = many_words(100);
  other.replace(0, 2, "ww");
  const auto time = fs::last_write_time(file);
  folder_.write("x.txt", other);
  fs::last_write_time(file, time);  // same size, same time
  const LanguageCorpus second = read_language_corpus(options(file));
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_TRUE(contains(notes_[0], "x.txt: changed since its cache was made: reading it again"));
  EXPECT_NE(second.fingerprint, first.fingerprint);
  EXPECT_TRUE(second.tokenizer.find("ww").has_value());
  EXPECT_EQ(first.tokenizer.text(first.train.ids[0]), "w0");  // the old file is still mapped
  fs::last_write_time(file, time + std::chrono::hours(1));    // the same text after all
  EXPECT_EQ(read_language_corpus(options(file)).fingerprint, second.fingerprint);
  EXPECT_EQ(notes_.size(), 1U);
  EXPECT_EQ(files_in(cache()), 1U);
}

// 64 blocks of 64 KiB, by which texts were once compared, do not have one byte in the middle.
TEST_F(CorpusFiles, OneByteOfALargeTextIsNoticed) {
  std::string text = many_words(700'000, 50);
  const fs::path file = folder_.write("x.txt", text);
  CorpusOptions o = options(file);
  o.fingerprint = read_language_corpus(o).fingerprint;
  EXPECT_EQ(error(o), "no exception");
  const auto time = fs::last_write_time(file);
  const std::size_t at = text.find("end", 100'000);
  ASSERT_GT(text.size(), std::size_t{8} << 20);
  text[at] = 'x';
  folder_.write("x.txt", text);
  fs::last_write_time(file, time);
  EXPECT_EQ(notes_.size(), 0U);
  EXPECT_TRUE(contains(error(o), "x.txt: is not the text that the run was begun with: got finger"));
  EXPECT_TRUE(contains(error(o), "expected " + o.fingerprint));
  EXPECT_EQ(notes_.size(), 1U);
  fs::remove_all(cache());
  EXPECT_TRUE(contains(error(o), "is not the text that the run was begun with"));
  text[at] = 'e';
  folder_.write("x.txt", text);
  EXPECT_EQ(error(o), "no exception");
}

TEST_F(CorpusFiles, AFingerprintOfSamplesIsStillCompared) {
  const fs::path file = folder_.write("x.txt", many_words(100));
  CorpusOptions o = options(file);
  o.fingerprint = "cf0cfaf61461cd89b05bbafeeae7eb8f";  // as version 0.1.0 wrote it
  EXPECT_EQ(error(o), "no exception");
  folder_.write("x.txt", "an " + many_words(99));
  EXPECT_TRUE(contains(error(o), "expected cf0cfaf61461cd89b05bbafeeae7eb8f"));
  o.path.clear();
  EXPECT_TRUE(contains(error(o), "the built-in corpus: is not the text that the run was begun"));
  o.fingerprint = read_language_corpus({}).fingerprint;
  EXPECT_EQ(error(o), "no exception");
}

/// Bytes that this process has read so far; nothing where the system does not count.
std::optional<std::int64_t> bytes_read() {
  std::ifstream counts("/proc/self/io");
  std::string name;
  std::int64_t count = 0;
  if (counts >> name >> count && name == "rchar:") return count;
  return std::nullopt;
}

TEST_F(CorpusFiles, ATextAtRestIsKnownWithoutReadingIt) {
  if (!bytes_read()) GTEST_SKIP() << "no /proc/self/io";
  const fs::path file = folder_.write("x.txt", many_words(100'000));
  const auto read = [&] {
    const std::int64_t before = *bytes_read();
    read_language_corpus(options(file));
    return *bytes_read() - before;
  };
  const auto size = std::int64_t(fs::file_size(file));
  EXPECT_GE(read(), size);  // tokenised
  EXPECT_GE(read(), size);  // compared, since it might have been written to in the same instant
  std::this_thread::sleep_for(std::chrono::milliseconds(2'100));
  EXPECT_GE(read(), size);  // once more, and its stamp kept
  EXPECT_LT(read(), 100'000);
  fs::last_write_time(file, fs::last_write_time(file) - std::chrono::hours(1));
  EXPECT_GE(read(), size);
  EXPECT_EQ(notes_, std::vector<std::string>());
}

// Whatever lies where the cache belongs, nothing waits for it and no other text is read.
TEST_F(CorpusFiles, WhatIsNotOnesOwnCacheIsReplaced) {
  const fs::path file = folder_.write("x.txt", many_words(100));
  const Ids expected = all(read_language_corpus(options(file)).train.ids);
  const fs::path place = only_cache(), elsewhere = folder_.path() / "elsewhere";
  const auto expect_again = [&](std::size_t notes) {
    notes_.clear();
    EXPECT_EQ(all(read_language_corpus(options(file)).train.ids), expected);
    EXPECT_EQ(notes_.size(), notes);
  };
  ::chmod(place.c_str(), 0666);
  expect_again(1);
  expect_again(0);
  fs::remove(place);
  ASSERT_EQ(::mkfifo(place.c_str(), 0600), 0);
  expect_again(1);
  expect_again(0);
  fs::rename(place, elsewhere);
  fs::create_symlink(elsewhere, place);
  expect_again(1);
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(place)));
  fs::remove(place);
  fs::create_directories(place / "full");  // cannot be replaced
  expect_again(2);
  EXPECT_TRUE(contains(notes_[1], "cannot be made"));
  EXPECT_TRUE(contains(notes_[1], "the text is read again next time"));
}

TEST_F(CorpusFiles, MappedBytesThatAreOverwrittenAreNoticed) {
  const std::string text = many_words(100);
  const fs::path file = folder_.write("x.txt", text);
  const LanguageCorpus corpus = read_language_corpus(options(file, TokenizerKind::kByte));
  const auto what = [&] {
    return error_of<std::runtime_error>([&] { corpus.require_unchanged(); });
  };
  EXPECT_EQ(what(), "no exception");
  std::string other = text;
  other[other.size() / 2] ^= 1;
  folder_.write("x.txt", other);
  EXPECT_TRUE(contains(what(), "x.txt: was changed while it was in use, expected it to stay as"));
  folder_.write("x.txt", text);
  EXPECT_EQ(what(), "no exception");
  fs::remove(file);  // what is mapped stays
  folder_.write("x.txt", many_words(90));
  EXPECT_EQ(what(), "no exception");
  EXPECT_EQ(corpus.train.ids[0], 'w');
  EXPECT_FALSE(read_language_corpus(options(file)).check_sources);  // words lie in the cache
}

// Whatever byte of a cache is damaged, the corpus is the same and the cache good again.
TEST_F(CorpusFiles, ADamagedCacheIsMadeAgain) {
  const fs::path file = folder_.write("x.txt", many_words(100));
  const Ids expected = all(read_language_corpus(options(file)).train.ids);
  const std::string good = read_text(only_cache());
  const auto read_with = [&](const std::string& bytes) {
    folder_.write("cache/" + only_cache().filename().string(), bytes);
    notes_.clear();
    EXPECT_EQ(all(read_language_corpus(options(file)).train.ids), expected);
    const std::size_t notes = notes_.size();
    EXPECT_EQ(all(read_language_corpus(options(file)).train.ids), expected);
    EXPECT_EQ(notes_.size(), notes);  // it is good again
    return notes;
  };
  EXPECT_EQ(read_with(good), 0U);
  for (std::size_t at = 0; at < good.size(); at += at < 64 ? 1 : 37) {
    SCOPED_TRACE(at);
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    EXPECT_EQ(read_with(bytes), 1U);
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{10}, good.size() / 2, good.size() - 1})
    EXPECT_EQ(read_with(good.substr(0, size)), 1U);
  EXPECT_EQ(read_with(good + "x"), 1U);
}

TEST_F(CorpusFiles, LimitsHaveCachesOfTheirOwn) {
  const fs::path file = folder_.write("x.txt", many_words(100));
  CorpusOptions o = options(file);
  const std::int32_t full = read_language_corpus(o).tokenizer.size();
  o.limits.max_size = 10;
  const LanguageCorpus small = read_language_corpus(o);
  EXPECT_EQ(small.tokenizer.size(), 10);
  EXPECT_GT(full, 10);
  EXPECT_EQ(files_in(cache()), 2U);
  EXPECT_EQ(small.train.ids.width(), 1);
}

TEST_F(CorpusFiles, TheFingerprintDoesNotKnowThePath) {
  const fs::path a = folder_.write("a.txt", many_words(100));
  const fs::path b = folder_.write("b.txt", many_words(100));
  EXPECT_EQ(read_language_corpus(options(a)).fingerprint,
            read_language_corpus(options(b)).fingerprint);
  EXPECT_NE(read_language_corpus(options(a)).fingerprint,
            read_language_corpus(options(a, TokenizerKind::kByte)).fingerprint);
}

TEST_F(CorpusFiles, WithoutAFolderForCachesATemporaryFileWillDo) {
  CorpusOptions o = options(folder_.write("x.txt", many_words(100)));
  o.cache_dir = folder_.path() / "x.txt" / "below";  // a file is in the way
  EXPECT_EQ(read_language_corpus(o).train.statistics.lines, 91);
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_TRUE(contains(notes_[0], "cannot be made: Not a directory; the ids go to a temporary"));
  notes_.clear();
  const char* before = std::getenv("XDG_CACHE_HOME");
  const std::string old = before ? before : "";
  ::setenv("XDG_CACHE_HOME", (folder_.path() / "x.txt").c_str(), 1);
  o.cache_dir.clear();
  const LanguageCorpus corpus = read_language_corpus(o);
  if (before)
    ::setenv("XDG_CACHE_HOME", old.c_str(), 1);
  else
    ::unsetenv("XDG_CACHE_HOME");
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_TRUE(contains(notes_[0], "the ids go to a temporary file"));
  EXPECT_EQ(corpus.tokenizer.text(corpus.train.ids[0]), "w0");
}

TEST_F(CorpusFiles, AFullDiskIsOneErrorAndLeavesNothing) {
  const fs::path file = folder_.write("x.txt", many_words(200'000));
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before {};
  ::getrlimit(RLIMIT_FSIZE, &before);
  struct rlimit small = before;
  small.rlim_cur = 100'000;  // as a full disk: a write fails half way
  ::setrlimit(RLIMIT_FSIZE, &small);
  const std::string what = error(options(file));
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(contains(what, ".tokens: cannot be written: File too large"));
  EXPECT_EQ(files_in(cache()), 0U);
}

TEST_F(CorpusFiles, StopsSoonAndLeavesNothing) {
  const fs::path file = folder_.write("x.txt", many_words(2'000'000, 100'000));
  std::atomic<bool> stop = false;
  CorpusOptions o = options(file);
  o.stop = &stop;
  std::chrono::steady_clock::time_point asked;
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    asked = std::chrono::steady_clock::now();
    stop = true;
  });
  EXPECT_THROW(read_language_corpus(o), Interrupted);
  const auto late = std::chrono::steady_clock::now();
  other.join();
  EXPECT_LT(late - asked, std::chrono::seconds(1));  // 0.2 s on a machine that is idle
  EXPECT_EQ(files_in(cache()), 0U);
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
  EXPECT_TRUE(contains(what(20, 35),
                       "the training text has 300 tokens, --batch-size 20 x --bptt 35 needs 700; "
                       "what fits: --batch-size 8 or --bptt 15"));
  EXPECT_EQ(what(8, 35), "no exception");
  EXPECT_EQ(what(20, 15), "no exception");
  EXPECT_TRUE(contains(what(9, 35), "what fits"));
  EXPECT_TRUE(contains(what(500, 500), "smaller ones of both"));
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
