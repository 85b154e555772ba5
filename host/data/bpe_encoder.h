/// Applies a byte-pair encoding to a text that comes in pieces. What it gives out does not depend
/// on where the pieces end: the text goes through stages, and each keeps back what depends on more.
///
///   text -> added tokens as they are -> normalizations -> added tokens -> words -> tokens
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/bpe.h"
#include "host/data/word_table.h"

namespace unroll {

/// Finds words in a text that comes in pieces. Not thread-safe.
class WordStream {
 public:
  /// The most bytes without a place to cut, which bounds memory and time.
  static constexpr std::size_t kLongestWord = std::size_t{1} << 24;

  /// `name` is how errors call the text.
  WordStream(const WordRule& rule, std::string name) : rule_(rule), name_(std::move(name)) {}

  /// Appends to the text and calls word(std::string_view) for each word that is complete. `ends`:
  /// the text ends here, and what comes next is another.
  /// Errors    std::runtime_error if a word is longer than kLongestWord.
  template <typename Word>
  void add(std::string_view text, bool ends, Word&& word) {
    pending_ += text;
    if (!ends && pending_.size() < enough_) return require_short(pending_.size());
    std::string_view rest = pending_;
    while (!rest.empty()) {
      const auto size = first_word(rest, rule_, ends);
      if (!size) break;
      word(rest.substr(0, *size));
      rest.remove_prefix(*size);
    }
    require_short(rest.size());
    enough_ = 2 * rest.size();
    pending_.erase(0, pending_.size() - rest.size());
  }

  /// Errors    std::runtime_error if so many bytes are too many for a word.
  void require_short(std::size_t bytes) const;

 private:
  WordRule rule_;
  std::string name_;
  std::string pending_;
  std::size_t enough_ = 0;  // to look again: a long word is not searched for each piece
};

/// Not thread-safe, but the encoding, which must outlive it, may be shared.
class BpeEncoder {
 public:
  /// `name` is how errors call the text.
  BpeEncoder(const Bpe& bpe, const std::string& name);

  /// Appends to the text, which is UTF-8; a piece has whole characters.
  /// Errors    as WordStream::add().
  void add(std::string_view text) { find_raw(text, false); }
  /// The text is complete. The next one may begin.
  void finish() { find_raw({}, true); }

  /// What is known so far. The caller clears it.
  BpeOutput& output() { return output_; }

 private:
  void find_raw(std::string_view text, bool ends);
  void normalize_text(std::string_view text, bool ends);
  void find_normalized(std::string_view text, bool ends);
  void find_words(std::string text, bool ends);
  void encode_word(std::string_view word);
  void add_token(std::int32_t id);

  const Bpe& bpe_;
  WordStream words_;
  std::string raw_, to_normalize_, normalized_;  // kept back by the stages
  bool text_begins_ = true;                      // nothing has been read yet
  bool part_begins_ = true;  // nothing has been normalized since the last added token
  bool words_begin_ = true;  // nor searched for words
  BpeScratch scratch_;
  BpeOutput output_;
  // Words seen before: their tokens are cached_[ends_[k - 1], ends_[k]).
  WordTable cache_;
  std::vector<std::size_t> ends_;
  std::vector<std::int32_t> cached_;
};

}  // namespace unroll
