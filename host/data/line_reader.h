/// The lines of a text in UTF-8, one at a time, in memory that does not grow with the text. Lines
/// end in LF or CR LF, the last one in either or nothing. A byte order mark at the very start is no
/// part of the first line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "host/data/text_reader.h"

namespace unroll {

/// Longer ones are a mistake, such as a file without line ends.
inline constexpr std::size_t kMostLineBytes = std::size_t(1) << 20;

/// Movable; not thread-safe.
class LineReader {
 public:
  /// Errors    std::runtime_error if it begins like a compressed file or like text in UTF-16.
  explicit LineReader(TextSource source);

  /// The next line without its end; nothing after the last. Valid until the next call.
  /// Errors    std::runtime_error, naming the line, if it has a NUL or a byte that is not UTF-8 or
  ///           is longer than kMostLineBytes; as TextSource::read().
  std::optional<std::string_view> next();

  /// The last line as it is in the text, with its end and a byte order mark before it.
  std::string_view raw() const { return raw_; }
  /// The number of the last line, from 1.
  std::int64_t number() const { return number_; }
  const std::string& name() const { return reader_.name(); }
  /// An error at the last line, or at another.
  std::runtime_error error(std::string_view what) const { return error_at(number_, what); }
  std::runtime_error error_at(std::int64_t number, std::string_view what) const;

 private:
  bool read();

  TextReader reader_;
  std::string_view block_;  // what is left of the last block
  std::string begun_;       // the beginning of a line that the next block completes
  std::string_view raw_;
  std::int64_t number_ = 0;
};

}  // namespace unroll
