#include "host/data/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <utility>

#include "host/base/utf8.h"

namespace unroll {
namespace {

constexpr std::size_t kMaxTokens = std::numeric_limits<std::int32_t>::max();

struct Entry {
  std::string word;
  std::int64_t count = 0;
  std::int64_t first = std::numeric_limits<std::int64_t>::max();  // rank by first appearance

  bool operator<(const Entry& other) const {
    return count != other.count ? count > other.count : first < other.first;
  }
  void absorb(const Entry& other) {
    count += other.count;
    first = std::min(first, other.first);
  }
};

/// The types of a text in the order in which they appear, with their counts.
std::vector<Entry> count_words(TextReader& reader) {
  WordTable table;
  std::vector<std::int64_t> counts;
  while (const auto word = reader.next()) {
    const auto k = static_cast<std::size_t>(table.add(word->empty() ? Vocabulary::kEos : *word));
    if (k == counts.size()) counts.push_back(0);
    ++counts[k];
  }
  std::vector<Entry> entries;
  entries.reserve(counts.size());
  for (std::string& word : table.words()) {
    const std::size_t k = entries.size();
    entries.push_back({std::move(word), counts[k], static_cast<std::int64_t>(k)});
  }
  return entries;
}

/// Removes the entry of this word, and makes one if there is none.
Entry take(std::vector<Entry>& entries, std::string_view word) {
  const auto at = std::find_if(entries.begin(), entries.end(),
                               [&](const Entry& entry) { return entry.word == word; });
  if (at == entries.end()) return {std::string(word)};
  Entry entry = std::move(*at);
  entries.erase(at);
  return entry;
}

}  // namespace

void Vocabulary::Limits::check() const {
  if (max_size < 0 || max_size == 1)
    throw std::invalid_argument(fmt::format(
        "vocabulary size {}, expected 0 (no cap) or at least 2 (<unk> and a line end)", max_size));
  if (min_count < 1)
    throw std::invalid_argument(
        fmt::format("minimum word count {}, expected at least 1", min_count));
}

Vocabulary Vocabulary::build(TextSource text, const Limits& limits) {
  limits.check();
  TextReader reader(std::move(text));
  const std::string& name = reader.name();
  std::vector<Entry> entries = count_words(reader);
  if (reader.statistics().lines == 0)
    throw std::runtime_error(name + ": is empty, expected text to build a vocabulary from");

  Entry unk = take(entries, kUnk), eos = take(entries, kEos);
  std::sort(entries.begin(), entries.end());
  std::size_t kept = entries.size();
  if (limits.max_size > 0) kept = std::min(kept, static_cast<std::size_t>(limits.max_size) - 2);
  while (kept > 0 && entries[kept - 1].count < limits.min_count) --kept;
  for (std::size_t k = kept; k < entries.size(); ++k) unk.absorb(entries[k]);
  entries.resize(kept);
  if (kept + 2 > kMaxTokens)
    throw std::runtime_error(
        fmt::format("{}: {} distinct words, expected at most {}", name, kept, kMaxTokens - 2));

  for (Entry* special : {&unk, &eos}) {
    const auto place = std::lower_bound(entries.begin(), entries.end(), *special);
    entries.insert(place, std::move(*special));
  }
  std::vector<std::string> words;
  words.reserve(entries.size());
  for (Entry& entry : entries) words.push_back(std::move(entry.word));
  return {std::move(words), name};
}

Vocabulary Vocabulary::parse(std::string_view text, const std::string& name) {
  if (text.empty()) throw std::runtime_error(name + ": is empty, expected one token per line");
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view word = text.substr(0, end);
    const auto fail = [&](std::string_view got) {
      return std::runtime_error(
          fmt::format("{}: line {}: {}, expected one token", name, words.size() + 1, got));
    };
    if (word.empty()) throw fail("blank");
    if (word.find_first_of(std::string_view(" \t\r\v\f\0", 6)) != std::string_view::npos)
      throw fail("white space or NUL within the line");
    if (find_invalid_utf8(word) != word.size()) throw fail("not UTF-8");
    words.emplace_back(word);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {std::move(words), name};
}

Vocabulary::Vocabulary(std::vector<std::string> words, const std::string& name)
    : words_(std::move(words)) {
  if (words_.size() > kMaxTokens)
    throw std::runtime_error(
        fmt::format("{}: {} tokens, expected at most {}", name, words_.size(), kMaxTokens));
  for (std::size_t k = 0; k < words_.size(); ++k) {
    const auto first = static_cast<std::size_t>(ids_.add(words_[k]));
    if (first != k)
      throw std::runtime_error(fmt::format("{}: line {}: token {} again, first on line {}", name,
                                           k + 1, in_quotes(words_[k]), first + 1));
  }
  const auto special = [&](std::string_view word) {
    const auto id = find(word);
    if (!id) throw std::runtime_error(fmt::format("{}: has no token '{}'", name, word));
    return *id;
  };
  unk_ = special(kUnk);
  eos_ = special(kEos);
}

std::string Vocabulary::to_text() const {
  std::string text;
  for (const std::string& word : words_) text.append(word).push_back('\n');
  return text;
}

std::optional<std::int32_t> Vocabulary::find(std::string_view word) const {
  const std::int32_t id = ids_.find(word);
  return id < 0 ? std::nullopt : std::optional(id);
}

const std::string& Vocabulary::word(std::int32_t id) const {
  if (id < 0 || id >= size())
    throw std::invalid_argument(
        fmt::format("token id {}, expected one in [0, {})", id, words_.size()));
  return words_[static_cast<std::size_t>(id)];
}

}  // namespace unroll
