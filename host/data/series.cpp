#include "host/data/series.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "host/base/hash.h"
#include "host/base/setting_error.h"
#include "host/base/strict_json.h"
#include "host/base/utf8.h"

namespace unroll {
namespace {

constexpr std::int64_t kMostRows = std::int64_t(1) << 40;

/// The numbers of a table as they are, and where they were.
struct Numbers {
  std::vector<double> values;       // [rows, columns]
  std::vector<std::int64_t> lines;  // of the rows

  std::int64_t rows() const { return std::ssize(lines); }
};

/// What a column's numbers in rows [0, train) are standardised by.
SeriesColumn measured(const Numbers& numbers, std::size_t column, std::int64_t train,
                      const SeriesOptions& options) {
  const std::size_t inputs = options.columns.size();
  const auto at = [&](std::int64_t row) {
    return numbers.values[std::size_t(row) * inputs + column];
  };
  SeriesColumn found{options.columns[column]};
  double low = at(0), high = low, sum = 0, squares = 0;
  for (std::int64_t row = 0; row < train; ++row) {
    low = std::min(low, at(row));
    high = std::max(high, at(row));
    sum += at(row);
  }
  found.mean = sum / double(train);
  for (std::int64_t row = 0; row < train; ++row)
    squares += (at(row) - found.mean) * (at(row) - found.mean);
  found.deviation = std::sqrt(squares / double(train));
  // Equal numbers may have a mean that is rounded, and so a deviation that is not 0.
  if (low == high)
    throw std::runtime_error(
        fmt::format("column {}: got the same number in all {} rows of the training part, expected "
                    "numbers that differ",
                    in_quotes(found.name), train));
  if (!(found.deviation >= double(std::numeric_limits<float>::min())))
    throw std::runtime_error(
        fmt::format("column {}: got numbers from {} to {} in the training part, expected a wider "
                    "range: they differ too little for float32",
                    in_quotes(found.name), low, high));
  return found;
}

float standardised_at(const SeriesColumn& column, double value, const std::string& name,
                      std::int64_t line) {
  try {
    return column.standardised(value);
  } catch (const std::invalid_argument& error) {
    throw table_error(name, line, error.what());
  }
}

/// Throws SettingError unless there is a window in each part.
void require_rows(const SeriesParts& parts, const SeriesOptions& options, const std::string& name) {
  const auto require = [&](const char* part, std::int64_t rows, std::int64_t least, const char* why,
                           std::vector<SettingName> settings) {
    if (rows >= least) return;
    throw SettingError(
        fmt::format("{}: got {} rows, of which the {} part has {}, expected at least {} there: {}",
                    name, parts.test, part, rows, least, why),
        std::move(settings));
  };
  require("training", parts.train, options.window + options.ahead,
          "a window and what is learned after it",
          {SettingName::kTimesteps, SettingName::kHorizon});
  // Their windows may begin in the part before.
  require("validation", parts.valid - parts.train, options.ahead, "what is learned after a window",
          {SettingName::kHorizon, SettingName::kValidFraction});
  if (options.test_fraction > 0)
    require("test", parts.test - parts.valid, options.horizon, "a forecast",
            {SettingName::kHorizon, SettingName::kTestFraction});
}

}  // namespace

float SeriesColumn::standardised(double value) const {
  const double deviations = (value - mean) / deviation;
  if (!(std::abs(deviations) <= kMostDeviations))
    throw std::invalid_argument(fmt::format(
        "column {}: got {}, expected a number within {:.0e} deviations ({:.4g}) of the training "
        "part's mean ({:.4g})",
        in_quotes(name), value, kMostDeviations, deviation, mean));
  return float(deviations);
}

std::string Series::fingerprint(std::int64_t first_rows) const {
  return hash_of(std::as_bytes(std::span(values).first(std::size_t(first_rows * inputs))));
}

std::vector<std::string> LearnedSeries::names() const {
  std::vector<std::string> names;
  for (const SeriesColumn& column : columns) names.push_back(column.name);
  return names;
}

std::int64_t LearnedSeries::seen_of(const Series& series) const {
  return series.rows() >= rows && series.fingerprint(rows) == fingerprint ? rows : 0;
}

std::string LearnedSeries::to_text() const {
  nlohmann::json json = {{"rows", rows}, {"fingerprint", fingerprint}};
  for (const SeriesColumn& column : columns)
    json["columns"].push_back(
        {{"name", column.name}, {"mean", column.mean}, {"deviation", column.deviation}});
  return format_json(json, "series");
}

LearnedSeries LearnedSeries::parse(std::string_view text, const std::string& name) {
  const nlohmann::json json = parse_json(text, name);
  const JsonObject object(json, name);
  LearnedSeries learned;
  learned.rows = object.integer("rows", 1, kMostRows);
  learned.fingerprint = object.string("fingerprint");
  const nlohmann::json& list = object.at("columns");
  if (!list.is_array() || list.empty() || std::ssize(list) > kMostColumns)
    throw std::runtime_error(
        fmt::format("{}: columns: expected a list of 1 to {}", name, kMostColumns));
  for (const nlohmann::json& item : list) {
    const JsonObject column(item, name + ": columns");
    // Numbers of a table fit into float32, so their differences are at most twice as large.
    constexpr double kMost = std::numeric_limits<float>::max();
    learned.columns.push_back(
        {column.string("name"), column.number("mean", -kMost, kMost),
         column.number("deviation", double(std::numeric_limits<float>::min()), 2 * kMost)});
  }
  return learned;
}

SeriesParts SeriesParts::of(std::int64_t rows, double valid_fraction, double test_fraction) {
  const auto share = [&](double fraction) { return std::llround(double(rows) * fraction); };
  SeriesParts parts;
  parts.test = rows;
  parts.valid = rows - share(test_fraction);
  parts.train = parts.valid - share(valid_fraction);
  return parts;
}

TrainingSeries read_training_series(TextSource source, const SeriesOptions& options) {
  Hash hash;
  source.hash_into(&hash);
  for (const std::string& column : options.columns) hash.add(bytes_of(column + '\n'));
  TrainingSeries read;
  read.name = source.name();
  TableReader table(std::move(source), options.columns);
  Numbers numbers;
  while (const auto row = table.next()) {
    numbers.values.insert(numbers.values.end(), row->begin(), row->end());
    numbers.lines.push_back(table.line());
  }
  if (numbers.rows() == 0)
    throw std::runtime_error(read.name + ": got only a line with names, expected rows of numbers");
  read.fingerprint = hash.hex();
  if (!options.fingerprint.empty() && options.fingerprint != read.fingerprint)
    throw std::runtime_error(fmt::format(
        "{}: is not the series that the run was begun with: got fingerprint {}, expected {}",
        read.name, read.fingerprint, options.fingerprint));
  read.parts = SeriesParts::of(numbers.rows(), options.valid_fraction, options.test_fraction);
  require_rows(read.parts, options, read.name);

  auto series = std::make_shared<Series>();
  series->inputs = std::ssize(options.columns);
  try {
    for (std::size_t k = 0; k < options.columns.size(); ++k)
      read.learned.columns.push_back(measured(numbers, k, read.parts.train, options));
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(read.name + ": " + error.what());
  }
  for (std::size_t k = 0; k < numbers.values.size(); ++k) {
    const std::size_t row = k / options.columns.size(), column = k % options.columns.size();
    series->values.push_back(standardised_at(read.learned.columns[column], numbers.values[k],
                                             read.name, numbers.lines[row]));
  }
  read.learned.rows = read.parts.valid;
  read.learned.fingerprint = series->fingerprint(read.parts.valid);
  read.series = std::move(series);
  return read;
}

SeriesReader::SeriesReader(TextSource source, const LearnedSeries& learned)
    : table_(std::move(source), learned.names()),
      columns_(learned.columns),
      row_(columns_.size()) {}

std::optional<std::span<const float>> SeriesReader::next() {
  const auto numbers = table_.next();
  if (!numbers) return std::nullopt;
  for (std::size_t k = 0; k < columns_.size(); ++k)
    row_[k] = standardised_at(columns_[k], (*numbers)[k], table_.name(), table_.line());
  return row_;
}

Series read_series(TextSource source, const LearnedSeries& learned) {
  SeriesReader reader(std::move(source), learned);
  Series series;
  series.inputs = std::ssize(learned.columns);
  while (const auto row = reader.next())
    series.values.insert(series.values.end(), row->begin(), row->end());
  return series;
}

}  // namespace unroll
