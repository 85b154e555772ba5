/// A byte-pair encoding: tokens, and merges of two tokens into one, which are applied within a word
/// from the first on the list to the last. Sennrich, Haddow, Birch, "Neural Machine Translation of
/// Rare Words with Subword Units" (2016). Ids are those that the PyPI package `tokenizers` gives.
///
/// A byte-level encoding begins with the bytes of a word, so it knows every text. One of characters
/// (SentencePiece's) begins with its characters; those that are no tokens become bytes, if there is
/// a token for each byte, or else the unknown token. bpe_file.h reads and writes them,
/// bpe_encoder.h applies them to texts, bpe_training.h learns them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "host/data/bpe_words.h"
#include "host/data/token_matcher.h"

namespace unroll {

/// A step between a text and its words. Source: normalizers of tokenizer.json.
enum class Normalization : std::uint8_t {
  kNfc,
  kNfd,
  kNfkc,
  kNfkd,
  kLowercase,
  kMarkBegin,   // U+2581 before the text
  kMarkBlanks,  // U+2581 for each blank
};

/// Whether a text that does not begin with a blank gets one: never, only the whole text, or also
/// what follows a token that was added.
enum class FirstBlank : std::uint8_t { kNever, kFirst, kAlways };

struct BpeParts {
  struct Merge {
    std::int32_t left, right, result;
  };
  struct Added {  // is a token wherever a text has it, whatever the merges say
    std::int32_t id;
    std::string content;
    bool normalized = false;     // is looked for after the normalizations, not before
    bool in_vocabulary = false;  // is also one of the tokens that are merged
  };

  bool byte_level = true;
  std::vector<std::string> tokens;  // by id, as the file writes them
  std::vector<Merge> merges;
  std::vector<Added> added;
  std::vector<Normalization> normalizations;
  WordPattern pattern = WordPattern::kGpt2;
  FirstBlank first_blank = FirstBlank::kNever;
  bool mark_blanks = false;               // after the normalizations, U+2581 for each blank
  std::vector<std::int32_t> byte_tokens;  // of characters that are no tokens: 256, or none
  bool fuse_unknown = false;              // one unknown token for unknown characters side by side
  bool ignore_merges = false;             // a word that is a token is that token
  std::optional<std::int32_t> unknown;
};

/// Ids, with -1 for what is unknown, whose texts are beside them.
struct BpeOutput {
  std::vector<std::int32_t> ids;
  std::vector<std::string> unknown;

  void clear() {
    ids.clear();
    unknown.clear();
  }
};

/// Buffers that are used again from word to word.
struct BpeScratch {
  struct Symbol {
    std::int32_t id;
    std::int32_t previous, next;  // -1: none
  };
  std::vector<Symbol> symbols;
  std::vector<std::uint64_t> queue;  // rank and place of a merge, a heap
};

/// Immutable.
class Bpe {
 public:
  /// `parts` are consistent, as bpe_file.h checks them. `json` is the content of the file.
  Bpe(BpeParts parts, std::string json);
  Bpe(const Bpe&) = delete;  // the maps refer to the texts
  Bpe& operator=(const Bpe&) = delete;

  const BpeParts& parts() const { return parts_; }
  const std::string& json() const { return json_; }
  std::int32_t size() const { return std::int32_t(texts_.size()); }
  /// The token of a newline, else the unknown one, else the first.
  std::int32_t start() const;
  /// The text of a token: bytes, which need not be whole characters.
  /// Errors    std::invalid_argument if `id` is not in [0, size()).
  const std::string& text(std::int32_t id) const;
  /// The token of this text, if there is one.
  std::optional<std::int32_t> find(std::string_view text) const;

  /// Puts a blank before a text that is none of it.
  bool marks_begin() const;

  const WordRule& words() const { return words_; }
  /// Appends the tokens of a word, which is not empty.
  void encode_word(std::string_view word, BpeScratch& scratch, BpeOutput& output) const;

  /// Added tokens that are looked for before or after the normalizations.
  const TokenMatcher& raw() const { return raw_; }
  const TokenMatcher& normalized() const { return normalized_; }

 private:
  struct Slot {  // of the hash table of merges
    std::uint64_t pair = ~std::uint64_t{0};
    std::int32_t rank = -1, result = -1;
  };

  void set_texts();
  void set_letters();
  void set_merges();
  void set_words();
  const Slot* find_merge(std::int32_t left, std::int32_t right) const;
  std::size_t slot_of(std::uint64_t pair) const;
  void add_symbols(std::string_view word, BpeScratch& scratch, BpeOutput& output) const;
  void merge_symbols(BpeScratch& scratch) const;

  BpeParts parts_;
  std::string json_;
  std::vector<std::string> texts_;                                    // by id
  std::unordered_map<std::string_view, std::int32_t> by_text_;        // views of texts_
  std::unordered_map<std::string_view, std::int32_t> words_by_text_;  // with ignore_merges
  std::array<std::int32_t, 256> bytes_{};                             // tokens of bytes, -1: none
  std::vector<std::int32_t> characters_;  // tokens of characters by code point, -1: none
  std::vector<Slot> merges_;              // at most half of them used
  WordRule words_;
  TokenMatcher raw_, normalized_;
};

/// The character that stands for each byte in the tokens of a byte-level encoding: itself where it
/// can be printed. Source: GPT-2's bytes_to_unicode().
const std::array<char32_t, 256>& byte_characters();
/// The bytes of a token that is written so; nullopt if it has another character.
std::optional<std::string> bytes_of_token(std::string_view token);

}  // namespace unroll
