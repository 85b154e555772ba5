/// Corpora by way of their caches: when a cache is used, made again, or done without.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <thread>
#include <vector>

#include "tests/support/corpus_files.h"
#include "tests/support/resource_limit.h"

namespace unroll::test {
namespace {

TEST_F(CorpusFiles, WarmIsAsColdForEveryTokenizer) {
  write_folder();
  std::size_t caches = 0;
  for (const TokenizerKind kind : kTokenizerKinds) {
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

// Texts were once compared by 64 blocks of 64 KiB, which miss one byte in the middle.
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

// Anything may lie in the cache's place: nothing waits for it, and no other text is read.
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

// If any byte of a cache is damaged, the corpus is the same and the cache is good again.
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
  std::string what;
  {
    const FullDisk full(100'000);
    what = error(options(file));
  }
  EXPECT_TRUE(contains(what, ".tokens: cannot be written: File too large"));
  EXPECT_EQ(files_in(cache()), 0U);
}

// A reader that looked only at the end would find that the end is no text.
TEST_F(CorpusFiles, StopsSoonAndLeavesNothing) {
  const fs::path file = folder_.write("x.txt", many_words(2'000'000, 100'000) + "\xFF");
  const std::atomic<bool> stop = true;
  CorpusOptions o = options(file);
  o.stop = &stop;
  EXPECT_THROW(read_language_corpus(o), Interrupted);
  EXPECT_EQ(files_in(cache()), 0U);
  o.stop = nullptr;
  EXPECT_TRUE(contains(error(o), "got byte 0xFF"));
}

}  // namespace
}  // namespace unroll::test
