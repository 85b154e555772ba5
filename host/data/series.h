/// A time series: rows of numbers in time order, standardised. The first column is the target,
/// which is forecast; further columns are only read. A row's number becomes (number - mean) /
/// deviation, which are those of its column in the training part.
///
/// The parts follow each other in time: training, validation, test.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/table.h"

namespace unroll {

/// More columns are a mistake.
inline constexpr std::int64_t kMostColumns = 10'000;
/// Numbers further from the mean, in deviations, are a mistake, and their squares no number of
/// float32.
inline constexpr double kMostDeviations = 1e6;

struct SeriesColumn {
  std::string name;
  double mean = 0, deviation = 1;

  /// Errors    std::invalid_argument if the value is more than kMostDeviations from the mean.
  float standardised(double value) const;
  double original(float value) const { return mean + deviation * double(value); }
};

/// The numbers of a series, standardised.
struct Series {
  std::int64_t inputs = 1;    // I, columns
  std::vector<float> values;  // [rows, I]

  std::int64_t rows() const { return std::int64_t(values.size()) / inputs; }
  std::span<const float> row(std::int64_t k) const {
    return std::span(values).subspan(std::size_t(k * inputs), std::size_t(inputs));
  }
  float target(std::int64_t k) const { return values[std::size_t(k * inputs)]; }
  /// Hash of its first rows, as they are standardised.
  std::string fingerprint(std::int64_t first_rows) const;
};

/// What a model has to know of the series that it learned from.
struct LearnedSeries {
  std::vector<SeriesColumn> columns;  // the target first
  std::int64_t rows = 0;    // of the training and validation parts, with which the series begins
  std::string fingerprint;  // Series::fingerprint() of these rows

  std::vector<std::string> names() const;
  const SeriesColumn& target() const { return columns.front(); }
  /// How many rows at the beginning of a series the model has seen: `rows` if it is the same
  /// series, which may go on, else 0.
  std::int64_t seen_of(const Series& series) const;

  /// As JSON.
  std::string to_text() const;
  /// Errors    std::runtime_error, naming `name`, if it is not what to_text() writes.
  static LearnedSeries parse(std::string_view text, const std::string& name);
};

/// Where the parts of a series end.
struct SeriesParts {
  std::int64_t train = 0, valid = 0, test = 0;  // rows before the end of each

  /// Validation and test have these shares of the rows, rounded.
  static SeriesParts of(std::int64_t rows, double valid_fraction, double test_fraction);
};

struct SeriesOptions {
  std::vector<std::string> columns;  // the target first
  double valid_fraction = 0.15, test_fraction = 0.15;
  std::int64_t window = 20, ahead = 1, horizon = 12;  // as in SeriesConfig
  /// TrainingSeries::fingerprint that the series must have; empty: any.
  std::string fingerprint = {};
};

struct TrainingSeries {
  std::shared_ptr<const Series> series;
  SeriesParts parts;
  LearnedSeries learned;
  std::string name;  // how errors call it
  /// Equal exactly for equal files read in the same way, from any place.
  std::string fingerprint;
};

/// Errors    as TableReader; SettingError if a part has fewer rows than a window, what is learned
///           after it, and a forecast need; std::runtime_error if a column has the same number in
///           all rows of the training part, if a number lies too far from the mean, or if it is not
///           the series of `fingerprint`.
TrainingSeries read_training_series(TextSource source, const SeriesOptions& options);

/// Reads rows of a series for a model that exists, in memory that does not grow with them.
class SeriesReader {
 public:
  /// Errors    as TableReader.
  SeriesReader(TextSource source, const LearnedSeries& learned);
  /// The next row, standardised, valid until the next call; nothing after the last.
  /// Errors    as TableReader::next(); std::runtime_error if a number lies too far from the mean.
  std::optional<std::span<const float>> next();

 private:
  TableReader table_;
  std::vector<SeriesColumn> columns_;
  std::vector<float> row_;
};

/// All rows.
Series read_series(TextSource source, const LearnedSeries& learned);

}  // namespace unroll
