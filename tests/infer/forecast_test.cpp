/// Forecasts: what follows a window, what follows what was forecast, and errors beside those of
/// rules that know nothing.
#include "host/infer/forecast.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "host/infer/forecast_errors.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random_store.h"
#include "tests/support/series.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

std::vector<SeriesConfig> forecast_configs() {
  std::vector<SeriesConfig> all = {small_series(1), small_series(3),
                                   small_series(1, {0.1, 0.5, 0.9}),
                                   small_series(2, {0.2, 0.4, 0.9})};
  all.push_back(small_series(2, {0.2, 0.4, 0.9}));
  all.back().horizon = 9;  // more than a window
  return all;
}

/// What the graph says after one window, sorted, as [ahead, I, Q].
std::vector<float> said_after(const SeriesTask& model, const std::shared_ptr<VariableStore>& store,
                              const std::vector<float>& window) {
  const SeriesConfig& config = model.config();
  const auto graph = model.forecast_graph(1);
  Session session(graph->graph, store);
  const Feed feed(graph->window, std::span<const float>(window), {config.window, 1, config.inputs});
  session.run(std::span(&graph->values, 1), std::span(&feed, 1));
  const std::vector<float> raw = session.read(graph->values);
  std::vector<float> said;
  for (std::int64_t k = 0; k < config.ahead(); ++k)
    for (std::int64_t i = 0; i < config.inputs; ++i) {
      std::vector<float> one;
      for (std::int64_t q = 0; q < config.values_per_step(); ++q)
        one.push_back(raw[std::size_t((q * config.inputs + i) * config.ahead() + k)]);
      std::ranges::sort(one);
      said.insert(said.end(), one.begin(), one.end());
    }
  return said;
}

class Forecasts : public OnEachBackend {};
UNROLL_FOR_EACH_BACKEND(Forecasts);

TEST_P(Forecasts, GoOnFromWhatTheySaid) {
  for (const SeriesConfig& config : forecast_configs()) {
    const auto model = series_task(config);
    SCOPED_TRACE(model->describe());
    const auto store = random_store(*model, backend_, 0.6);
    const auto series = waves(17, config.inputs, 3);
    SeriesForecast forecast(model, store);
    EXPECT_EQ(error_of<std::runtime_error>([&] { forecast.next(); }),
              "got 0 rows of history, expected at least a window of 5");
    std::vector<float> rows = series->values;
    for (std::int64_t k = 0; k < series->rows(); ++k) forecast.add(series->row(k));
    const auto count = std::size_t(config.values_per_step()), inputs = std::size_t(config.inputs);
    const SeriesColumn& target = model->learned().target();
    for (int block = 0; block < 5; ++block) {
      const std::vector<float> said =
          said_after(*model, store, {rows.end() - config.window * config.inputs, rows.end()});
      for (std::size_t k = 0; k < std::size_t(config.ahead()); ++k) {
        const ForecastStep& step = forecast.next();
        const float* of = &said[k * inputs * count];
        EXPECT_EQ(step.point, target.original(of[config.point()]));
        ASSERT_EQ(step.quantiles.size(), config.quantiles.size());
        for (std::size_t q = 0; q < step.quantiles.size(); ++q)
          EXPECT_EQ(step.quantiles[q], target.original(of[q]));
        for (std::size_t i = 0; i < inputs; ++i) rows.push_back(of[i * count + config.point()]);
      }
    }
  }
}

TEST_P(Forecasts, OfManyWindowsAreThoseOfEach) {
  for (const SeriesConfig& config : forecast_configs()) {
    const auto model = series_task(config);
    SCOPED_TRACE(model->describe());
    const auto store = random_store(*model, backend_, 0.6);
    const auto series = waves(40, config.inputs, 4);
    Forecaster many(model, store, 3), one(model, store, 1);
    const std::int64_t width = 3 * config.inputs, count = config.values_per_step();
    std::vector<float> windows(std::size_t(config.window * width));
    for (std::int64_t n = 0; n < 3; ++n)
      for (std::int64_t t = 0; t < config.window; ++t)
        std::ranges::copy(series->row(7 * n + t), windows.begin() + t * width + n * config.inputs);
    const std::vector<float> all = many.after(windows);
    ASSERT_EQ(std::int64_t(all.size()), 3 * config.horizon * count);
    for (std::int64_t n = 0; n < 3; ++n) {
      const auto first = series->values.begin() + 7 * n * config.inputs;
      const std::vector<float> alone = one.after({first, first + config.window * config.inputs});
      SeriesForecast forecast(model, store);
      for (std::int64_t t = 0; t < config.window; ++t) forecast.add(series->row(7 * n + t));
      // Another number of rows in a product rounds otherwise on a GPU.
      EXPECT_TRUE(close(std::vector(all.begin() + n * config.horizon * count,
                                    all.begin() + (n + 1) * config.horizon * count),
                        doubles(alone), 64));
      for (std::int64_t k = 0; k < config.horizon; ++k)
        EXPECT_EQ(forecast.next().point, model->learned().target().original(
                                             alone[std::size_t(k * count) + config.point()]));
    }
  }
}

TEST(Forecasts, AreRefusedIfTheyAreNoNumbers) {
  const auto model = series_task(small_series());
  const auto store = random_store(*model, cpu(1), 0.6);
  store->write<float>(kDecoderBias, std::vector<float>{INFINITY});
  Forecaster forecaster(model, store, 1);
  EXPECT_EQ(error_of<std::runtime_error>([&] { forecaster.ahead(std::vector<float>(5)); }),
            "got forecasts from the model that are not finite, expected numbers");
  EXPECT_THROW(Forecaster(model, store, 0), std::invalid_argument);
}

/// Errors from their definitions, in float64, window by window.
struct Expected {
  double mse = 0, mae = 0, mse_1 = 0, mae_1 = 0, pinball = 0;
  std::int64_t forecasts = 0;

  /// `said(first, k, q)` and what came, in the target's units.
  template <typename Said>
  static Expected of(const SeriesConfig& config, const Series& series, std::int64_t begin,
                     Said said) {
    Expected e;
    const SeriesColumn target = learned_waves(config.inputs).target();
    for (std::int64_t first = begin; first + config.horizon <= series.rows();
         ++first, ++e.forecasts)
      for (std::int64_t k = 0; k < config.horizon; ++k) {
        const double came = target.original(series.row(first + k)[0]);
        const double error = came - said(first, k, config.point());
        e.mse += error * error;
        e.mae += std::abs(error);
        if (k == 0) e.mse_1 += error * error, e.mae_1 += std::abs(error);
        for (std::size_t q = 0; q < config.quantiles.size(); ++q) {
          const double above = came - said(first, k, q), share = config.quantiles[q];
          e.pinball +=
              (above > 0 ? share * above : (share - 1) * above) / double(config.quantiles.size());
        }
      }
    const double all = double(e.forecasts * config.horizon);
    e.mse /= all, e.mae /= all, e.pinball /= all;
    e.mse_1 /= double(e.forecasts), e.mae_1 /= double(e.forecasts);
    return e;
  }

  void check(const ForecastErrors& got) const {
    const auto horizon = got.squared.size();
    EXPECT_EQ(got.forecasts, forecasts);
    // Windows in a batch round otherwise than one; what is said differs by some 1e-6.
    EXPECT_NEAR(got.mse(horizon), mse, 1e-4 * mse);
    EXPECT_NEAR(got.mae(horizon), mae, 1e-4 * mae);
    EXPECT_NEAR(got.mse(1), mse_1, 1e-4 * mse_1);
    EXPECT_NEAR(got.mae(1), mae_1, 1e-4 * mae_1);
    if (!got.pinball.empty()) {
      EXPECT_NEAR(got.mean_pinball(), pinball, 1e-4 * pinball);
    }
  }
};

TEST_P(Forecasts, AreMeasuredBesideTwoRules) {
  for (const SeriesConfig& config : forecast_configs())
    for (const std::int64_t season : {0, 3, 11}) {
      const auto model = series_task(config);
      SCOPED_TRACE(model->describe() + " season " + std::to_string(season));
      const auto store = random_store(*model, backend_, 0.6);
      const auto series = waves(80, config.inputs, 6);
      Forecaster forecaster(model, store), one(model, store, 1);
      for (const std::int64_t begin : {0, 30}) {
        const SeriesEvaluation got =
            evaluate(forecaster, series, {.begin = begin, .season = season});
        const std::int64_t first = std::max({begin, season, config.window});
        EXPECT_EQ(got.begin, first);
        EXPECT_EQ(got.end, 80);
        EXPECT_EQ(got.seasonal.has_value(), season > 0);
        const SeriesColumn& target = model->learned().target();
        const auto value = [&](std::int64_t row) { return target.original(series->row(row)[0]); };
        std::vector<float> said;
        std::int64_t asked = -1;
        std::vector<double> below(config.quantiles.size());
        Expected::of(config, *series, first, [&](std::int64_t at, std::int64_t k, std::size_t q) {
          if (at != asked) {
            const auto from = series->values.begin() + (at - config.window) * config.inputs;
            said = one.after({from, from + config.window * config.inputs});
            asked = at;
          }
          const double v = target.original(said[std::size_t(k * config.values_per_step()) + q]);
          return v;
        }).check(got.model);
        Expected::of(config, *series, first, [&](std::int64_t at, std::int64_t, std::size_t) {
          return value(at - 1);
        }).check(got.naive);
        if (season > 0)
          Expected::of(config, *series, first, [&](std::int64_t at, std::int64_t k, std::size_t) {
            std::int64_t row = at + k;  // back by whole seasons until it is known
            while (row >= at) row -= season;
            return value(row);
          }).check(*got.seasonal);
        ASSERT_EQ(got.coverage.size(), config.quantiles.size());
        EXPECT_TRUE(std::ranges::is_sorted(got.coverage));
      }
    }
}

TEST(Forecasts, CoverageIsTheShareAtOrBelow) {
  // A model that says constants: the decoder's biases.
  SeriesConfig config = small_series(1, {0.1, 0.5, 0.9});
  const auto model = series_task(config);
  auto store = std::make_shared<VariableStore>(cpu(1), 1);
  for (const VariableInfo& info : model->parameters()) {
    store->require(info);
    store->write<float>(info.name, std::vector<float>(std::size_t(info.type.shape.elements())));
  }
  std::vector<float> bias;
  for (const float level : {0.5F, -0.5F, 0.0F})  // crossed: they are sorted
    bias.insert(bias.end(), 4, level);
  store->write<float>(kDecoderBias, bias);
  auto series = std::make_shared<Series>();
  for (int k = 0; k < 40; ++k)
    series->values.push_back(k % 4 == 0 ? 1.0F : k % 4 == 1 ? 0.5F : -1.0F);
  Forecaster forecaster(model, store);
  const SeriesEvaluation got = evaluate(forecaster, series, {});
  // Every forecast covers a whole period of four rows.
  EXPECT_EQ(got.coverage, (std::vector<double>{0.5, 0.5, 0.75}));
}

}  // namespace
}  // namespace unroll::test
