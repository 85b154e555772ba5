/// Small time series and forecasters for tests.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "host/data/series_windows.h"
#include "host/models/series_task.h"
#include "tests/support/random.h"
#include "unroll/session.h"

namespace unroll::test {

/// Waves of different lengths in each column, and a little noise.
inline std::shared_ptr<const Series> waves(std::int64_t rows, std::int64_t inputs = 1,
                                           std::uint64_t seed = 1) {
  Random random(seed);
  auto series = std::make_shared<Series>();
  series->inputs = inputs;
  for (std::int64_t t = 0; t < rows; ++t)
    for (std::int64_t i = 0; i < inputs; ++i)
      series->values.push_back(
          float(std::sin(double(t) / double(2 + i)) + random.uniform(-0.1, 0.1)));
  return series;
}

/// Columns c0, c1, ...; what is known of them differs from column to column.
inline LearnedSeries learned_waves(std::int64_t inputs) {
  LearnedSeries learned{.columns = {}, .rows = 1, .fingerprint = "none"};
  for (std::int64_t i = 0; i < inputs; ++i)
    learned.columns.push_back({"c" + std::to_string(i), 10.0 * double(i + 1), 4.0 + double(i)});
  return learned;
}

inline SeriesConfig small_series(std::int64_t inputs = 1, std::vector<double> quantiles = {}) {
  SeriesConfig config;
  config.cell = CellKind::kGru;
  config.inputs = inputs;
  config.hidden = {6};
  config.window = 5;
  config.horizon = 4;
  config.quantiles = std::move(quantiles);
  return config;
}

inline std::shared_ptr<const SeriesTask> series_task(const SeriesConfig& config) {
  return std::make_shared<const SeriesTask>(config, learned_waves(config.inputs));
}

}  // namespace unroll::test
