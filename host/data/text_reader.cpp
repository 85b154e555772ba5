#include "host/data/text_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "host/base/hash.h"
#include "host/base/interrupted.h"
#include "host/base/text_format.h"
#include "host/base/utf8.h"

namespace unroll {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 18;
constexpr std::size_t kLongestCodePoint = 4;

/// True at the six ASCII white space characters: everything that can end a word.
constexpr std::array<bool, 256> make_white_table() {
  std::array<bool, 256> table{};
  for (const char c : {' ', '\t', '\n', '\v', '\f', '\r'})
    table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr std::array<bool, 256> kWhite = make_white_table();

bool is_white(char c) {
  return kWhite[static_cast<unsigned char>(c)];
}

std::int64_t code_points(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

}  // namespace

struct TextSource::Stream {
  std::string beginning;
  Read read;
};

TextSource::TextSource(std::string_view text, std::string name)
    : name_(std::move(name)), text_(text), left_(static_cast<std::int64_t>(text.size())) {}

TextSource::TextSource(const std::filesystem::path& file, std::int64_t first, std::int64_t count)
    : name_(file.string()),
      file_(std::make_shared<const Descriptor>(open_regular(file, "a text file"))),
      at_(first),
      left_(count) {}

TextSource::TextSource(std::string beginning, Read read, std::string name)
    : name_(std::move(name)),
      stream_(std::make_shared<const Stream>(Stream{std::move(beginning), std::move(read)})),
      text_(stream_->beginning),
      left_(kToTheEnd) {}

std::size_t TextSource::read(std::span<char> buffer) {
  stop_if_asked(stop_);
  buffer = buffer.first(
      static_cast<std::size_t>(std::min<std::int64_t>(left_, std::int64_t(buffer.size()))));
  std::size_t got = buffer.size();
  if (file_)
    got = read_at(file_->get(), at_, std::as_writable_bytes(buffer), name_);
  else if (stream_ && at_ >= std::int64_t(text_.size()))
    got = stream_->read(buffer);
  else
    got = text_.copy(buffer.data(), buffer.size(), std::size_t(at_));
  if (hash_) hash_->add(std::as_bytes(buffer.first(got)));
  at_ += static_cast<std::int64_t>(got);
  left_ -= static_cast<std::int64_t>(got);
  return got;
}

std::string TextSource::beginning(std::size_t count) const {
  if (!file_) return std::string(text_.substr(0, count));
  std::string bytes(count, '\0');
  bytes.resize(read_at(file_->get(), 0, std::as_writable_bytes(std::span(bytes)), name_));
  return bytes;
}

TextReader::TextReader(TextSource source, Content content)
    : source_(std::move(source)), content_(content) {}

std::optional<std::string_view> TextReader::next() {
  do {
    while (begin_ < end_ && is_white(buffer_[begin_])) {
      line_open_ = buffer_[begin_++] != '\n';
      if (!line_open_) return std::string_view();
    }
    if (begin_ == end_) continue;
    line_open_ = true;
    std::size_t size = 1;
    do {
      const char* const begin = buffer_.data() + begin_;
      const std::size_t most = end_ - begin_;
      while (size < most && !is_white(begin[size])) ++size;
    } while (begin_ + size == end_ && refill());
    const std::string_view word(buffer_.data() + begin_, size);
    begin_ += size;
    return word;
  } while (refill());
  if (!std::exchange(line_open_, false)) return std::nullopt;
  return std::string_view();
}

std::string_view TextReader::next_block() {
  while (begin_ == end_ && refill()) {
  }
  const std::size_t begin = std::exchange(begin_, end_);
  return {buffer_.data() + begin, end_ - begin};
}

/// Reads and checks more, moving what is still there to the front. False at the end of the source.
bool TextReader::refill() {
  if (finished_) return false;
  if (begin_ > 0) std::memmove(buffer_.data(), buffer_.data() + begin_, filled_ - begin_);
  end_ -= begin_;
  filled_ -= std::exchange(begin_, 0);
  // A word longer than half the buffer doubles it, so that reading stays linear in its length.
  const auto block = std::size_t(std::min<std::int64_t>(kReadBytes, source_.left()));
  const std::size_t needed = std::max(block, 2 * filled_);
  if (buffer_.size() < needed) buffer_.resize(needed);
  const bool first = source_.position() == 0;
  const std::size_t got = source_.read(std::span(buffer_).subspan(filled_));
  filled_ += got;
  if (got == 0) {
    if (end_ < filled_) reject(end_);
    finished_ = true;
    if (line_characters_ > 0) end_line();
    return false;
  }
  std::size_t checked = filled_;
  if (content_ != Content::kBytes) {
    if (first && std::string_view(buffer_.data(), filled_).starts_with(kByteOrderMark))
      begin_ = end_ = kByteOrderMark.size();
    checked = check();
  }
  measure(std::string_view(buffer_).substr(end_, checked - end_));
  end_ = checked;
  return true;
}

/// How far the buffer holds text: to the end, or to the beginning of a code point that is cut.
std::size_t TextReader::check() const {
  const std::string_view text(buffer_.data() + end_, filled_ - end_);
  const std::size_t bad = find_invalid_utf8(text);
  if (const std::size_t nul = text.find('\0'); nul < bad) reject(end_ + nul);
  if (text.size() - bad >= kLongestCodePoint) reject(end_ + bad);
  return end_ + bad;
}

void TextReader::reject(std::size_t at) const {
  require_no_other_format(source_.beginning(kFormatBytes), source_.name());
  const std::int64_t line = source_.lines_before() + statistics_.lines +
                            std::count(buffer_.begin() + std::ptrdiff_t(end_),
                                       buffer_.begin() + std::ptrdiff_t(at), '\n');
  throw std::runtime_error(fmt::format(
      "{}: line {}, byte offset {}: got byte 0x{:02X}, expected UTF-8 text without NUL{}",
      source_.name(), line + 1, source_.position() - static_cast<std::int64_t>(filled_ - at),
      static_cast<unsigned char>(buffer_[at]),
      content_ == Content::kText ? " (the tokenizer byte takes any bytes)" : ""));
}

void TextReader::measure(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, size);
    line_characters_ += content_ == Content::kBytes ? std::int64_t(size) : code_points(line);
    if (!line.empty()) last_ = line.back();
    if (size == text.size()) return;
    ++statistics_.characters;
    end_line();
    text.remove_prefix(size + 1);
  }
}

void TextReader::end_line() {
  ++statistics_.lines;
  statistics_.characters += line_characters_;
  statistics_.longest_line = std::max(statistics_.longest_line, line_characters_);
  const bool carriage_return = line_characters_ > 0 && last_ == '\r';
  statistics_.crlf_lines += carriage_return ? 1 : 0;
  statistics_.empty_lines += line_characters_ == (carriage_return ? 1 : 0) ? 1 : 0;
  line_characters_ = 0;
}

}  // namespace unroll
