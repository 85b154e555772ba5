/// What the pages about training runs have in common.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/pages/chart.h"
#include "host/pages/run_history.h"

namespace unroll {

/// "2 h 5 min".
std::string duration(double seconds);

/// A setting as people read it.
std::string value_text(const nlohmann::json& value);

/// What a page says of an evaluation beside its loss.
struct Measurement {
  const RunHistory& history;

  bool is_perplexity() const { return history.unit == "tokens"; }
  bool is_series() const { return history.unit == "windows"; }
  bool has_quantiles() const;
  std::string name() const;
  std::string loss_unit() const;
  std::string of(const EvaluationRecord& record) const;
};

/// A member of the records as a curve of as many points as a screen can show.
template <typename Record>
ChartSeries series_of(const std::string& name, const std::vector<Record>& records,
                      double Record::*member) {
  constexpr std::size_t kPoints = 600;
  ChartSeries series{name, {}};
  for (const Record& record : records)
    series.points.push_back({double(record.step), record.*member});
  series.points = thin(series.points, kPoints);
  return series;
}

}  // namespace unroll
