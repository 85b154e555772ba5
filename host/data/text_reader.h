/// Reads text in blocks, in memory that does not grow with the text, and checks and measures it on
/// the way. Tokenizer reads through it. Words are separated by ASCII white space ('\r' is one, so
/// CRLF files read like LF files), and every line ends, a last one without a newline too. Text must
/// be UTF-8 without NUL bytes; a byte order mark at the very start of a file is skipped and not
/// counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "host/base/file.h"

namespace unroll {

class Hash;

/// What a text is like. A reader fills in all but `tokens`, `unknown` and `types`.
struct TextStatistics {
  std::int64_t tokens = 0;
  std::int64_t characters = 0;    // code points, newlines included; where bytes are tokens, bytes
  std::int64_t lines = 0;         // as many as there are <eos> where words are tokens
  std::int64_t unknown = 0;       // what became <unk>; a word written "<unk>" is not counted
  std::int64_t types = 0;         // different tokens
  std::int64_t empty_lines = 0;   // without any character
  std::int64_t longest_line = 0;  // characters, the newline not counted
  std::int64_t crlf_lines = 0;

  bool operator==(const TextStatistics&) const = default;
};

/// All or part of a file, a text in memory, which must outlive it, or what comes piece by piece.
/// Movable.
class TextSource {
 public:
  static constexpr std::int64_t kToTheEnd = std::numeric_limits<std::int64_t>::max();

  /// `name` is how errors call the text.
  TextSource(std::string_view text, std::string name);
  /// `count` bytes from `first` on.
  /// Errors    std::runtime_error if it cannot be opened, or is not a regular file.
  explicit TextSource(const std::filesystem::path& file, std::int64_t first = 0,
                      std::int64_t count = kToTheEnd);

  /// Fills a buffer in part or as a whole and returns how far; 0 is the end.
  using Read = std::function<std::size_t(std::span<char> buffer)>;
  /// A stream, whose `beginning` has been read already.
  TextSource(std::string beginning, Read read, std::string name);

  /// Asks for the end of reading when set.
  void stop_by(const std::atomic<bool>* stop) { stop_ = stop; }
  /// For messages: the lines of the file before this part of it.
  void set_lines_before(std::int64_t lines) { lines_before_ = lines; }

  /// Adds to `hash`, which must outlive the reading, every byte that is read.
  void hash_into(Hash* hash) { hash_ = hash; }

  /// Fills `buffer` as far as the source reaches and returns how far.
  /// Errors    std::runtime_error if it cannot be read; Interrupted.
  std::size_t read(std::span<char> buffer);
  /// The first bytes of the whole file or text, at most `count`; of a stream only those of
  /// its `beginning`.
  std::string beginning(std::size_t count) const;

  const std::string& name() const { return name_; }
  std::int64_t position() const { return at_; }  // in the file
  std::int64_t left() const { return left_; }    // at most; a file may end before
  std::int64_t lines_before() const { return lines_before_; }

 private:
  std::string name_;
  std::shared_ptr<const Descriptor> file_;  // null unless it is a file
  struct Stream;
  std::shared_ptr<const Stream> stream_;  // null unless it is one
  std::string_view text_;                 // of a stream: its beginning
  std::int64_t at_ = 0, left_ = 0, lines_before_ = 0;
  const std::atomic<bool>* stop_ = nullptr;
  Hash* hash_ = nullptr;
};

/// Not thread-safe. Gives out either words or blocks.
class TextReader {
 public:
  enum class Content : std::uint8_t { kText, kBytes, kTable };

  /// kText and kTable differ in what errors advise: of a table nothing makes tokens. With kBytes
  /// nothing is checked or skipped, and a character is a byte.
  explicit TextReader(TextSource source, Content content = Content::kText);

  /// The next word, an empty one at the end of each line, nothing at the end of the text. A word is
  /// valid until the next call.
  /// Errors    std::runtime_error, with line and byte offset, at a NUL or a byte that is not UTF-8;
  ///           also if the source cannot be read; Interrupted.
  std::optional<std::string_view> next();

  /// The next block, empty at the end of the text, valid until the next call. Code points are
  /// whole. Errors: as next().
  std::string_view next_block();

  /// Covers what has been read so far, which may be more than has been given out.
  const TextStatistics& statistics() const { return statistics_; }
  const std::string& name() const { return source_.name(); }

 private:
  bool refill();
  std::size_t check() const;
  void measure(std::string_view text);
  void end_line();
  [[noreturn]] void reject(std::size_t at) const;

  TextSource source_;
  Content content_;
  // buffer_ holds, one after the other: what was given out, what is checked and still to be given
  // out, the beginning of a code point that the next block completes, and nothing.
  std::string buffer_;
  std::size_t begin_ = 0, end_ = 0, filled_ = 0;
  TextStatistics statistics_;
  std::int64_t line_characters_ = 0;
  char last_ = 0;           // byte of the line that is being measured
  bool finished_ = false;   // the source has no more
  bool line_open_ = false;  // next() has given out or passed a part of a line, but not its end
};

}  // namespace unroll
