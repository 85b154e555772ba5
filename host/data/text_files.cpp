#include "host/data/text_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "host/base/file.h"
#include "host/base/hash.h"
#include "host/base/setting_error.h"
#include "host/data/text_reader.h"

namespace unroll {
namespace {

namespace fs = std::filesystem;

/// What the files of a folder are called: first as ours, then as well-known corpora come. The first
/// kind whose training text is there counts.
constexpr std::array<std::array<const char*, 3>, 3> kNames{
    {{"train.txt", "valid.txt", "test.txt"},
     {"wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"},
     {"ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"}}};
constexpr const char* kSingle = "input.txt";  // char-rnn's
constexpr std::array kParts{"training", "validation", "test"};

/// The first position from `at` on that follows a newline, or `size`.
std::int64_t line_begin(const fs::path& file, std::int64_t at, std::int64_t size) {
  if (at <= 0 || at >= size) return std::clamp<std::int64_t>(at, 0, size);
  const Descriptor fd = open_regular(file, "a text file");
  std::vector<std::byte> block(std::size_t{1} << 16);
  for (--at; at < size;) {
    const std::size_t got = read_at(fd.get(), at, block, file);
    if (got == 0) break;
    const std::size_t newline = text_of(std::span(block).first(got)).find('\n');
    if (newline != std::string_view::npos)
      return std::min(size, at + static_cast<std::int64_t>(newline) + 1);
    at += static_cast<std::int64_t>(got);
  }
  return size;
}

/// A file that is not text rarely has lines. The error should then say that it is not text.
void require_text(const fs::path& file) {
  TextReader reader{TextSource(file)};
  while (!reader.next_block().empty()) {
  }
}

}  // namespace

std::vector<fs::path> find_texts(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found)
    throw std::runtime_error(path.string() + ": no such file or folder");
  if (error)
    throw std::runtime_error(
        fmt::format("{}: cannot be opened: {}", path.string(), error.message()));
  if (!fs::is_directory(status)) return {path};
  const auto is_missing = [&](const fs::path& file) {
    return fs::status(file, error).type() == fs::file_type::not_found;
  };
  const auto* const names = std::ranges::find_if_not(
      kNames, [&](const auto& three) { return is_missing(path / three[0]); });
  if (names == kNames.end() && !is_missing(path / kSingle)) return {path / kSingle};
  std::vector<fs::path> files;
  const auto& wanted = names == kNames.end() ? kNames[0] : *names;
  for (const char* name : wanted) {
    files.push_back(path / name);
    if (is_missing(files.back()))
      throw std::runtime_error(fmt::format("{}: no {}, expected {}, {} and {}", path.string(), name,
                                           wanted[0], wanted[1], wanted[2]));
  }
  return files;
}

std::array<TextPart, 3> cut_text(const fs::path& file, std::int64_t size, TokenizerKind kind,
                                 double valid_fraction, double test_fraction) {
  const auto cut = [&](double after) {
    const auto at = size - static_cast<std::int64_t>(after * static_cast<double>(size));
    return kind == TokenizerKind::kByte ? at : line_begin(file, at, size);
  };
  const std::int64_t valid = cut(valid_fraction + test_fraction), test = cut(test_fraction);
  const std::array<TextPart, 3> parts{
      {{0, 0, valid}, {0, valid, test - valid}, {0, test, size - test}}};
  for (std::size_t k = 0; k < parts.size(); ++k)
    if (parts[k].count == 0 && (k < 2 || test_fraction > 0)) {
      if (kind != TokenizerKind::kByte) require_text(file);
      throw SettingError(
          fmt::format("{}: {} bytes, cut at line ends at fractions {} and {}, leave no {} text; "
                      "expected more lines, other fractions, the split streams, which cuts between "
                      "any two tokens, or the tokenizer byte",
                      file.string(), size, valid_fraction, test_fraction, kParts[k]),
          {SettingName::kSplit, SettingName::kTokenizer});
    }
  return parts;
}

}  // namespace unroll
