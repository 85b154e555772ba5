#include "host/cli/config_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <span>
#include <stdexcept>
#include <utility>

#include "host/base/file.h"
#include "host/base/utf8.h"
#include "host/cli/values.h"

namespace unroll::cli {
namespace {

constexpr std::string_view kBlanks = " \t";

bool is_key_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

/// What is left of a line, taken from its front.
class Line {
 public:
  Line(std::string_view text, std::string where) : rest_(text), where_(std::move(where)) {}

  ConfigLine read() {
    ConfigLine line{where_, name(), {}};
    if (!take('=')) fail("expected = after the name");
    skip_blanks();
    if (take('[')) {
      line.is_list = true;
      while (!take(']')) {
        line.values.push_back(value());
        if (!take(',') && !at(']')) fail("expected , or ] after a value of a list");
      }
    } else {
      line.values.push_back(value());
    }
    if (!is_at_end()) fail("expected nothing more, or a comment");
    return line;
  }

  bool is_at_end() {
    skip_blanks();
    return rest_.empty() || rest_.front() == '#';
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw UsageError(
        fmt::format("{}: got {}, {}", where_,
                    rest_.empty() ? "the end of the line" : in_quotes(std::string(rest_)), what));
  }

  void skip_blanks() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(kBlanks), rest_.size()));
  }
  bool at(char c) {
    skip_blanks();
    return rest_.starts_with(c);
  }
  bool take(char c) {
    if (!at(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::string name() {
    skip_blanks();
    const std::size_t length =
        std::size_t(std::ranges::find_if_not(rest_, is_key_character) - rest_.begin());
    if (length == 0) fail("expected the name of a flag, as in lr = 0.5");
    std::string name(rest_.substr(0, length));
    rest_.remove_prefix(length);
    std::ranges::replace(name, '_', '-');
    return name;
  }

  std::string value() {
    if (take('"')) return quoted_with_escapes();
    if (take('\'')) {
      const std::size_t end = rest_.find('\'');
      if (end == rest_.npos) fail("expected ' after the text");
      std::string text(rest_.substr(0, end));
      rest_.remove_prefix(end + 1);
      return text;
    }
    return bare();
  }

  std::string quoted_with_escapes() {
    std::string text;
    for (;;) {
      if (rest_.empty()) fail("expected \" after the text");
      const char c = rest_.front();
      if (c == '\\') {
        text += escaped();
        continue;
      }
      rest_.remove_prefix(1);
      if (c == '"') return text;
      text += c;
    }
  }

  char escaped() {
    constexpr std::string_view kNames = "\\\"nt", kMeanings = "\\\"\n\t";
    const std::size_t which = rest_.size() > 1 ? kNames.find(rest_[1]) : kNames.npos;
    if (which == kNames.npos) fail("expected one of the escapes \\\\ \\\" \\n \\t");
    rest_.remove_prefix(2);
    return kMeanings[which];
  }

  /// true, false, or a number, in which digits may be grouped by _.
  std::string bare() {
    const std::string_view before = rest_;
    const std::size_t length = std::min(rest_.find_first_of(" \t,]#"), rest_.size());
    std::string text(rest_.substr(0, length));
    rest_.remove_prefix(length);
    if (text == "true" || text == "false") return text;
    std::erase(text, '_');
    if (text.starts_with('+')) text.erase(0, 1);
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (!text.empty() && error == std::errc() && end == text.data() + text.size()) return text;
    rest_ = before;
    fail("expected a number, true, false, or a text in quotes");
  }

  std::string_view rest_;
  std::string where_;
};

}  // namespace

std::vector<ConfigLine> read_config(std::string_view text, const std::string& name) {
  if (const std::size_t bad = find_invalid_utf8(text); bad != text.size())
    throw UsageError(fmt::format("{}: byte offset {}: is not UTF-8", name, bad));
  std::vector<ConfigLine> lines;
  std::set<std::string> names;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view content = text.substr(0, end);
    if (content.ends_with('\r')) content.remove_suffix(1);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string where = fmt::format("{}: line {}", name, number);
    if (Line(content, where).is_at_end()) continue;
    lines.push_back(Line(content, where).read());
    if (!names.insert(lines.back().name).second)
      throw UsageError(fmt::format("{}: {} is there twice", where, lines.back().name));
  }
  return lines;
}

std::vector<ConfigLine> read_config_file(const std::string& file) {
  constexpr std::size_t kMost = 1 << 20;
  std::string text(kMost + 1, '\0');
  try {
    const Descriptor fd = open_regular(file, "a file of flags");
    text.resize(read_at(fd.get(), 0, std::as_writable_bytes(std::span(text)), file));
  } catch (const std::runtime_error& error) {
    throw UsageError(std::string("--config: ") + error.what());
  }
  if (text.size() > kMost)
    throw UsageError(
        fmt::format("--config: {}: has more than 1 MiB, expected a file of flags", file));
  return read_config(text, file);
}

}  // namespace unroll::cli
