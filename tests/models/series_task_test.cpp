/// The forecaster's graphs against float64: what it says, losses and gradients; and what its files
/// say.
#include "host/models/series_task.h"

#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "host/models/checkpoint.h"
#include "host/models/feeds.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/recurrent_case.h"
#include "tests/support/series.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

struct SeriesCase {
  SeriesConfig config;
  std::int64_t batch = 3;
};

SeriesConfig series_config(const CellForm& form, std::vector<std::int64_t> hidden,
                           std::int64_t inputs, std::vector<double> quantiles) {
  SeriesConfig config = small_series(inputs, std::move(quantiles));
  config.cell = form.cell;
  config.reset = form.reset;
  config.input_gate = form.input_gate;
  config.layer_norm = form.layer_norm;
  if (form.projected) config.projection = std::ranges::min(hidden) * 3 / 4;
  config.hidden = std::move(hidden);
  return config;
}

std::vector<SeriesCase> small_series_cases() {
  std::vector<SeriesCase> all;
  for (const CellForm& form : kCellForms)
    for (const std::int64_t inputs : {1, 3}) {
      all.push_back({series_config(form, {4, 4}, inputs, {})});
      all.push_back({series_config(form, {4}, inputs, {0.1, 0.5, 0.75})});
    }
  return all;
}

std::vector<SeriesCase> wide_series_cases() {
  std::vector<SeriesCase> all;
  for (const std::int64_t batch : {31, 33}) {
    all.push_back({series_config(kCellForms[5], {33, 17}, 2, {}), batch});
    all.push_back({series_config(kCellForms[1], {257}, 1, {0.05, 0.95}), batch});
    all.back().config.horizon = 33;
  }
  return all;
}

RecurrentCase recurrent_case(const SeriesCase& c) {
  return {.name = describe_cell(c.config),
          .spec = c.config.recurrent(),
          .steps = c.config.window,
          .batch = c.batch,
          .input = c.config.inputs};
}

std::vector<Reals> series_parameters(const SeriesTask& model, std::uint64_t seed) {
  Random random(seed);
  const SeriesConfig& config = model.config();
  const double limit = 1 / std::sqrt(double(config.hidden[0]));
  std::vector<Reals> values;
  for (const VariableInfo& info : model.parameters()) {
    const Dims dims = dims_of(info.type.shape);
    if (info.name.find("gain") != info.name.npos)
      values.push_back(random.array(dims, 0.25, 0.75));
    else if (info.name.find("bias") != info.name.npos)
      values.push_back(random.array(dims, -0.5, 0.5));
    else  // the recurrence contracts
      values.push_back(random.array(dims, -limit, limit));
    if (config.layer_norm && info.name.find("bias_ih") != info.name.npos)
      spread_states(config.recurrent().gates(), values.back());
  }
  return values;
}

/// What is said after each row of each window [T N, Q V].
template <typename S>
reference::Array<S> reference_output(const SeriesTask& model,
                                     const std::vector<reference::Array<S>>& parameters,
                                     const Batch& batch) {
  const SeriesConfig& config = model.config();
  const RecurrentSpec spec = config.recurrent();
  const std::int64_t n = batch.columns[0].shape[1];
  reference::RecurrentInputs<S> in;
  in.x = reference::Array<S>({config.window, n, config.inputs});
  for (std::size_t k = 0; k < in.x.values.size(); ++k)
    in.x.values[k] = double(batch.columns[0].values[k]);
  auto next = parameters.begin();
  for (int layer = 0; layer < spec.layers(); ++layer) {
    in.h0.emplace_back(dims_of(spec.h_shape(layer, n)));
    if (spec.has_c()) in.c0.emplace_back(dims_of(spec.c_shape(layer, n)));
    reference::LayerWeights<S>& cell = in.weights.emplace_back();
    for (const CellParameter& p : cell_parameters(spec, layer, config.inputs)) p.of(cell) = *next++;
  }
  reference::Array<S> h = reference::recurrent(spec, in).y;
  h.dims = {config.window * n, spec.output()};
  const reference::Array<S>& weight = *next++;
  const reference::Array<S>& bias = *next++;
  EXPECT_EQ(next, parameters.end());
  return reference::zip(reference::matmul(h, weight, false, true), bias,
                        [](S a, S b) { return a + b; });
}

/// The loss of one row, over the values [begin, end) of a row's V targets.
template <typename S>
S reference_row_loss(const SeriesConfig& config, const reference::Array<S>& said, std::int64_t row,
                     const std::vector<double>& came) {
  const std::int64_t values = config.inputs * config.ahead(), used = std::int64_t(came.size());
  S sum = 0;
  for (std::int64_t v = 0; v < used; ++v) {
    if (config.quantiles.empty()) {
      const S error = said.at(row, v) - came[std::size_t(v)];
      sum += error * error / double(used);
    }
    for (std::size_t q = 0; q < config.quantiles.size(); ++q) {
      const S e = came[std::size_t(v)] - said.at(row, std::int64_t(q) * values + v);
      const double factor = reference::real(e) > 0 ? config.quantiles[q] : config.quantiles[q] - 1;
      sum += factor * e / double(used * std::int64_t(config.quantiles.size()));
    }
  }
  return sum;
}

std::vector<double> targets_of(const Batch& batch, std::int64_t place, std::int64_t count) {
  const std::int64_t width = batch.columns[1].shape[1];
  const auto begin = batch.columns[1].values.begin() + place * width;
  return {begin, begin + count};
}

/// A batch with one window less than it has room for.
Batch series_batch(const SeriesCase& c, bool every_row) {
  const SeriesConfig& config = c.config;
  const std::int64_t windows = std::max<std::int64_t>(c.batch - 1, 1);
  const std::int64_t rows = config.window + config.ahead() + windows - 1;
  SeriesWindows examples(waves(rows, config.inputs, 5), {.end = rows,
                                                         .window = config.window,
                                                         .ahead = config.ahead(),
                                                         .batch = c.batch,
                                                         .every_row = every_row});
  Batch batch = examples.largest();
  EXPECT_TRUE(examples.next(batch));
  EXPECT_EQ(batch.count, windows);
  return batch;
}

void write_parameters(const SeriesTask& model, const std::vector<Reals>& values,
                      VariableStore& store) {
  std::size_t k = 0;
  for (const VariableInfo& info : model.parameters())
    store.write<float>(info.name, floats(values[k++]));
}

/// The roundings of what is said: those of the state, which the decoder's weights pass on, and a
/// sum over the state. A squared error doubles them, and is of a size of some 4.
double said_ulps(const SeriesCase& c) {
  return recurrent_ulps(recurrent_case(c)) * 2 +
         2 * std::sqrt(double(c.config.recurrent().output())) + 8;
}

class SeriesTasks : public OnEachBackend {
 protected:
  void check_values(const SeriesCase& c) {
    const SeriesTask model(c.config);
    const std::vector<Reals> parameters = series_parameters(model, 3);
    const Batch batch = series_batch(c, false);
    const Reals said = reference_output(model, parameters, batch);
    const std::int64_t last = (c.config.window - 1) * c.batch;

    const auto forecast = model.forecast_graph(c.batch);
    Session asked(forecast->graph, backend_);
    write_parameters(model, parameters, asked.variables());
    const Feed feed(forecast->window, std::span<const float>(batch.columns[0].values),
                    batch.columns[0].shape);
    asked.run(std::span(&forecast->values, 1), std::span(&feed, 1));
    EXPECT_TRUE(close(asked.read(forecast->values),
                      {said.values.begin() + last * said.last(), said.values.end()}, said_ulps(c),
                      2));

    const auto evaluation = model.evaluation_graph(c.batch, "evaluate");
    EXPECT_TRUE(evaluation->carried.empty());
    EXPECT_FALSE(evaluation->hit);
    Session evaluated(evaluation->graph, backend_);
    write_parameters(model, parameters, evaluated.variables());
    std::vector<Feed> feeds;
    make_feeds(evaluation->inputs, batch, feeds);
    evaluated.run(evaluation->fetches, feeds);
    std::vector<double> losses;
    for (std::int64_t row = 0; row < c.batch; ++row)
      losses.push_back(row >= batch.count
                           ? 0
                           : reference_row_loss(c.config, said, last + row,
                                                targets_of(batch, row, c.config.ahead())));
    EXPECT_TRUE(close(evaluated.read(evaluation->loss), losses, 2 * said_ulps(c), 4));
  }

  /// One step of gradient descent with rate 1 gives the gradient.
  void check_gradients(const SeriesCase& c) {
    const SeriesTask model(c.config);
    const std::vector<Reals> parameters = series_parameters(model, 5);
    const Batch batch = series_batch(c, true);
    const std::vector<Reals> expected =
        reference::complex_step(parameters, [&](const std::vector<reference::Array<Complex>>& p) {
          const reference::Array<Complex> said = reference_output(model, p, batch);
          Complex sum = 0;
          for (std::int64_t t = 0; t < c.config.window; ++t)
            for (std::int64_t row = 0; row < batch.count; ++row)
              sum += reference_row_loss(
                  c.config, said, t * c.batch + row,
                  targets_of(batch, t * c.batch + row, c.config.inputs * c.config.ahead()));
          return sum / double(c.config.window * batch.count);
        });
    const auto training = model.training_graph(
        {.batch = c.batch, .optimizer = {}, .learning_rate = 1, .guard = {}, .initialization = {}});
    EXPECT_TRUE(training->carried.empty());
    Session session(training->graph, backend_);
    write_parameters(model, parameters, session.variables());
    std::vector<Feed> feeds;
    make_feeds(training->inputs, batch, feeds);
    session.run(std::span(&training->step, 1), feeds);
    std::size_t k = 0;
    for (const VariableInfo& info : model.parameters()) {
      SCOPED_TRACE(info.name);
      const std::vector<float> after = session.variables().read<float>(info.name);
      std::vector<double> slope;
      for (std::size_t i = 0; i < after.size(); ++i)
        slope.push_back(parameters[k].values[i] - double(after[i]));
      EXPECT_TRUE(close(slope, expected[k].values, recurrent_gradient_ulps(recurrent_case(c)) + 8));
      ++k;
    }
  }
};
UNROLL_FOR_EACH_BACKEND(SeriesTasks);

TEST_P(SeriesTasks, SayAndLoseWhatTheReferenceDoes) {
  for (const auto& cases : {small_series_cases(), wide_series_cases()})
    for (const SeriesCase& c : cases) {
      SCOPED_TRACE(SeriesTask(c.config).describe() + " N=" + std::to_string(c.batch));
      check_values(c);
    }
}

TEST_P(SeriesTasks, TrainByTheGradientOfTheReference) {
  for (const SeriesCase& c : small_series_cases()) {
    SCOPED_TRACE(SeriesTask(c.config).describe());
    check_gradients(c);
  }
}

TEST(SeriesTask, SaysWhatItIs) {
  SeriesConfig config = small_series();
  const auto model = series_task(config);
  EXPECT_EQ(model->name(), "series");
  EXPECT_EQ(model->unit(), "windows");
  EXPECT_EQ(model->describe(),
            "gru, 1 input, layers of 6 units, dropout 0, the next row from windows of 5 rows");
  EXPECT_EQ(parameter_count(*model), 3 * 6 * (1 + 6 + 2) + 6 + 1);
  EXPECT_EQ(model->gradient_bytes(), 4 * parameter_count(*model));
  EXPECT_EQ(model->loss_ceiling(), 10000);
  // In the target's own units: 4 is its deviation.
  std::vector<Measure> measures = model->measures({.loss_sum = 6, .count = 4});
  ASSERT_EQ(measures.size(), 1U);
  EXPECT_EQ(measures[0].name, "mse");
  EXPECT_EQ(measures[0].value, 1.5 * 16);
  EXPECT_TRUE(measures[0].of_loss);
  EXPECT_FALSE(series_task(small_series(2))->measures({.loss_sum = 6, .count = 4})[0].of_loss);
  const auto quantiles = series_task(small_series(2, {0.25, 0.6}));
  EXPECT_EQ(quantiles->describe(),
            "gru, 2 inputs, layers of 6 units, dropout 0, quantiles 0.25, 0.6 of the next 4 rows "
            "from windows of 5 rows");
  EXPECT_EQ(parameter_count(*quantiles), 3 * 6 * (2 + 6 + 2) + (6 + 1) * 2 * 2 * 4);
  measures = quantiles->measures({.loss_sum = 6, .count = 4});
  EXPECT_EQ(measures[0].name, "pinball");
  EXPECT_EQ(measures[0].value, 1.5 * 4);
  EXPECT_EQ(quantiles->loss_ceiling(), 100);
  EXPECT_EQ(quantiles->config().point(), 1U);
  EXPECT_EQ(small_series(1, {0.1, 0.5, 0.9}).point(), 1U);
  EXPECT_EQ(small_series(1, {0.9}).point(), 0U);
}

Checkpoint series_checkpoint(const SeriesTask& model) {
  Checkpoint checkpoint;
  checkpoint.directory = "run/step";
  checkpoint.config = model.to_json();
  checkpoint.config["task"] = task_to_json(model);
  checkpoint.files = model.files().others;
  return checkpoint;
}

TEST(SeriesTask, IsReadAsItIsWrittenAndAsNoOtherTask) {
  for (const SeriesCase& c : small_series_cases()) {
    const SeriesTask model(c.config, learned_waves(c.config.inputs));
    SCOPED_TRACE(model.describe());
    const Checkpoint checkpoint = series_checkpoint(model);
    const auto again = SeriesTask::read(checkpoint);
    EXPECT_EQ(again->to_json(), model.to_json());
    EXPECT_EQ(again->learned().to_text(), model.learned().to_text());
    EXPECT_EQ(again->config().recurrent(), c.config.recurrent());
    EXPECT_EQ(again->config().quantiles, c.config.quantiles);
    EXPECT_EQ(read_task(checkpoint)->name(), "series");
    EXPECT_EQ(model_parameters(checkpoint).size(), model.parameters().size());
    Checkpoint other = checkpoint;
    for (const char* task : {"language_model", "classify"}) {
      other.config["task"]["name"] = task;
      EXPECT_TRUE(
          contains(error_of<std::runtime_error>([&] { read_task(other); }), "type: got 'series'"));
    }
  }
}

TEST(SeriesTask, SaysWhatIsWrongWithItsFiles) {
  const SeriesTask model(small_series(2, {0.1, 0.9}), learned_waves(2));
  const auto error = [&](auto change) {
    Checkpoint checkpoint = series_checkpoint(model);
    change(checkpoint);
    return error_of<std::runtime_error>([&] { SeriesTask::read(checkpoint); });
  };
  const auto of_model = [&](const std::string& key, const nlohmann::json& value) {
    return error([&](Checkpoint& c) { c.config["model"][key] = value; });
  };
  EXPECT_EQ(error([](Checkpoint&) {}), "no exception");
  EXPECT_EQ(of_model("type", "classify"),
            "run/step/config.json: model: type: got 'classify', expected series");
  for (const char* key : {"inputs", "window", "horizon"})
    for (const nlohmann::json& bad : {nlohmann::json(0), nlohmann::json(1e9), nlohmann::json("3")})
      EXPECT_TRUE(contains(of_model(key, bad), key));
  EXPECT_TRUE(contains(of_model("directions", 2), "directions: got 2, expected 1 to 1"));
  for (const char* bad : {"[]", "[0.5,0.5]", "[0.9,0.1]", "[0]", "[1]", "[-0.1]", "[1.5]",
                          "[\"a\"]", "0.5", "[0.99999999999]"})
    EXPECT_TRUE(contains(of_model("quantiles", nlohmann::json::parse(bad)), "quantile")) << bad;
  for (const char* key : {"type", "inputs", "window", "horizon", "cell", "hidden"})
    EXPECT_TRUE(contains(error([&](Checkpoint& c) { c.config["model"].erase(key); }), key));
  EXPECT_EQ(error([](Checkpoint& c) { c.files.clear(); }), "run/step: series.json is missing");
  EXPECT_EQ(error([](Checkpoint& c) { c.files["series.json"] = learned_waves(3).to_text(); }),
            "run/step/series.json: got 3 columns, expected 2 as in config.json");
  EXPECT_TRUE(contains(error([](Checkpoint& c) { c.files["series.json"] = "{"; }),
                       "run/step/series.json: "));
  EXPECT_THROW(SeriesTask(small_series(2), learned_waves(1)), std::invalid_argument);
}

}  // namespace
}  // namespace unroll::test
