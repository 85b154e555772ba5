/// Texts in a folder, read as corpora, with a folder for caches beside them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/data/language_corpus.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

inline Ids all(TokenIds ids) {
  Ids out;
  for (std::int64_t k = 0; k < ids.size(); ++k) out.push_back(ids[k]);
  return out;
}

inline std::size_t files_in(const fs::path& folder) {
  if (!fs::exists(folder)) return 0;
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

inline std::string many_words(std::int64_t lines, std::int64_t words = 500) {
  std::string text;
  for (std::int64_t k = 0; k < lines; ++k)
    text += "w" + std::to_string(k * 7919 % words) + " the end" + std::to_string(k % 3) + "\n";
  return text;
}

/// So few words that the first nine tenths have all of them.
inline std::string train_text() {
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

}  // namespace unroll::test
