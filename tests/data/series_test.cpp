/// Time series: how they are split and standardised, which rows are refused, and their windows.
#include "host/data/series.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "host/base/setting_error.h"
#include "host/data/series_windows.h"
#include "tests/support/compare.h"
#include "tests/support/series.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

/// A table of x and y, of which y falls.
std::string table(std::int64_t rows) {
  std::string text = "t,x,y\n";
  for (std::int64_t k = 0; k < rows; ++k)
    text += "d" + std::to_string(k) + "," + std::to_string(k * k % 17) + "," +
            std::to_string(100 - k) + "\n";
  return text;
}

TrainingSeries read(const std::string& text, const SeriesOptions& options) {
  return read_training_series(TextSource(text, "s.csv"), options);
}

const SeriesOptions kTwo{.columns = {"y", "x"}, .window = 5, .ahead = 2, .horizon = 3};

TEST(SeriesData, IsSplitInTimeOrder) {
  const SeriesParts parts = SeriesParts::of(309, 0.15, 0.15);
  EXPECT_EQ(parts.train, 217);
  EXPECT_EQ(parts.valid, 263);
  EXPECT_EQ(parts.test, 309);
  EXPECT_EQ(SeriesParts::of(100, 0.1, 0).valid, 100);
  const TrainingSeries got = read(table(40), kTwo);
  EXPECT_EQ(got.parts.train, 28);
  EXPECT_EQ(got.parts.valid, 34);
  EXPECT_EQ(got.learned.rows, 34);
}

TEST(SeriesData, IsStandardisedByTheTrainingPartOnly) {
  const TrainingSeries got = read(table(40), kTwo);
  double x_mean = 0, y_mean = 0, x_squares = 0, y_squares = 0;
  const auto x = [](int k) { return double(k * k % 17); };
  for (int k = 0; k < 28; ++k) x_mean += x(k) / 28, y_mean += double(100 - k) / 28;
  for (int k = 0; k < 28; ++k) {
    x_squares += std::pow(x(k) - x_mean, 2);
    y_squares += std::pow(100 - k - y_mean, 2);
  }
  const std::vector<SeriesColumn>& columns = got.learned.columns;
  ASSERT_EQ(columns.size(), 2U);
  EXPECT_EQ(columns[0].name, "y");
  EXPECT_NEAR(columns[0].mean, y_mean, 1e-12);
  EXPECT_NEAR(columns[0].deviation, std::sqrt(y_squares / 28), 1e-12);
  EXPECT_NEAR(columns[1].mean, x_mean, 1e-12);
  EXPECT_NEAR(columns[1].deviation, std::sqrt(x_squares / 28), 1e-12);
  ASSERT_EQ(got.series->rows(), 40);
  for (int k = 0; k < 40; ++k) {
    EXPECT_NEAR(columns[0].original(got.series->row(k)[0]), 100 - k, 1e-4);
    EXPECT_NEAR(columns[1].original(got.series->row(k)[1]), x(k), 1e-4);
    EXPECT_EQ(got.series->target(k), got.series->row(k)[0]);
  }
}

TEST(SeriesData, IsKnownAgainAndMayGoOn) {
  const TrainingSeries got = read(table(40), kTwo);
  const auto again = [&](const std::string& text) {
    return got.learned.seen_of(read_series(TextSource(text, "s.csv"), got.learned));
  };
  EXPECT_EQ(again(table(40)), 34);
  EXPECT_EQ(again(table(400)), 34);
  EXPECT_EQ(again(table(33)), 0);
  EXPECT_EQ(again("t,x,y\nd,1,2\n" + table(40).substr(table(1).size())), 0);
  std::string changed = table(40);
  changed.replace(changed.find("d5,8"), 4, "d5,9");
  EXPECT_EQ(again(changed), 0);
  const LearnedSeries parsed = LearnedSeries::parse(got.learned.to_text(), "series.json");
  EXPECT_EQ(parsed.to_text(), got.learned.to_text());
  EXPECT_EQ(parsed.columns[1].deviation, got.learned.columns[1].deviation);
  EXPECT_EQ(read(table(40), kTwo).fingerprint, got.fingerprint);
  EXPECT_NE(read(table(41), kTwo).fingerprint, got.fingerprint);
  SeriesOptions one = kTwo;
  one.columns = {"y"};
  EXPECT_NE(read(table(40), one).fingerprint, got.fingerprint);
  one.fingerprint = got.fingerprint;
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { read(table(40), one); }),
                       "s.csv: is not the series that the run was begun with"));
}

TEST(SeriesData, RefusesWhatCannotBeLearned) {
  const auto error = [](const std::string& text, const SeriesOptions& options = kTwo) {
    return error_of<std::runtime_error>([&] { read(text, options); });
  };
  EXPECT_EQ(error("x,y\n"), "s.csv: got only a line with names, expected rows of numbers");
  EXPECT_EQ(error(table(8)),
            "s.csv: got 8 rows, of which the training part has 6, expected at least 7 there: a "
            "window and what is learned after it");
  EXPECT_EQ(error(table(11)),
            "s.csv: got 11 rows, of which the test part has 2, expected at least 3 there: a "
            "forecast");
  SeriesOptions no_test = kTwo;
  no_test.test_fraction = 0;
  EXPECT_EQ(read(table(10), no_test).parts.valid, 10);
  EXPECT_TRUE(contains(error(table(9), no_test), "the validation part has 1, expected at least 2"));
  std::string constant = "x,y\n";
  for (int k = 0; k < 40; ++k) constant += "0.1," + std::to_string(k) + "\n";
  EXPECT_EQ(error(constant),
            "s.csv: column 'x': got the same number in all 28 rows of the training part, expected "
            "numbers that differ");
  EXPECT_EQ(
      error(table(40) + "d,1e12,2\n"),
      "s.csv: line 42: column 'x': got 1000000000000, expected a number within 1e+06 "
      "deviations (" +
          [] {
            const TrainingSeries got = read(table(41), kTwo);
            char text[64];
            std::snprintf(text, sizeof text, "%.4g) of the training part's mean (%.4g)",
                          got.learned.columns[1].deviation, got.learned.columns[1].mean);
            return std::string(text);
          }());
  const LearnedSeries learned = read(table(40), kTwo).learned;
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] {
                         read_series(TextSource("x,y\n1,1\n1,-1e20\n", "n.csv"), learned);
                       }),
                       "n.csv: line 3: column 'y': got -1e+20, expected a number within"));
  EXPECT_TRUE(contains(
      error_of<std::runtime_error>([&] { read_series(TextSource("x\n1\n", "n.csv"), learned); }),
      "n.csv: line 1: got no column 'y', expected one of 'x'"));
}

TEST(SeriesData, RefusesDamagedFiles) {
  const nlohmann::json good = nlohmann::json::parse(learned_waves(2).to_text());
  const auto error = [&](auto change) {
    nlohmann::json json = good;
    change(json);
    return error_of<std::runtime_error>([&] { LearnedSeries::parse(json.dump(), "series.json"); });
  };
  EXPECT_EQ(error([](auto&) {}), "no exception");
  EXPECT_TRUE(contains(error([](auto& j) { j["columns"][0]["deviation"] = 0; }), "deviation"));
  EXPECT_TRUE(contains(error([](auto& j) { j["columns"][0]["mean"] = "1"; }), "mean"));
  EXPECT_TRUE(contains(error([](auto& j) { j["columns"] = nlohmann::json::array(); }), "columns"));
  EXPECT_TRUE(contains(error([](auto& j) { j["rows"] = 0; }), "rows"));
  EXPECT_TRUE(contains(error([](auto& j) { j.erase("fingerprint"); }), "fingerprint"));
}

/// The batches of an epoch: what each window's last row is, and its targets.
void check_windows(const std::shared_ptr<const Series>& series,
                   const SeriesWindows::Options& options) {
  SeriesWindows windows(series, options);
  Batch batch = windows.largest();
  std::multiset<std::int64_t> seen;
  const std::int64_t inputs = series->inputs, n = options.batch, ahead = options.ahead;
  for (std::int64_t first = 0; windows.next(batch); first = batch.position_after)
    for (std::int64_t row = 0; row < n; ++row) {
      const std::int64_t places = options.every_row ? options.window : 1;
      for (std::int64_t s = 0; s < places; ++s)
        EXPECT_EQ(batch.columns[2].values[std::size_t(s * n + row)], row < batch.count ? 1 : 0);
      if (row >= batch.count) continue;
      const std::int64_t after = windows.row_after(first + row);
      seen.insert(after);
      ASSERT_GE(after, options.window);
      for (std::int64_t t = 0; t < options.window; ++t)
        for (std::int64_t i = 0; i < inputs; ++i)
          EXPECT_EQ(batch.columns[0].values[std::size_t((t * n + row) * inputs + i)],
                    series->row(after - options.window + t)[std::size_t(i)]);
      for (std::int64_t s = 0; s < places; ++s)
        for (std::int64_t i = 0; i < inputs; ++i)
          for (std::int64_t k = 0; k < ahead; ++k) {
            const std::int64_t came = after - places + 1 + s + k;
            ASSERT_LT(came, options.end);
            EXPECT_EQ(
                batch.columns[1].values[std::size_t(((s * n + row) * inputs + i) * ahead + k)],
                series->row(came)[std::size_t(i)]);
          }
    }
  const std::int64_t first = std::max(options.begin, options.window);
  EXPECT_EQ(std::int64_t(seen.size()), options.end - ahead - first + 1);
  for (std::int64_t after = first; after + ahead <= options.end; ++after)
    EXPECT_EQ(seen.count(after), 1U);
}

TEST(SeriesWindowsTest, HaveEveryWindowOnceAndTheRowsAfterIt) {
  const auto series = waves(40, 3);
  for (const std::int64_t batch : {1, 4, 31, 33})
    for (const bool every_row : {false, true})
      for (const std::int64_t ahead : {1, 4}) {
        check_windows(series, {.begin = 0,
                               .end = 40,
                               .window = 5,
                               .ahead = ahead,
                               .batch = batch,
                               .every_row = every_row,
                               .seed = 7});
        check_windows(series,
                      {.begin = 20, .end = 31, .window = 5, .ahead = ahead, .batch = batch});
        check_windows(series, {.begin = 2, .end = 30, .window = 7, .ahead = ahead, .batch = batch});
      }
  check_windows(series, {.begin = 0, .end = 6, .window = 5, .ahead = 1, .batch = 2});
}

TEST(SeriesWindowsTest, OrderDependsOnSeedAndEpochOnly) {
  const auto series = waves(60);
  const auto order = [&](std::optional<std::uint64_t> seed, std::int64_t epoch) {
    SeriesWindows windows(series, {.end = 60, .window = 5, .batch = 8, .seed = seed});
    windows.seek(2, 3);
    windows.seek(epoch, 0);
    std::vector<std::int64_t> rows;
    for (std::int64_t k = 0; k < windows.length(); ++k) rows.push_back(windows.row_after(k));
    return rows;
  };
  EXPECT_EQ(order(1, 4), order(1, 4));
  EXPECT_NE(order(1, 4), order(1, 5));
  EXPECT_NE(order(1, 4), order(2, 4));
  EXPECT_TRUE(std::ranges::is_sorted(order({}, 3)));
  EXPECT_FALSE(std::ranges::is_sorted(order(1, 1)));
}

TEST(SeriesWindowsTest, GoOnAtAPosition) {
  const auto series = waves(40);
  SeriesWindows whole(series, {.end = 40, .window = 5, .batch = 8, .every_row = true, .seed = 3}),
      cut(series, {.end = 40, .window = 5, .batch = 8, .every_row = true, .seed = 3});
  Batch a = whole.largest(), b = cut.largest();
  whole.seek(2, 0);
  for (std::int64_t position = 0; whole.next(a); position = a.position_after) {
    cut.seek(2, position);
    ASSERT_TRUE(cut.next(b));
    EXPECT_EQ(a.count, b.count);
    EXPECT_EQ(a.position_after, b.position_after);
    for (std::size_t k = 0; k < 3; ++k) EXPECT_EQ(a.columns[k].values, b.columns[k].values);
  }
  EXPECT_EQ(a.position_after, whole.length());
  EXPECT_THROW(cut.seek(1, 36), std::invalid_argument);
  EXPECT_THROW(cut.seek(0, 0), std::invalid_argument);
  EXPECT_THROW(SeriesWindows(series, {.end = 5, .window = 5}), std::invalid_argument);
  EXPECT_THROW(SeriesWindows(series, {.end = 41, .window = 5}), std::invalid_argument);
  EXPECT_THROW(SeriesWindows(series, {.end = 40, .window = 5, .batch = 0}), std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
