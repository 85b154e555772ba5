#include "host/data/corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "host/data/utf8.h"
#include "host/data/vocabulary.h"

namespace unroll {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 18;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

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

TokenText collect(TextReader& reader, const Vocabulary& vocabulary, const std::string& name) {
  TokenText text;
  while (const auto word = reader.next()) {
    if (word->empty()) {
      text.ids.push_back(vocabulary.eos());
    } else if (const auto id = vocabulary.find(*word)) {
      text.ids.push_back(*id);
    } else {
      text.ids.push_back(vocabulary.unk());
      ++text.unknown;
    }
  }
  if (reader.lines() == 0) throw std::runtime_error(name + ": is empty, expected text");
  text.characters = reader.characters();
  text.lines = reader.lines();
  return text;
}

}  // namespace

std::ifstream open_text(const std::filesystem::path& file) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error))
    throw std::runtime_error(file.string() + ": is a folder, expected a text file");
  std::ifstream in(file, std::ios::binary);
  if (!in)
    throw std::runtime_error(
        fmt::format("{}: cannot be opened: {}", file.string(), std::strerror(errno)));
  return in;
}

TextReader::TextReader(std::istream& source, std::string name)
    : source_(&source), name_(std::move(name)) {}

TextReader::TextReader(std::string_view source, std::string name)
    : source_(nullptr), name_(std::move(name)), rest_(source) {}

std::optional<std::string_view> TextReader::next() {
  if (!started_) skip_byte_order_mark();
  while (!rest_.empty() || refill()) {
    const char c = rest_.front();
    if (is_white(c)) {
      rest_.remove_prefix(1);
      ++consumed_;
      ++characters_;
      line_open_ = c != '\n';
      if (line_open_) continue;
      ++lines_;
      return std::string_view();
    }
    std::size_t size = 1;
    while (size < rest_.size() || refill()) {
      if (is_white(rest_[size])) break;
      ++size;
    }
    const std::string_view word = rest_.substr(0, size);
    check(word);
    rest_.remove_prefix(size);
    consumed_ += static_cast<std::int64_t>(size);
    characters_ += code_points(word);
    line_open_ = true;
    return word;
  }
  if (!line_open_) return std::nullopt;
  line_open_ = false;
  ++lines_;
  return std::string_view();
}

/// Adds to rest_, moving it to the front of the buffer. False at the end of the source.
bool TextReader::refill() {
  if (!source_) return false;
  const std::size_t kept = rest_.size();
  if (kept > 0) std::memmove(buffer_.data(), rest_.data(), kept);
  // A word longer than half the buffer doubles it, so that reading stays linear in its length.
  const std::size_t needed = std::max(kBufferBytes, 2 * kept);
  if (buffer_.size() < needed) buffer_.resize(needed);
  source_->read(buffer_.data() + kept, static_cast<std::streamsize>(buffer_.size() - kept));
  if (source_->bad()) throw std::runtime_error(name_ + ": cannot be read");
  const auto got = static_cast<std::size_t>(source_->gcount());
  rest_ = std::string_view(buffer_.data(), kept + got);
  return got > 0;
}

void TextReader::skip_byte_order_mark() {
  started_ = true;
  while (rest_.size() < kByteOrderMark.size() && refill()) {
  }
  if (!rest_.starts_with(kByteOrderMark)) return;
  rest_.remove_prefix(kByteOrderMark.size());
  consumed_ += static_cast<std::int64_t>(kByteOrderMark.size());
}

void TextReader::check(std::string_view word) const {
  const std::size_t bad = std::min(find_invalid_utf8(word), word.find('\0'));
  if (bad >= word.size()) return;
  throw std::runtime_error(
      fmt::format("{}: line {}, byte offset {}: got byte 0x{:02X}, expected UTF-8 text without NUL",
                  name_, lines_ + 1, consumed_ + static_cast<std::int64_t>(bad),
                  static_cast<unsigned char>(word[bad])));
}

TokenText read_tokens(const std::filesystem::path& file, const Vocabulary& vocabulary) {
  std::ifstream in = open_text(file);
  TextReader reader(in, file.string());
  return collect(reader, vocabulary, file.string());
}

TokenText tokenize(std::string_view text, const Vocabulary& vocabulary, const std::string& name) {
  TextReader reader(text, name);
  return collect(reader, vocabulary, name);
}

TextDirectory read_text_directory(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    throw std::runtime_error(path.string() + ": no such folder");
  if (!std::filesystem::is_directory(path, error))
    throw std::runtime_error(path.string() +
                             ": is a file, expected a folder with train.txt, valid.txt, test.txt");
  TextDirectory directory{path / "train.txt", path / "valid.txt", path / "test.txt"};
  for (const auto* file : {&directory.train, &directory.valid, &directory.test})
    if (!std::filesystem::is_regular_file(*file, error))
      throw std::runtime_error(fmt::format("{}: no {}, expected train.txt, valid.txt and test.txt",
                                           path.string(), file->filename().string()));
  return directory;
}

}  // namespace unroll
