#include "host/cli/series_report.h"

#include <fmt/format.h>

#include <vector>

#include "host/base/utf8.h"
#include "host/data/table.h"

namespace unroll::cli {
namespace {

Json errors_json(const ForecastErrors& errors) {
  const std::size_t horizon = errors.squared.size();
  Json json = {{"mse", errors.mse(horizon)},
               {"mae", errors.mae(horizon)},
               {"mse_1", errors.mse(1)},
               {"mae_1", errors.mae(1)}};
  if (!errors.pinball.empty()) json["pinball"] = errors.mean_pinball();
  return json;
}

std::string errors_line(const std::string& who, const ForecastErrors& errors) {
  const std::size_t horizon = errors.squared.size();
  std::string line =
      fmt::format("{:<13}  {:12.6g}  {:12.6g}  {:12.6g}  {:12.6g}", who, errors.mse(1),
                  errors.mse(horizon), errors.mae(1), errors.mae(horizon));
  if (!errors.pinball.empty()) line += fmt::format("  {:12.6g}", errors.mean_pinball());
  return line + "\n";
}

}  // namespace

SeriesReport series_report(const SeriesEvaluation& evaluation, const SeriesTask& task,
                           std::int64_t season) {
  const SeriesConfig& config = task.config();
  const bool quantiles = !config.quantiles.empty();
  SeriesReport report;
  report.json = {{"target", task.learned().target().name},
                 {"first_row", evaluation.begin + 1},
                 {"last_row", evaluation.end},
                 {"forecasts", evaluation.model.forecasts},
                 {"horizon", config.horizon},
                 {"model", errors_json(evaluation.model)},
                 {"naive", errors_json(evaluation.naive)}};
  const std::string all = fmt::format("1 to {}", config.horizon);
  report.lines = fmt::format(
      "| {} | rows {} to {} | {} forecasts of {} rows\n"
      "{:<13}  {:>12}  {:>12}  {:>12}  {:>12}{}\n{:<13}  {:>12}  {:>12}  {:>12}  {:>12}{}\n",
      printable(task.learned().target().name), evaluation.begin + 1, evaluation.end,
      evaluation.model.forecasts, config.horizon, "mean error", "squared", "squared", "absolute",
      "absolute", quantiles ? fmt::format("  {:>12}", "pinball") : "", "horizon", "1", all, "1",
      all, quantiles ? fmt::format("  {:>12}", all) : "");
  report.lines += errors_line("model", evaluation.model);
  report.lines += errors_line("last value", evaluation.naive);
  if (evaluation.seasonal) {
    report.json["seasonal_naive"] = errors_json(*evaluation.seasonal);
    report.json["season"] = season;
    report.lines += errors_line(fmt::format("{} rows ago", season), *evaluation.seasonal);
  }
  for (std::size_t q = 0; q < config.quantiles.size(); ++q) {
    report.json["coverage"].push_back(
        {{"quantile", config.quantiles[q]}, {"at_or_below", evaluation.coverage[q]}});
    report.lines += fmt::format("at or below quantile {}: {:.1f} % of the values\n",
                                config.quantiles[q], 100 * evaluation.coverage[q]);
  }
  return report;
}

std::string ForecastLines::header() const {
  const std::string& target = task_.learned().target().name;
  std::string line =
      csv_ ? "step," + csv_cell(target) : fmt::format("{:>6}  {:>12}", "step", printable(target));
  for (const double quantile : task_.config().quantiles) {
    const std::string name = fmt::format("q{}", quantile);
    line += csv_ ? "," + name : fmt::format("  {:>12}", name);
  }
  return line + "\n";
}

std::string ForecastLines::line(std::int64_t step, const ForecastStep& forecast) const {
  const auto number = [&](double value) {
    return csv_ ? fmt::format(",{:.9g}", value) : fmt::format("  {:12.6g}", value);
  };
  std::string line = csv_ ? std::to_string(step) : fmt::format("{:6}", step);
  line += number(forecast.point);
  for (const double value : forecast.quantiles) line += number(value);
  return line + "\n";
}

}  // namespace unroll::cli
