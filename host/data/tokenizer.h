/// Text to ids and back. A tokenizer of words has <eos> at the end of every line, which is not in
/// the text; to one of characters, bytes or byte pairs the newline is a character like the others,
/// so that decoding gives back exactly what was encoded.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/data/char_vocabulary.h"
#include "host/data/text_reader.h"
#include "host/data/vocabulary.h"

namespace unroll {

class Bpe;

enum class TokenizerKind : std::uint8_t { kWord, kChar, kByte, kBpe };

inline constexpr std::array kTokenizerKinds{TokenizerKind::kWord, TokenizerKind::kChar,
                                            TokenizerKind::kByte, TokenizerKind::kBpe};

/// "word", "char", "byte" or "bpe".
std::string to_string(TokenizerKind kind);
/// The kind of that name, if there is one.
std::optional<TokenizerKind> tokenizer_kind(std::string_view name);

/// Receives the ids of a text piece by piece.
using IdSink = std::function<void(std::span<const std::int32_t>)>;

/// Immutable, cheap to copy, safe to share between threads.
class Tokenizer {
 public:
  /// Learns the vocabulary of a training text; bytes need none, and the text is not read. Byte
  /// pairs: limits.max_size bounds the tokens, and limits.min_count means nothing.
  /// Errors    as Vocabulary::build() or train_bpe().
  static Tokenizer build(TokenizerKind kind, TextSource text, const Vocabulary::Limits& limits);
  /// From what vocabulary_text() gives. `name` is how errors call it.
  /// Errors    std::runtime_error as Vocabulary::parse() or parse_tokenizer_json(); for bytes if
  ///           `text` is not empty.
  static Tokenizer parse(TokenizerKind kind, std::string_view text, const std::string& name);

  TokenizerKind kind() const { return kind_; }
  std::int32_t size() const;
  /// The token that a history starts after: <eos>, or the newline; of byte pairs without a token of
  /// the newline, the unknown one or else the first; or that of starting_after().
  std::int32_t start() const;
  /// The token that ends a line; without starting_after() it is start().
  std::int32_t line_end() const;
  /// The same tokenizer, but a history starts after this token.
  /// Errors    std::runtime_error if it has no such token.
  Tokenizer starting_after(std::string_view token) const;
  /// That token's text; empty if a history starts as usual.
  std::string given_start() const { return given_start_ ? text(*given_start_) : ""; }
  /// Stands for tokens that are not in the vocabulary; bytes need none, and byte pairs may have
  /// none.
  std::optional<std::int32_t> unk() const;

  /// The id of a word, of a character, of a byte or of a text that is one token, if it has one.
  std::optional<std::int32_t> find(std::string_view token) const;
  /// A word, "<eos>", "<unk>", the bytes of a character, or those of a token of byte pairs, which
  /// need not be whole characters.
  /// Errors    std::invalid_argument if `id` is not in [0, size()).
  std::string text(std::int32_t id) const;
  /// The same as printable() makes it; \n, \r, \t and \\ for a character or byte that is one.
  std::string label(std::int32_t id) const;

  /// The ids of a whole text, handed out in pieces; memory does not grow with the text. Returns
  /// what the text is like.
  /// Errors    std::runtime_error as TextReader; Interrupted.
  TextStatistics encode(TextSource text, const IdSink& sink) const;
  /// The ids of a beginning of a text: as above, but <eos> only where there is a newline. Calls
  /// `unknown` for each word or character that becomes <unk>.
  std::vector<std::int32_t> encode(
      std::string_view text, const std::function<void(std::string_view)>& unknown = nullptr) const;
  /// The text of these ids, as TokenWriter writes it.
  std::string decode(std::span<const std::int32_t> ids) const;

  /// The content of vocab.txt, or for byte pairs of tokenizer.json; empty for bytes.
  std::string vocabulary_text() const;
  /// Null unless the kind is kBpe.
  const Bpe* bpe() const { return bpe_.get(); }

 private:
  template <typename Emit>
  void encode_blocks(TextReader& reader, Emit&& emit) const;

  TokenizerKind kind_ = TokenizerKind::kByte;
  std::shared_ptr<const Vocabulary> words_;      // of kWord
  std::shared_ptr<const CharVocabulary> chars_;  // of kChar
  std::shared_ptr<const Bpe> bpe_;               // of kBpe
  std::optional<std::int32_t> given_start_;
};

/// Puts tokens together one by one: blanks between words and a newline for <eos>; others as they
/// are, but without the blank that an encoding puts before the first word.
class TokenWriter {
 public:
  explicit TokenWriter(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {}

  /// What to write for a prompt that the text begins with: words it does not know as they are.
  std::string begin(std::string_view prompt);
  /// What to write for the next token.
  std::string next(std::int32_t id);
  /// The last line is not ended.
  bool in_line() const { return in_line_; }

 private:
  Tokenizer tokenizer_;
  bool in_line_ = false;
  bool begun_ = false;  // something has been written
};

}  // namespace unroll
