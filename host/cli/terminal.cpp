#include "host/cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <utility>

#include "host/base/utf8.h"

namespace unroll::cli {
namespace {

constexpr std::string_view kUnquoted = "%+,-./:=@_";

bool is_plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || kUnquoted.find(c) != kUnquoted.npos;
}

/// How many bytes at the end of a text begin a character that does not end there.
std::size_t open_character(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    const std::size_t length = byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
    return length > back ? back : 0;
  }
  return 0;
}

std::optional<winsize> terminal_size(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return std::nullopt;
  return size;
}

std::string_view environment(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

bool locale_is_utf8() {
  for (const char* const name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string value(environment(name));
    if (value.empty()) continue;
    std::erase(value, '-');
    std::ranges::transform(value, value.begin(), [](unsigned char c) { return std::tolower(c); });
    return value.find("utf8") != value.npos;
  }
  return false;
}

}  // namespace

int terminal_columns(int fd) {
  const std::optional<winsize> size = terminal_size(fd);
  return size ? size->ws_col : 80;
}

std::string shell_quoted(std::string_view word) {
  if (!word.empty() && std::ranges::all_of(word, is_plain)) return std::string(word);
  const bool plain = printable(word) == word;
  std::string quoted = plain ? "'" : "$'";
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    if (plain)
      quoted += c == '\'' ? "'\\''" : std::string(1, c);
    else if (byte < 0x20 || byte >= 0x7F)
      quoted += fmt::format("\\x{:02x}", byte);
    else
      quoted += (c == '\'' || c == '\\' ? "\\" : "") + std::string(1, c);
  }
  return quoted + "'";
}

std::string printable_lines(std::string_view text) {
  std::string lines;
  for (std::size_t end = 0; (end = text.find_first_of("\t\n")) != text.npos;
       text.remove_prefix(end + 1))
    lines += printable(text.substr(0, end)) + text[end];
  return lines + printable(text);
}

std::string TerminalText::next(std::string_view piece) {
  waiting_ += piece;
  const std::size_t whole = waiting_.size() - open_character(waiting_);
  std::string shown = printable_lines(std::string_view(waiting_).substr(0, whole));
  waiting_.erase(0, whole);
  return shown;
}

std::string TerminalText::rest() {
  return printable_lines(std::exchange(waiting_, ""));
}

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty())
    columns += std::size_t(::utf8proc_charwidth(utf8proc_int32_t(take_code_point(text))));
  return columns;
}

std::string_view first_columns(std::string_view text, std::size_t columns) {
  std::string_view rest = text;
  for (std::string_view next = rest; !next.empty(); rest = next) {
    const auto width = std::size_t(::utf8proc_charwidth(utf8proc_int32_t(take_code_point(next))));
    if (width > columns) break;
    columns -= width;
  }
  return text.substr(0, text.size() - rest.size());
}

TerminalTraits terminal_traits() {
  TerminalTraits traits;
  if (const std::optional<winsize> size = terminal_size(STDOUT_FILENO); size && size->ws_row > 0) {
    traits.columns = size->ws_col;
    traits.rows = size->ws_row;
  }
  const std::string_view kind = environment("TERM");
  traits.moves = !kind.empty() && kind != "dumb";
  traits.color = environment("NO_COLOR").empty();
  traits.unicode = locale_is_utf8();
  return traits;
}

}  // namespace unroll::cli
