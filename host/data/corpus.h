/// Text files as token ids. Words are separated by ASCII white space ('\r' is one, so CRLF files
/// read like LF files), and every line ends in <eos>: a blank line is a lone <eos>, and a last line
/// without a newline counts like the others. Text must be UTF-8 without NUL bytes; a byte order
/// mark at its very start is skipped and not counted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace unroll {

class Vocabulary;

/// For reading, bytes as they are.
/// Errors    std::runtime_error if it cannot be opened, or is a folder.
std::ifstream open_text(const std::filesystem::path& file);

/// Reads a text word by word, in bounded memory (as long as its words are), and checks its encoding
/// on the way. Not thread-safe. The source must outlive the reader.
class TextReader {
 public:
  /// `name` is how errors call the text.
  TextReader(std::istream& source, std::string name);
  TextReader(std::string_view source, std::string name);

  /// The next word, an empty one at the end of each line, nothing at the end of the text. A word is
  /// valid until the next call.
  /// Errors    std::runtime_error, with line and byte offset, at a NUL or a byte that is not UTF-8;
  ///           also if the source cannot be read.
  std::optional<std::string_view> next();

  std::int64_t lines() const { return lines_; }            // ended so far
  std::int64_t characters() const { return characters_; }  // code points so far, newlines included

 private:
  bool refill();
  void skip_byte_order_mark();
  void check(std::string_view word) const;

  std::istream* source_;  // null when reading from memory
  std::string name_;
  std::string buffer_;
  std::string_view rest_;      // read from the source, not yet given out
  std::int64_t consumed_ = 0;  // bytes of the source before rest_
  std::int64_t lines_ = 0;
  std::int64_t characters_ = 0;
  bool started_ = false;
  bool line_open_ = false;  // the current line has at least one character
};

/// A text as the model sees it.
struct TokenText {
  std::vector<std::int32_t> ids;  // in [0, vocabulary size)
  std::int64_t characters = 0;    // UTF-8 code points of the source, newlines included
  std::int64_t lines = 0;         // as many as there are <eos> added
  std::int64_t unknown = 0;       // words that became <unk>; those written "<unk>" are not counted
};

/// Errors    std::runtime_error if the file is missing, empty, not UTF-8, or has NUL bytes.
TokenText read_tokens(const std::filesystem::path& file, const Vocabulary& vocabulary);
/// The same for a text in memory. `name` is how errors call it.
TokenText tokenize(std::string_view text, const Vocabulary& vocabulary,
                   const std::string& name = "text");

/// The three files of a language-modelling corpus.
struct TextDirectory {
  std::filesystem::path train, valid, test;
};

/// Errors    std::runtime_error if `path` is not a folder, or train.txt, valid.txt or test.txt is
///           missing from it.
TextDirectory read_text_directory(const std::filesystem::path& path);

}  // namespace unroll
