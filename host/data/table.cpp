#include "host/data/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>

#include "host/base/spelling.h"
#include "host/base/utf8.h"

namespace unroll {
namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::size_t kMostNames = 8;  // of columns, in a message

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

/// What is wrong with a cell that should be a number; empty: nothing.
std::string read_number(std::string_view cell, double& value) {
  std::string_view digits = trimmed(cell);
  if (digits.empty()) return "is empty, expected a number";
  if (digits.starts_with('+') && !digits.substr(1).starts_with('-')) digits.remove_prefix(1);
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (error == std::errc::invalid_argument || stop != end)
    return fmt::format("got {}, expected a number", in_quotes(cell));
  if (error == std::errc::result_out_of_range ||
      (std::isfinite(value) && std::abs(value) > std::numeric_limits<float>::max()))
    return fmt::format("got {}, expected 0 or a number of a size from 2.2e-308 to 3.4e+38",
                       in_quotes(cell));
  if (!std::isfinite(value))
    return fmt::format("got {}, expected a finite number", in_quotes(cell));
  return "";
}

/// "'year', 'count'".
std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t k = 0; k < std::min(names.size(), kMostNames); ++k)
    text += (k == 0 ? "" : ", ") + in_quotes(shorten_utf8(names[k], 40));
  if (names.size() > kMostNames) text += fmt::format(" and {} more", names.size() - kMostNames);
  return text;
}

}  // namespace

std::runtime_error table_error(const std::string& name, std::int64_t line,
                               const std::string& what) {
  return std::runtime_error(fmt::format("{}: line {}: {}", name, line, what));
}

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == text.npos && trimmed(text) == text) return std::string(text);
  std::string cell = "\"";
  for (const char c : text) cell += c == '"' ? "\"\"" : std::string(1, c);
  return cell + '"';
}

/// The lines of a table as cells.
struct TableReader::Records {
  explicit Records(TextSource source) : reader(std::move(source), TextReader::Content::kTable) {}

  /// Reads the next that is not empty; false after the last.
  bool next() {
    std::int64_t empty = 0;  // where the first of the empty lines before it is
    while (read()) {
      if (cells.size() > 1 || !cells[0].empty() || quoted) {
        if (empty > 0) throw table_error(reader.name(), empty, "is empty, expected cells");
        return true;
      }
      if (empty == 0) empty = line;
    }
    return false;
  }

  std::runtime_error error(const std::string& what) const {
    return table_error(reader.name(), line, what);
  }

  TextReader reader;
  std::vector<std::string> cells;
  bool quoted = false;    // whether the last cell was
  std::int64_t line = 0;  // where the record began

 private:
  enum class At : std::uint8_t { kBegin, kPlain, kQuoted, kClosed };

  /// Reads a line, or several if a cell in quotes goes on; false at the end of the text.
  bool read() {
    line = ++lines_;
    cells.assign(1, "");
    quoted = false;
    bytes_ = 0;
    At at = At::kBegin;
    bool begun = false, carriage = false;
    for (;;) {
      if (block_.empty()) block_ = reader.next_block();
      if (block_.empty()) break;
      const char c = block_.front();
      block_.remove_prefix(1);
      begun = true;
      if (++bytes_ > kMostRowBytes)
        throw error(fmt::format("is longer than {} bytes, expected a row: do quotes not end?",
                                kMostRowBytes));
      if (at != At::kQuoted) {
        if (c == '\n') return end_cell(at);
        if (carriage) throw error("got a CR without an LF, expected lines that end in LF or CR LF");
        if (c == '\r') {
          carriage = true;
          continue;
        }
      }
      at = take(c, at);
    }
    if (at == At::kQuoted) throw error("got quotes that do not end, expected their end");
    return begun && end_cell(at);
  }

  /// Adds a byte that ends no line.
  At take(char c, At at) {
    if (at == At::kQuoted) {
      if (c == '"') return At::kClosed;
      if (c == '\n') ++lines_;
      cells.back() += c;
      return at;
    }
    if (c == ',') {
      end_cell(at);
      cells.emplace_back();
      quoted = false;
      return At::kBegin;
    }
    if (c == '"' && at == At::kPlain)
      throw error("got quotes within a cell, expected them around it and doubled within");
    if (c == '"') {
      if (at == At::kClosed) cells.back() += c;  // doubled
      quoted = true;
      return At::kQuoted;
    }
    if (at == At::kClosed) throw error("got text after quotes, expected a comma");
    cells.back() += c;
    return At::kPlain;
  }

  bool end_cell(At at) {
    if (at == At::kPlain) cells.back() = std::string(trimmed(cells.back()));
    return true;
  }

  std::string_view block_;
  std::int64_t lines_ = 0;
  std::size_t bytes_ = 0;
};

TableReader::TableReader(TextSource source, std::vector<std::string> columns)
    : records_(std::make_unique<Records>(std::move(source))),
      columns_(std::move(columns)),
      row_(columns_.size()) {
  if (!records_->next())
    throw std::runtime_error(name() + ": is empty, expected a line with the names of columns");
  const std::vector<std::string>& header = records_->cells;
  cells_ = header.size();
  for (const std::string& column : columns_) {
    const auto found = std::ranges::find(header, column);
    if (found == header.end() && cells_ == 1 && header[0].find_first_of(";\t") != std::string::npos)
      throw records_->error(fmt::format("got no comma in {}, expected commas between columns",
                                        in_quotes(shorten_utf8(header[0], 80))));
    if (found == header.end())
      throw records_->error(fmt::format("got no column {}, expected one of {}{}", in_quotes(column),
                                        listed(header), printable(did_you_mean(column, header))));
    if (std::ranges::count(header, column) > 1)
      throw records_->error(
          fmt::format("got the column {} twice, expected it once", in_quotes(column)));
    places_.push_back(std::size_t(found - header.begin()));
  }
}

TableReader::~TableReader() = default;
TableReader::TableReader(TableReader&&) noexcept = default;
TableReader& TableReader::operator=(TableReader&&) noexcept = default;

std::optional<std::span<const double>> TableReader::next() {
  if (!records_->next()) return std::nullopt;
  if (records_->cells.size() != cells_)
    throw records_->error(
        fmt::format("got {} cells, expected {} as in line 1", records_->cells.size(), cells_));
  for (std::size_t k = 0; k < columns_.size(); ++k)
    if (const std::string wrong = read_number(records_->cells[places_[k]], row_[k]); !wrong.empty())
      throw records_->error(fmt::format("column {}: {}", in_quotes(columns_[k]), wrong));
  return row_;
}

std::int64_t TableReader::line() const {
  return records_->line;
}

const std::string& TableReader::name() const {
  return records_->reader.name();
}

}  // namespace unroll
