/// How far forecasts of a series are from what came, beside those of two rules that know nothing.
/// Forecasts begin at every row that has a window before it and a horizon after it (a rolling
/// origin), and errors are in the target's own units.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "host/data/series.h"
#include "host/infer/forecast.h"

namespace unroll {

/// Sums over forecasts.
struct ForecastErrors {
  std::vector<double> squared, absolute;  // [horizon]
  std::vector<double> pinball;            // [Q], over all horizons
  std::int64_t forecasts = 0;

  // Means over the horizons 1 to `horizons`.
  double mse(std::size_t horizons) const;
  double mae(std::size_t horizons) const;
  /// The mean over quantiles and all horizons. Where there is only one value, it is every quantile.
  double mean_pinball() const;
};

struct SeriesEvaluation {
  std::int64_t begin = 0;  // rows [begin, end) were forecast, at least once
  std::int64_t end = 0;
  ForecastErrors model;
  ForecastErrors naive;                    // the last value, for every horizon
  std::optional<ForecastErrors> seasonal;  // the value of one season before, or several
  std::vector<double> coverage;            // [Q] share of the values at or below a quantile
};

struct SeriesEvaluationOptions {
  std::int64_t begin = 0;   // the first row that may be forecast
  std::int64_t season = 0;  // rows; 0: no seasonal rule
};

/// Errors    std::invalid_argument if there is no window; std::runtime_error as
///           Forecaster::after().
SeriesEvaluation evaluate(Forecaster& forecaster, const std::shared_ptr<const Series>& series,
                          const SeriesEvaluationOptions& options);

}  // namespace unroll
