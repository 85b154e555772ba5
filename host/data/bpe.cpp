#include "host/data/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <stdexcept>
#include <utility>

#include "host/base/utf8.h"
#include "host/data/bpe_normalize.h"

namespace unroll {
namespace {

constexpr std::int32_t kNone = -1;

std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
  return std::uint64_t(std::uint32_t(left)) << 32 | std::uint32_t(right);
}

std::string replace_marks(std::string_view token) {
  std::string text;
  for (std::size_t at = 0; at < token.size();) {
    const bool mark = token.substr(at).starts_with(kBlankMark);
    text += mark ? ' ' : token[at];
    at += mark ? kBlankMark.size() : 1;
  }
  return text;
}

}  // namespace

const std::array<char32_t, 256>& byte_characters() {
  static const std::array<char32_t, 256> characters = [] {
    std::array<char32_t, 256> table{};
    char32_t next = 0x100;
    for (char32_t byte = 0; byte < table.size(); ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
      table[byte] = printable ? byte : next++;
    }
    return table;
  }();
  return characters;
}

std::optional<std::string> bytes_of_token(std::string_view token) {
  static const std::unordered_map<char32_t, char> bytes = [] {
    std::unordered_map<char32_t, char> map;
    for (std::size_t byte = 0; byte < 256; ++byte) map[byte_characters()[byte]] = char(byte);
    return map;
  }();
  std::string text;
  while (!token.empty()) {
    const auto byte = bytes.find(take_code_point(token));
    if (byte == bytes.end()) return std::nullopt;
    text += byte->second;
  }
  return text;
}

Bpe::Bpe(BpeParts parts, std::string json) : parts_(std::move(parts)), json_(std::move(json)) {
  set_texts();
  set_letters();
  set_merges();
  set_words();
}

void Bpe::set_texts() {
  for (const std::string& token : parts_.tokens)
    texts_.push_back(parts_.byte_level ? bytes_of_token(token).value_or(token)
                                       : replace_marks(token));
  for (std::size_t byte = 0; byte < parts_.byte_tokens.size(); ++byte)
    texts_[std::size_t(parts_.byte_tokens[byte])] = std::string(1, char(byte));
  for (const BpeParts::Added& token : parts_.added) texts_[std::size_t(token.id)] = token.content;
  for (std::int32_t id = 0; id < size(); ++id) by_text_.emplace(texts_[std::size_t(id)], id);
}

/// The tokens that words begin with.
void Bpe::set_letters() {
  std::vector<char> foreign(parts_.tokens.size());  // added, and no part of words
  for (const BpeParts::Added& token : parts_.added)
    foreign[std::size_t(token.id)] = !token.in_vocabulary;
  bytes_.fill(kNone);
  for (std::int32_t id = 0; id < size(); ++id) {
    std::string_view token = parts_.tokens[std::size_t(id)];
    if (foreign[std::size_t(id)]) continue;
    if (parts_.ignore_merges) {
      // What a word is compared with is spelt as the file spells it.
      const bool spelt = !parts_.byte_level || bytes_of_token(token);
      if (spelt) words_by_text_.emplace(parts_.byte_level ? texts_[std::size_t(id)] : token, id);
    }
    const char32_t code = take_code_point(token);
    if (!token.empty()) continue;
    if (parts_.byte_level) {
      const auto byte = std::ranges::find(byte_characters(), code);
      if (byte != byte_characters().end())
        bytes_[std::size_t(byte - byte_characters().begin())] = id;
    } else {
      if (code >= characters_.size()) characters_.resize(code + 1, kNone);
      characters_[code] = id;
    }
  }
  std::ranges::copy(parts_.byte_tokens, bytes_.begin());
}

void Bpe::set_merges() {
  merges_.resize(std::bit_ceil(2 * parts_.merges.size() + 2));
  for (std::size_t rank = 0; rank < parts_.merges.size(); ++rank) {
    const BpeParts::Merge& merge = parts_.merges[rank];
    const std::uint64_t pair = pair_of(merge.left, merge.right);
    merges_[slot_of(pair)] = {pair, std::int32_t(rank), merge.result};  // of equal ones, the last
  }
  for (const BpeParts::Added& token : parts_.added) {
    std::string wanted = token.content;
    if (token.normalized)
      for (const Normalization step : parts_.normalizations)
        wanted = normalize(std::move(wanted), step);
    if (!wanted.empty()) (token.normalized ? normalized_ : raw_).add(wanted, token.id);
  }
}

/// Where a word can be cut although the file does not say so, because no token goes across.
void Bpe::set_words() {
  words_.pattern = parts_.pattern;
  if (parts_.byte_level) return;
  bool runs = true, newlines = true;
  for (const std::string& token : parts_.tokens) {
    const std::size_t first = token.find(kBlankMark);
    std::size_t other = 0;
    while (std::string_view(token).substr(other).starts_with(kBlankMark))
      other += kBlankMark.size();
    if (first != token.npos && (first > 0 || token.find(kBlankMark, other) != token.npos))
      runs = false;
    if (token.find('\n') != token.npos && token.find_first_not_of('\n') != token.npos)
      newlines = false;
  }
  // Unknown characters side by side become one token, wherever a word is cut.
  const auto known = [&](char32_t code) {
    return !parts_.fuse_unknown || !parts_.byte_tokens.empty() ||
           (code < characters_.size() && characters_[code] != kNone);
  };
  words_.lone_newlines = newlines && known(U'\n');
  if (words_.pattern == WordPattern::kWhole && runs && known(U'\u2581'))
    words_.pattern = WordPattern::kBlankRuns;
}

std::int32_t Bpe::start() const {
  if (const auto newline = find("\n")) return *newline;
  return parts_.unknown.value_or(0);
}

bool Bpe::marks_begin() const {
  // The package's decoder of byte-level encodings leaves their blank where it is.
  return !parts_.byte_level &&
         (parts_.first_blank != FirstBlank::kNever ||
          std::ranges::count(parts_.normalizations, Normalization::kMarkBegin) > 0);
}

const std::string& Bpe::text(std::int32_t id) const {
  if (id < 0 || id >= size())
    throw std::invalid_argument(fmt::format("token id {}, expected one in [0, {})", id, size()));
  return texts_[std::size_t(id)];
}

std::optional<std::int32_t> Bpe::find(std::string_view text) const {
  const auto found = by_text_.find(text);
  return found == by_text_.end() ? std::nullopt : std::optional(found->second);
}

/// The slot that has the pair, or the free one that it would take.
std::size_t Bpe::slot_of(std::uint64_t pair) const {
  const std::size_t mask = merges_.size() - 1;
  std::size_t k = (pair * 0x9E3779B97F4A7C15U >> 32) & mask;  // Fibonacci hashing
  while (merges_[k].rank >= 0 && merges_[k].pair != pair) k = (k + 1) & mask;
  return k;
}

const Bpe::Slot* Bpe::find_merge(std::int32_t left, std::int32_t right) const {
  if (left < 0 || right < 0) return nullptr;
  const Slot& slot = merges_[slot_of(pair_of(left, right))];
  return slot.rank >= 0 ? &slot : nullptr;
}

void Bpe::add_symbols(std::string_view word, BpeScratch& scratch, BpeOutput& output) const {
  const auto add = [&](std::int32_t id) {
    const auto place = std::int32_t(scratch.symbols.size());
    scratch.symbols.push_back({id, place - 1, place + 1});
  };
  bool after_unknown = false;
  while (!word.empty()) {
    const std::string_view begin = word;
    std::int32_t id = kNone;
    if (parts_.byte_level) {
      id = bytes_[static_cast<unsigned char>(word[0])];
      word.remove_prefix(1);
    } else if (const char32_t code = take_code_point(word); code < characters_.size()) {
      id = characters_[code];
    }
    const std::string_view letter = begin.substr(0, begin.size() - word.size());
    if (id == kNone && !parts_.byte_tokens.empty()) {
      for (const char byte : letter) add(bytes_[static_cast<unsigned char>(byte)]);
    } else if (id == kNone && after_unknown && parts_.fuse_unknown) {
      output.unknown.back() += letter;
    } else {
      if (id == kNone) output.unknown.emplace_back(letter);
      add(id);
    }
    after_unknown = id == kNone;
  }
}

/// Applies the merge of the lowest rank, and of several the leftmost, as long as there is one.
void Bpe::merge_symbols(BpeScratch& scratch) const {
  std::vector<BpeScratch::Symbol>& symbols = scratch.symbols;
  std::vector<std::uint64_t>& queue = scratch.queue;
  constexpr std::greater<> later;
  const auto merge_at = [&](std::int32_t place) -> const Slot* {
    const BpeScratch::Symbol& left = symbols[std::size_t(place)];
    return left.next < 0 ? nullptr : find_merge(left.id, symbols[std::size_t(left.next)].id);
  };
  const auto entry = [](const Slot& slot, std::int32_t place) {
    return std::uint64_t(slot.rank) << 32 | std::uint32_t(place);
  };
  const auto propose = [&](std::int32_t place) {
    if (place < 0) return;
    if (const Slot* const slot = merge_at(place)) {
      queue.push_back(entry(*slot, place));
      std::ranges::push_heap(queue, later);
    }
  };
  queue.clear();
  symbols.back().next = -1;
  for (std::int32_t place = 0; place < std::int32_t(symbols.size()); ++place)
    if (const Slot* const slot = merge_at(place)) queue.push_back(entry(*slot, place));
  std::ranges::make_heap(queue, later);
  while (!queue.empty()) {
    std::ranges::pop_heap(queue, later);
    const std::uint64_t top = queue.back();
    queue.pop_back();
    const auto place = std::int32_t(top & 0xFFFFFFFF);
    const Slot* const slot = merge_at(place);
    if (!slot || entry(*slot, place) != top) continue;  // the symbols there are others by now
    BpeScratch::Symbol& left = symbols[std::size_t(place)];
    BpeScratch::Symbol& right = symbols[std::size_t(left.next)];
    left.id = slot->result;
    left.next = std::exchange(right.next, -1);
    right.id = kNone;
    if (left.next >= 0) symbols[std::size_t(left.next)].previous = place;
    propose(left.previous);
    propose(place);
  }
}

void Bpe::encode_word(std::string_view word, BpeScratch& scratch, BpeOutput& output) const {
  if (parts_.ignore_merges)
    if (const auto whole = words_by_text_.find(word); whole != words_by_text_.end()) {
      output.ids.push_back(whole->second);
      return;
    }
  scratch.symbols.clear();
  add_symbols(word, scratch, output);
  merge_symbols(scratch);
  for (std::int32_t place = 0; place >= 0; place = scratch.symbols[std::size_t(place)].next)
    output.ids.push_back(scratch.symbols[std::size_t(place)].id);
}

}  // namespace unroll
