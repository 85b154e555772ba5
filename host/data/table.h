/// Reads numbers from a table in CSV (RFC 4180), row by row, in memory that does not grow with the
/// table. The first line names the columns; of the others a reader asks for some, by name, and only
/// these have to hold numbers.
///
/// Cells stand between commas; one in quotes may hold commas, line ends and doubled quotes. Lines
/// end in LF or CR LF, the last one in either or nothing. Blanks and tabs around a cell without
/// quotes do not count, nor do empty lines at the end. Text is as text_reader.h says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/text_reader.h"

namespace unroll {

/// Longer ones are a mistake, such as quotes that do not end.
inline constexpr std::size_t kMostRowBytes = std::size_t(1) << 20;

/// Movable; not thread-safe.
class TableReader {
 public:
  /// Reads the first line. `columns` are the names of those to read, in the order in which rows
  /// have them.
  /// Errors    std::runtime_error, naming the line, if there is none, if it is not as above or
  ///           longer than kMostRowBytes, or if it has a column that is asked for twice or not at
  ///           all; as TextReader::next_block().
  TableReader(TextSource source, std::vector<std::string> columns);
  ~TableReader();
  TableReader(TableReader&&) noexcept;
  TableReader& operator=(TableReader&&) noexcept;

  /// The numbers of the next row, valid until the next call; nothing after the last.
  /// Errors    std::runtime_error, naming line and column, if a cell is empty, or no finite number
  ///           that float32 has room for; naming the line, if a row has fewer or more cells than
  ///           the first line, or is not as above or longer than kMostRowBytes; as
  ///           TextReader::next_block().
  std::optional<std::span<const double>> next();

  /// The line of the file where the last row began, from 1.
  std::int64_t line() const;
  const std::string& name() const;

 private:
  struct Records;

  std::unique_ptr<Records> records_;
  std::vector<std::string> columns_;
  std::vector<std::size_t> places_;  // of the columns among the cells
  std::size_t cells_ = 0;            // of a row
  std::vector<double> row_;
};

/// An error at a line of a table.
std::runtime_error table_error(const std::string& name, std::int64_t line, const std::string& what);

/// A cell as it is written: in quotes if it has to be.
std::string csv_cell(std::string_view text);

}  // namespace unroll
