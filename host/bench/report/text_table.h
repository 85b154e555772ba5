/// Tables of aligned columns for a terminal, and the format of numbers there and on the page.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace unroll::benchmark {

constexpr std::size_t kTerminalColumns = 140;

struct TextColumn {
  const char* head;       // one line or two
  bool right = true;      // aligned to the right
  bool flexible = false;  // cut if the table would be too wide
};

class TextTable {
 public:
  explicit TextTable(std::vector<TextColumn> columns) : columns_(std::move(columns)) {}

  /// If there are fewer cells than columns, the last cell may use the rest of the line.
  void row(std::vector<std::string> cells);
  /// Adds a line of text between the rows.
  void line(const std::string& text);

  /// Head and rows, as wide as needed but at most kTerminalColumns.
  std::string text() const;

 private:
  std::vector<std::size_t> widths() const;

  std::vector<TextColumn> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// The width on a terminal, if every code point takes one column.
std::size_t width_of(std::string_view text);
/// At most `width` columns, the last of them "…" if something was cut; printable().
std::string shortened(std::string_view text, std::size_t width);

/// About four digits and no exponent for any plausible time; empty for unknown values.
std::string number_text(std::optional<double> value);
/// "31 %"; "1.2 %" below ten.
std::string percent_text(std::optional<double> share);
/// "0.82", "12.3"
std::string ratio_text(std::optional<double> ratio);

}  // namespace unroll::benchmark
