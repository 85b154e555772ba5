#include "host/infer/forecast_errors.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "host/data/series_windows.h"

namespace unroll {
namespace {

double mean_of(const std::vector<double>& sums, std::size_t count, std::int64_t forecasts) {
  return std::accumulate(sums.begin(), sums.begin() + std::ptrdiff_t(count), 0.0) /
         (double(count) * double(forecasts));
}

/// Adds the errors of one forecast to sums.
class Adder {
 public:
  Adder(const SeriesConfig& config, double deviation) : config_(config), deviation_(deviation) {}

  void begin(ForecastErrors& errors) const {
    errors.squared.resize(std::size_t(config_.horizon));
    errors.absolute.resize(std::size_t(config_.horizon));
    errors.pinball.resize(config_.quantiles.size());
    ++errors.forecasts;
  }
  /// `said`: every quantile, or one value that stands for all.
  void add(std::size_t horizon, std::span<const float> said, float came,
           ForecastErrors& errors) const {
    const float point = said.size() > 1 ? said[config_.point()] : said[0];
    const double error = deviation_ * (double(came) - double(point));
    errors.squared[horizon] += error * error;
    errors.absolute[horizon] += std::abs(error);
    for (std::size_t q = 0; q < config_.quantiles.size(); ++q) {
      const double e = deviation_ * (double(came) - double(said.size() > 1 ? said[q] : said[0]));
      errors.pinball[q] += std::max(config_.quantiles[q] * e, (config_.quantiles[q] - 1) * e);
    }
  }

 private:
  const SeriesConfig& config_;
  double deviation_;
};

}  // namespace

double ForecastErrors::mse(std::size_t horizons) const {
  return mean_of(squared, horizons, forecasts);
}

double ForecastErrors::mae(std::size_t horizons) const {
  return mean_of(absolute, horizons, forecasts);
}

double ForecastErrors::mean_pinball() const {
  return mean_of(pinball, pinball.size(), forecasts) / double(squared.size());
}

SeriesEvaluation evaluate(Forecaster& forecaster, const std::shared_ptr<const Series>& series,
                          const SeriesEvaluationOptions& options) {
  const SeriesConfig& config = forecaster.model().config();
  const std::int64_t season = options.season;
  SeriesWindows windows(series, {.begin = std::max(options.begin, season),
                                 .end = series->rows(),
                                 .window = config.window,
                                 .ahead = config.horizon,
                                 .batch = forecaster.batch()});
  SeriesEvaluation result;
  result.begin = windows.row_after(0);
  result.end = series->rows();
  if (season > 0) result.seasonal.emplace();
  result.coverage.resize(config.quantiles.size());
  const Adder adder(config, forecaster.model().learned().target().deviation);
  const auto count = std::size_t(config.values_per_step());
  const auto add_window = [&](std::int64_t first, std::span<const float> said) {
    adder.begin(result.model);
    adder.begin(result.naive);
    if (season > 0) adder.begin(*result.seasonal);
    const float last = series->target(first - 1);
    for (std::int64_t k = 0; k < config.horizon; ++k) {
      const auto at = std::size_t(k);
      const float came = series->target(first + k);
      const std::span<const float> step = said.subspan(at * count, count);
      adder.add(at, step, came, result.model);
      adder.add(at, std::span(&last, 1), came, result.naive);
      for (std::size_t q = 0; q < result.coverage.size(); ++q)
        result.coverage[q] += came <= step[q] ? 1 : 0;
      if (season == 0) continue;
      const float before = series->target(first - season + k % season);
      adder.add(at, std::span(&before, 1), came, *result.seasonal);
    }
  };

  Batch batch = windows.largest();
  const auto row_values = std::size_t(config.horizon) * count;
  for (std::int64_t first = 0; windows.next(batch); first = batch.position_after) {
    const std::vector<float> said = forecaster.after(batch.columns[0].values);
    for (std::int64_t row = 0; row < batch.count; ++row)
      add_window(windows.row_after(first + row),
                 std::span(said).subspan(std::size_t(row) * row_values, row_values));
  }
  for (double& share : result.coverage)
    share /= double(result.model.forecasts) * double(config.horizon);
  return result;
}

}  // namespace unroll
