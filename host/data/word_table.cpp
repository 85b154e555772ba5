#include "host/data/word_table.h"

#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

#include "host/base/hash.h"

namespace unroll {
namespace {

std::uint64_t hash_word(std::string_view word) {
  return XXH3_64bits(word.data(), word.size());
}

/// The half of the hash that does not choose the slot.
std::uint32_t tag_of(std::uint64_t hash) {
  return static_cast<std::uint32_t>(hash >> 32);
}

}  // namespace

std::string_view WordTable::word_at(std::uint64_t at) const {
  std::uint32_t length = 0;
  std::memcpy(&length, text_.data() + at, sizeof length);
  return {text_.data() + at + sizeof length, length};
}

/// The slot that has the word, or the free one that it would take.
std::size_t WordTable::place(std::string_view word, std::uint64_t hash) const {
  std::size_t k = hash & (slots_.size() - 1);
  while (slots_[k].number >= 0 && (slots_[k].tag != tag_of(hash) || word_at(slots_[k].at) != word))
    k = (k + 1) & (slots_.size() - 1);
  return k;
}

std::int32_t WordTable::find(std::string_view word) const {
  return slots_[place(word, hash_word(word))].number;
}

std::int32_t WordTable::add(std::string_view word) {
  const std::uint64_t hash = hash_word(word);
  std::size_t k = place(word, hash);
  if (slots_[k].number >= 0) return slots_[k].number;
  if (size_ == std::numeric_limits<std::int32_t>::max())
    throw std::runtime_error("a text has too many different words, expected below 2^31");
  if (word.size() > std::numeric_limits<std::uint32_t>::max())
    throw std::runtime_error("a text has a word of 4 GiB or more, expected shorter ones");
  if (2 * (static_cast<std::size_t>(size_) + 1) > slots_.size()) {
    grow();
    k = place(word, hash);
  }
  slots_[k] = {text_.size(), tag_of(hash), size_};
  const auto length = static_cast<std::uint32_t>(word.size());
  text_.append(reinterpret_cast<const char*>(&length), sizeof length).append(word);
  return size_++;
}

void WordTable::grow() {
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
  for (const Slot& slot : old) {
    if (slot.number < 0) continue;
    const std::string_view word = word_at(slot.at);
    slots_[place(word, hash_word(word))] = slot;
  }
}

std::vector<std::string> WordTable::words() const {
  std::vector<std::string> words;
  words.reserve(static_cast<std::size_t>(size_));
  for (std::uint64_t at = 0; at < text_.size(); at += sizeof(std::uint32_t) + words.back().size())
    words.emplace_back(word_at(at));
  return words;
}

}  // namespace unroll
