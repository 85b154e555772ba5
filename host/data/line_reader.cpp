#include "host/data/line_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "host/base/text_format.h"
#include "host/base/utf8.h"

namespace unroll {
namespace {

TextReader checked_reader(TextSource source) {
  require_no_other_format(source.beginning(kFormatBytes), source.name());
  return TextReader(std::move(source), TextReader::Content::kBytes);
}

}  // namespace

LineReader::LineReader(TextSource source) : reader_(checked_reader(std::move(source))) {}

std::optional<std::string_view> LineReader::next() {
  if (!read()) return std::nullopt;
  std::string_view line = raw_;
  if (number_ == 1 && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::size_t bad = find_non_text(line);
  if (bad < line.size())
    throw error(fmt::format("byte {}: got byte 0x{:02X}, expected UTF-8 text without NUL", bad + 1,
                            static_cast<unsigned char>(line[bad])));
  return line;
}

/// Looks for the end of the line in the block, and only if it is not there copies what there is.
bool LineReader::read() {
  begun_.clear();
  for (;;) {
    if (block_.empty()) block_ = reader_.next_block();
    const std::size_t end = block_.find('\n');
    const std::string_view piece = block_.substr(0, end == block_.npos ? end : end + 1);
    block_.remove_prefix(piece.size());
    const bool ended = end != block_.npos || piece.empty();
    if (begun_.size() + piece.size() > kMostLineBytes)
      throw error_at(number_ + 1,
                     fmt::format("is longer than {} bytes, expected a line: is this a text file?",
                                 kMostLineBytes));
    if (ended && begun_.empty()) {
      raw_ = piece;
      break;
    }
    begun_ += piece;
    raw_ = begun_;
    if (ended) break;
  }
  if (raw_.empty()) return false;
  ++number_;
  return true;
}

std::runtime_error LineReader::error_at(std::int64_t number, std::string_view what) const {
  return std::runtime_error(fmt::format("{}: line {}: {}", name(), number, what));
}

}  // namespace unroll
