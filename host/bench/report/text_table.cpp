#include "host/bench/report/text_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "host/base/utf8.h"

namespace unroll::benchmark {
namespace {

constexpr std::size_t kGap = 2, kNarrowest = 8;

bool begins_code_point(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::string space(width - std::min(width, width_of(text)), ' ');
  return right ? space + text : text + space;
}

std::string without_trailing_space(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line + '\n';
}

/// The upper or the lower line of a head; a head of one line is in the lower.
std::string head_line(const std::string& head, bool upper) {
  const std::size_t end = head.find('\n');
  if (end == head.npos) return upper ? "" : head;
  return upper ? head.substr(0, end) : head.substr(end + 1);
}

}  // namespace

std::size_t width_of(std::string_view text) {
  return std::size_t(std::ranges::count_if(text, begins_code_point));
}

std::string shortened(std::string_view text, std::size_t width) {
  const std::string shown = printable(text);
  std::string result;
  std::size_t left = width_of(shown) > width ? std::max<std::size_t>(width, 1) - 1 : width;
  for (const char c : shown) {
    if (begins_code_point(c) && left-- == 0) return result + "…";
    result += c;
  }
  return result;
}

void TextTable::row(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

void TextTable::line(const std::string& text) {
  row({text});
}

std::vector<std::size_t> TextTable::widths() const {
  std::vector<std::size_t> widths;
  for (std::size_t k = 0; k < columns_.size(); ++k) {
    std::size_t width = 0;
    for (const bool upper : {true, false})
      width = std::max(width, width_of(head_line(columns_[k].head, upper)));
    for (const std::vector<std::string>& row : rows_)
      if (k + 1 < row.size() || row.size() == columns_.size())
        width = std::max(width, width_of(row[k]));
    widths.push_back(width);
  }
  for (;;) {
    std::size_t total = kGap * (widths.size() - 1), widest = widths.size();
    for (std::size_t k = 0; k < widths.size(); ++k) {
      total += widths[k];
      if (columns_[k].flexible && widths[k] > kNarrowest &&
          (widest == widths.size() || widths[k] > widths[widest]))
        widest = k;
    }
    if (total <= kTerminalColumns || widest == widths.size()) return widths;
    --widths[widest];
  }
}

std::string TextTable::text() const {
  const std::vector<std::size_t> width = widths();
  const std::string gap(kGap, ' ');
  std::string out;
  for (const bool upper : {true, false}) {
    std::string line;
    for (std::size_t k = 0; k < columns_.size(); ++k)
      line += (k > 0 ? gap : "") +
              padded(head_line(columns_[k].head, upper), width[k], columns_[k].right);
    line = without_trailing_space(line);
    if (line.size() > 1) out += line;
  }
  for (const std::vector<std::string>& row : rows_) {
    std::string line;
    for (std::size_t k = 0; k < row.size(); ++k) {
      if (k > 0) line += gap;
      const bool rest = k + 1 == row.size() && row.size() < columns_.size();
      line += rest
                  ? shortened(row[k], kTerminalColumns - std::min(kTerminalColumns, width_of(line)))
                  : padded(shortened(row[k], width[k]), width[k], columns_[k].right);
    }
    out += without_trailing_space(line);
  }
  return out;
}

std::string number_text(std::optional<double> value) {
  if (!value || !std::isfinite(*value)) return "";
  const double size = std::abs(*value);
  if (size >= 1e8 || (size > 0 && size < 1e-3)) return fmt::format("{:.3e}", *value);
  return fmt::format("{:.{}f}", *value, size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3);
}

std::string percent_text(std::optional<double> share) {
  if (!share || !std::isfinite(*share)) return "";
  return fmt::format("{:.{}f} %", *share * 100, *share < 0.0995 ? 1 : 0);
}

std::string ratio_text(std::optional<double> ratio) {
  if (!ratio || !std::isfinite(*ratio)) return "";
  return *ratio >= 1e6 ? fmt::format("{:.2e}", *ratio)
                       : fmt::format("{:.{}f}", *ratio,
                                     *ratio < 9.995   ? 2
                                     : *ratio < 99.95 ? 1
                                                      : 0);
}

}  // namespace unroll::benchmark
