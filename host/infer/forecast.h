/// Asks a forecaster what comes after windows of a series, or after all of a series.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "host/models/series_task.h"
#include "unroll/session.h"

namespace unroll {

/// Not thread-safe.
class Forecaster {
 public:
  static constexpr std::int64_t kBatch = 32;  // windows that are asked about at once

  /// `store` holds the model's parameters.
  /// Errors    std::invalid_argument if `batch` is below 1.
  Forecaster(std::shared_ptr<const SeriesTask> model, std::shared_ptr<VariableStore> store,
             std::int64_t batch = kBatch);

  const SeriesTask& model() const { return *model_; }
  std::int64_t batch() const { return batch_; }

  /// What the model says at once after each window of a batch, in deviations: the quantiles in
  /// rising order, or the mean. Learned quantiles may cross where data are few; sorting them never
  /// makes the pinball loss larger. Valid until the next call.
  /// Shapes    windows [T, N, I] -> [N, ahead, I, Q]
  /// Errors    std::runtime_error if they are no finite numbers.
  /// Source    of the sorting: Chernozhukov et al. 2010.
  std::span<const float> ahead(std::span<const float> windows);

  /// The target in the `horizon` rows after each window: what is said at once, then what is said
  /// after windows that go on with its points.
  /// Shapes    windows [T, N, I] -> [N, horizon, Q]
  /// Errors    as ahead().
  std::vector<float> after(std::vector<float> windows);

 private:
  std::shared_ptr<const SeriesTask> model_;
  std::int64_t batch_;
  std::unique_ptr<ForecastGraph> graph_;
  Session session_;
  std::vector<float> values_, sorted_;
};

/// One row ahead, in the target's own units.
struct ForecastStep {
  double point = 0;                    // the quantile nearest to the median, or the mean
  std::vector<double> quantiles = {};  // in rising order
};

/// Goes through a series row by row and then on into the future, in memory that does not grow.
class SeriesForecast {
 public:
  SeriesForecast(std::shared_ptr<const SeriesTask> model, std::shared_ptr<VariableStore> store);

  /// A row of the history, standardised. Not after the first next().
  void add(std::span<const float> row);

  /// The next step. The points of what is said at once take the place of the history for what comes
  /// after.
  /// Errors    std::runtime_error if there are fewer rows than a window, or as Forecaster::ahead().
  const ForecastStep& next();

 private:
  void forecast();

  Forecaster forecaster_;
  std::vector<float> window_;        // [T, I], of which row `oldest_` is the first
  std::vector<float> in_order_;      // the same, the oldest row first
  std::vector<float> points_;        // [ahead, I] of the last window; empty before the first
  std::vector<ForecastStep> steps_;  // of the last window
  std::int64_t oldest_ = 0, rows_ = 0;
  std::size_t given_ = 0;  // of steps_
};

}  // namespace unroll
