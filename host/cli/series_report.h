/// What the commands eval and forecast say of a forecaster.
#pragma once

#include <cstdint>
#include <string>

#include "host/cli/output.h"
#include "host/infer/forecast_errors.h"

namespace unroll::cli {

struct SeriesReport {
  std::string lines;
  Json json;
};

/// The errors of the model and of the rules, at horizon 1 and as means over all.
SeriesReport series_report(const SeriesEvaluation& evaluation, const SeriesTask& task,
                           std::int64_t season);

/// A forecast as lines, each with its line end.
class ForecastLines {
 public:
  ForecastLines(const SeriesTask& task, bool csv) : task_(task), csv_(csv) {}

  std::string header() const;
  std::string line(std::int64_t step, const ForecastStep& forecast) const;

 private:
  const SeriesTask& task_;
  bool csv_;
};

}  // namespace unroll::cli
