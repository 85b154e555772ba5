#include "host/data/word_table.h"

#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

#include "host/base/hash.h"

namespace unroll {
namespace {

constexpr std::size_t kShort = sizeof(std::uint64_t);

template <typename Number>
std::uint64_t load(const char* from) {
  Number number;
  std::memcpy(&number, from, sizeof number);
  return number;
}

/// Short words of one size have the same key only if they are equal.
std::uint64_t key_of(std::string_view word) {
  const char* const begin = word.data();
  const std::size_t size = word.size();
  if (size > kShort) return XXH3_64bits(begin, size);
  // Two loads that may overlap: their bytes are then the same.
  if (size >= 4)
    return load<std::uint32_t>(begin) | load<std::uint32_t>(begin + size - 4) << (8 * (size - 4));
  if (size >= 2)
    return load<std::uint16_t>(begin) | load<std::uint16_t>(begin + size - 2) << (8 * (size - 2));
  return size == 1 ? load<std::uint8_t>(begin) : 0;
}

/// Both halves of a product depend on all bits of the key.
std::size_t scatter(std::uint64_t key, std::size_t size) {
  const auto product =
      static_cast<unsigned __int128>(key ^ 0x9E3779B97F4A7C15U) * (0xD1B54A32D192ED03U + 2 * size);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

std::string_view WordTable::word(std::int32_t number) const {
  const std::uint64_t begin = ends_[static_cast<std::size_t>(number)];
  return std::string_view(text_).substr(begin, ends_[static_cast<std::size_t>(number) + 1] - begin);
}

/// The slot that has the word, or the free one that it would take.
std::size_t WordTable::place(std::string_view word, std::uint64_t key) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t k = scatter(key, word.size()) & mask;; k = (k + 1) & mask) {
    const Slot& slot = slots_[k];
    if (slot.number < 0) return k;
    if (slot.key == key && slot.size == word.size() &&
        (word.size() <= kShort || this->word(slot.number) == word))
      return k;
  }
}

std::int32_t WordTable::find(std::string_view word) const {
  return slots_[place(word, key_of(word))].number;
}

std::int32_t WordTable::add(std::string_view word) {
  const std::uint64_t key = key_of(word);
  std::size_t k = place(word, key);
  if (slots_[k].number >= 0) return slots_[k].number;
  const std::int32_t number = size();
  if (number == std::numeric_limits<std::int32_t>::max())
    throw std::runtime_error("a text has too many different words, expected below 2^31");
  if (word.size() > std::numeric_limits<std::uint32_t>::max())
    throw std::runtime_error("a text has a word of 4 GiB or more, expected shorter ones");
  if (2 * (static_cast<std::size_t>(number) + 1) > slots_.size()) {
    grow();
    k = place(word, key);
  }
  text_.append(word);
  ends_.push_back(text_.size());
  slots_[k] = {key, static_cast<std::uint32_t>(word.size()), number};
  return number;
}

void WordTable::grow() {
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
  const std::size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.number < 0) continue;
    std::size_t k = scatter(slot.key, slot.size) & mask;
    while (slots_[k].number >= 0) k = (k + 1) & mask;
    slots_[k] = slot;
  }
}

std::vector<std::string> WordTable::words() const {
  std::vector<std::string> words;
  words.reserve(static_cast<std::size_t>(size()));
  for (std::int32_t number = 0; number < size(); ++number) words.emplace_back(word(number));
  return words;
}

}  // namespace unroll
