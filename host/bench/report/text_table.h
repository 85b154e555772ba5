/// Tables of aligned columns for a terminal, and numbers as they are shown there and on the page.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace unroll::benchmark {

constexpr std::size_t kTerminalColumns = 140;

struct TextColumn {
  const char* head;       // of one line or two
  bool right = true;      // aligned
  bool flexible = false;  // cut if the table would be too wide
};

class TextTable {
 public:
  explicit TextTable(std::vector<TextColumn> columns) : columns_(std::move(columns)) {}

  /// With fewer cells than columns the last one may take the rest of the line.
  void row(std::vector<std::string> cells);
  /// A line of its own between the rows.
  void line(const std::string& text);

  /// Head and rows, as wide as they need to be and at most kTerminalColumns.
  std::string text() const;

 private:
  std::vector<std::size_t> widths() const;

  std::vector<TextColumn> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Columns that a terminal needs, if every code point takes one.
std::size_t width_of(std::string_view text);
/// At most `width` columns, the last of them "…" if something was cut; printable().
std::string shortened(std::string_view text, std::size_t width);

/// About four digits and no exponent for what a time can be; empty for what is unknown.
std::string number_text(std::optional<double> value);
/// "31 %"; "1.2 %" below ten.
std::string percent_text(std::optional<double> share);
/// "0.82", "12.3"
std::string ratio_text(std::optional<double> ratio);

}  // namespace unroll::benchmark
