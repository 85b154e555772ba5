#include "host/infer/forecast.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace unroll {

Forecaster::Forecaster(std::shared_ptr<const SeriesTask> model,
                       std::shared_ptr<VariableStore> store, std::int64_t batch)
    : model_(std::move(model)),
      batch_(batch),
      graph_(batch >= 1 ? model_->forecast_graph(batch)
                        : throw std::invalid_argument(
                              fmt::format("batches of {} windows, expected 1 or more", batch))),
      session_(graph_->graph, std::move(store)) {
  const SeriesConfig& config = model_->config();
  values_.resize(std::size_t(batch_ * config.ahead() * config.inputs * config.values_per_step()));
  sorted_.resize(values_.size());
}

std::span<const float> Forecaster::ahead(std::span<const float> windows) {
  const SeriesConfig& config = model_->config();
  const Feed feed(graph_->window, windows, {config.window, batch_, config.inputs});
  session_.run(std::span(&graph_->values, 1), std::span(&feed, 1));
  session_.read(graph_->values, std::span(values_));
  if (!std::ranges::all_of(values_, [](float value) { return std::isfinite(value); }))
    throw std::runtime_error("got forecasts from the model that are not finite, expected numbers");
  const std::int64_t rows = config.ahead(), inputs = config.inputs,
                     count = config.values_per_step();
  for (std::int64_t n = 0; n < batch_; ++n)
    for (std::int64_t k = 0; k < rows; ++k)
      for (std::int64_t i = 0; i < inputs; ++i) {
        const auto said = sorted_.begin() + ((n * rows + k) * inputs + i) * count;
        for (std::int64_t q = 0; q < count; ++q)
          said[q] = values_[std::size_t(((n * count + q) * inputs + i) * rows + k)];
        std::sort(said, said + count);
      }
  return sorted_;
}

std::vector<float> Forecaster::after(std::vector<float> windows) {
  const SeriesConfig& config = model_->config();
  const std::int64_t inputs = config.inputs, count = config.values_per_step(),
                     width = batch_ * inputs;  // numbers of a row of all windows
  std::vector<float> all(std::size_t(batch_ * config.horizon * count));
  for (std::int64_t done = 0; done < config.horizon; done += config.ahead()) {
    const std::span<const float> said = ahead(windows);
    const auto of = [&](std::int64_t n, std::int64_t k, std::int64_t i) {
      return said.begin() + ((n * config.ahead() + k) * inputs + i) * count;
    };
    for (std::int64_t k = 0; k < config.ahead(); ++k) {
      // All windows move on by a row.
      std::shift_left(windows.begin(), windows.end(), width);
      for (std::int64_t n = 0; n < batch_; ++n) {
        std::copy_n(of(n, k, 0), count, all.begin() + (n * config.horizon + done + k) * count);
        for (std::int64_t i = 0; i < inputs; ++i)
          windows[windows.size() - std::size_t(width - n * inputs - i)] =
              of(n, k, i)[std::ptrdiff_t(config.point())];
      }
    }
  }
  return all;
}

SeriesForecast::SeriesForecast(std::shared_ptr<const SeriesTask> model,
                               std::shared_ptr<VariableStore> store)
    : forecaster_(std::move(model), std::move(store), 1) {
  const SeriesConfig& config = forecaster_.model().config();
  window_.resize(std::size_t(config.window * config.inputs));
  in_order_.resize(window_.size());
}

void SeriesForecast::add(std::span<const float> row) {
  const SeriesConfig& config = forecaster_.model().config();
  std::ranges::copy(row, window_.begin() + oldest_ * config.inputs);
  oldest_ = (oldest_ + 1) % config.window;
  rows_ = std::min(rows_ + 1, config.window);
}

const ForecastStep& SeriesForecast::next() {
  if (given_ == steps_.size()) forecast();
  return steps_[given_++];
}

void SeriesForecast::forecast() {
  const SeriesConfig& config = forecaster_.model().config();
  const auto inputs = std::size_t(config.inputs), count = std::size_t(config.values_per_step());
  for (std::size_t at = 0; at < points_.size(); at += inputs)
    add(std::span(points_).subspan(at, inputs));
  if (rows_ < config.window)
    throw std::runtime_error(fmt::format("got {} rows of history, expected at least a window of {}",
                                         rows_, config.window));
  std::rotate_copy(window_.begin(), window_.begin() + oldest_ * config.inputs, window_.end(),
                   in_order_.begin());
  const std::span<const float> said = forecaster_.ahead(in_order_);
  points_.resize(std::size_t(config.ahead()) * inputs);
  for (std::size_t k = 0; k < points_.size(); ++k) points_[k] = said[k * count + config.point()];
  steps_.resize(std::size_t(config.ahead()));
  const SeriesColumn& target = forecaster_.model().learned().target();
  for (std::size_t k = 0; k < steps_.size(); ++k) {
    steps_[k].point = target.original(points_[k * inputs]);
    steps_[k].quantiles.clear();
    for (std::size_t q = 0; q < config.quantiles.size(); ++q)
      steps_[k].quantiles.push_back(target.original(said[k * inputs * count + q]));
  }
  given_ = 0;
}

}  // namespace unroll
