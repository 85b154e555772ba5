/// A forecaster of a time series: a recurrent stack reads a window of rows, and from its state a
/// linear decoder says what comes next. It learns to do so after every row of a window, and is
/// measured and used after the last. A window is read from a zero state, so a forecast depends on
/// its rows only, and a model is used as it was trained. Windows come in batches of SeriesWindows.
///
/// A model of the mean says one row, all columns of it, which is read again for the row after it:
/// the fewest weights, and on the sunspot numbers the least errors by far. A model of quantiles
/// says `horizon` rows at once, because the quantiles of a row that follows one which was made up
/// would leave out the error of that one.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/base/strict_json.h"
#include "host/data/series.h"
#include "host/data/series_windows.h"
#include "host/models/encoder.h"
#include "host/models/task.h"

namespace unroll {

/// The encoder's `inputs` is the number of columns.
struct SeriesConfig : EncoderConfig {
  static constexpr std::int64_t kMostHorizon = 10'000;
  static constexpr std::int64_t kMostWindow = 1'000'000;
  static constexpr std::size_t kMostQuantiles = 99;

  std::int64_t window = 20;            // T, rows that are read
  std::int64_t horizon = 12;           // rows of a forecast
  std::vector<double> quantiles = {};  // rising; empty: the mean is learned

  /// Throws std::invalid_argument as EncoderConfig::check(), or for more than one direction, sizes
  /// out of range, or what check_quantiles() refuses.
  void check() const;
  /// Which of the values that are said for each step is nearest to the median; or the mean.
  std::size_t point() const;
  /// Rows that are said at once.
  std::int64_t ahead() const { return quantiles.empty() ? 1 : horizon; }
  /// Q, what is said of each value.
  std::int64_t values_per_step() const {
    return quantiles.empty() ? 1 : std::int64_t(quantiles.size());
  }
};

/// Throws std::invalid_argument unless they are rising numbers between 0 and 1, at most
/// SeriesConfig::kMostQuantiles.
void check_quantiles(const std::vector<double>& quantiles);

/// The `model` member of config.json.
nlohmann::json to_json(const SeriesConfig& config);
/// Errors    std::runtime_error if it is not a forecaster's, or not one that check() passes.
SeriesConfig series_config_from(const JsonObject& model);

/// What a model says after a batch of windows.
struct ForecastGraph {
  Graph graph;
  Tensor window;  // [T, N, I]
  Tensor values;  // [N, Q I ahead] in deviations: of quantile q or the mean, of column i, k + 1
                  // rows after the window, at (q I + i) ahead + k
};

class SeriesTask final : public Task {
 public:
  static constexpr const char* kName = "series";
  static constexpr int kVersion = 1;

  /// Without its files: it has graphs. Errors: std::invalid_argument as config.check().
  explicit SeriesTask(SeriesConfig config);
  /// Errors    std::invalid_argument as config.check(), or if it has another number of columns.
  SeriesTask(SeriesConfig config, LearnedSeries learned);

  /// Errors    std::runtime_error if config.json is not a forecaster's, or series.json is missing,
  ///           damaged, or of another number of columns than config.json says.
  static std::shared_ptr<const SeriesTask> read(const Checkpoint& checkpoint);
  /// From the `model` member of config.json, without its files.
  static std::shared_ptr<const SeriesTask> configured(const JsonObject& model);

  std::string name() const override { return kName; }
  int version() const override { return kVersion; }

  std::vector<VariableInfo> parameters() const override;
  std::int64_t gradient_bytes() const override;
  std::string describe() const override;

  TrainingPart training_part(Graph& graph, const TrainingPartOptions& options) const override;
  std::unique_ptr<EvaluationGraph> evaluation_graph(std::int64_t batch,
                                                    const std::string& name) const override;
  std::unique_ptr<ForecastGraph> forecast_graph(std::int64_t batch) const;
  void initialize(const Initialization& how, VariableStore& store) const override;

  std::string unit() const override { return "windows"; }
  double loss_ceiling() const override;
  std::vector<Measure> measures(const Evaluation& evaluation) const override;

  nlohmann::json to_json() const override;
  TaskFiles files() const override;
  TensorMetadata metadata() const override;

  const SeriesConfig& config() const { return config_; }
  const LearnedSeries& learned() const { return learned_; }

 private:
  SeriesConfig config_;
  LearnedSeries learned_;
};

}  // namespace unroll
