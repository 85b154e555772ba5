#include "host/models/series_task.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <stdexcept>
#include <utility>

#include "host/base/utf8.h"
#include "host/models/checkpoint.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

constexpr const char* kSeriesType = "series";
constexpr const char* kSeriesFile = "series.json";

/// One graph's, as the columns of a batch.
struct SeriesPlaceholders {
  Tensor window;   // [T, N, I]
  Tensor targets;  // [S N, I ahead]
  Tensor weights;  // [S N]

  std::vector<Tensor> list() const { return {window, targets, weights}; }
};

Tensor window_placeholder(Graph& graph, const SeriesConfig& config, std::int64_t batch) {
  return graph.placeholder("window", {config.window, batch, config.inputs});
}

/// `rows`: S N.
SeriesPlaceholders series_placeholders(Graph& graph, const SeriesConfig& config, std::int64_t batch,
                                       std::int64_t rows) {
  return {window_placeholder(graph, config, batch),
          graph.placeholder("targets", {rows, config.inputs * config.ahead()}),
          graph.placeholder("weights", {rows})};
}

std::unique_ptr<Decoder> declare_decoder(Graph& graph, const SeriesConfig& config,
                                         const Initialization& how) {
  const DecoderShape shape{config.recurrent().output(), config.inputs * config.ahead()};
  if (config.quantiles.empty()) return std::make_unique<LinearDecoder>(graph, shape, how);
  return std::make_unique<QuantileDecoder>(graph, shape, config.quantiles, how);
}

/// The parameters in the order of the model.
struct SeriesLayers {
  EncoderParameters encoder;
  std::unique_ptr<Decoder> decoder;

  SeriesLayers(Graph& graph, const SeriesConfig& config, const Initialization& how = {})
      : encoder(declare_encoder(graph, config, how)),
        decoder(declare_decoder(graph, config, how)) {}

  /// What the decoder reads: after every row in training [T N, R], else after the last [N, R].
  Tensor encode_window(const SeriesConfig& config, Tensor window, const Dropping& dropping) const {
    const RecurrentResult result = encode(config, encoder, {.values = window}, dropping);
    const Tensor h = dropping.training ? result.y : result.h_n.back();
    return drop_output(config, reshape(h, {kOpen, config.recurrent().output()}), dropping);
  }
};

/// The loss of each row, of what is said of the target only.
Tensor target_loss(const SeriesConfig& config, Tensor output, Tensor targets) {
  const std::int64_t values = config.inputs * config.ahead();
  std::vector<Tensor> parts;
  for (std::int64_t q = 0; q < config.values_per_step(); ++q)
    parts.push_back(slice(output, 1, q * values, q * values + config.ahead()));
  const Tensor said = parts.size() == 1 ? parts[0] : concat(parts, 1);
  const Tensor came = slice(targets, 1, 0, config.ahead());
  return config.quantiles.empty() ? squared_error(said, came)
                                  : pinball_loss(said, came, config.quantiles);
}

}  // namespace

void check_quantiles(const std::vector<double>& quantiles) {
  bool sound = quantiles.size() <= SeriesConfig::kMostQuantiles;
  double last = 0;
  for (const double quantile : quantiles) {
    sound = sound && quantile > last && float(quantile) < 1;
    last = quantile;
  }
  if (!sound)
    throw std::invalid_argument(
        fmt::format("got {}, expected at most {} rising numbers between 0 and 1",
                    fmt::join(quantiles, ","), SeriesConfig::kMostQuantiles));
}

void SeriesConfig::check() const {
  EncoderConfig::check();
  const auto require = [](const char* what, std::int64_t value, std::int64_t low,
                          std::int64_t high) {
    if (value < low || value > high)
      throw std::invalid_argument(
          fmt::format("{}: got {}, expected {} to {}", what, value, low, high));
  };
  require("inputs", inputs, 1, kMostColumns);
  require("directions", directions, 1, 1);
  require("window", window, 1, kMostWindow);
  require("horizon", horizon, 1, kMostHorizon);
  try {
    check_quantiles(quantiles);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(std::string("quantiles: ") + error.what());
  }
}

std::size_t SeriesConfig::point() const {
  std::size_t nearest = 0;
  for (std::size_t k = 1; k < quantiles.size(); ++k)
    if (std::abs(quantiles[k] - 0.5) < std::abs(quantiles[nearest] - 0.5)) nearest = k;
  return nearest;
}

nlohmann::json to_json(const SeriesConfig& config) {
  nlohmann::json model = {
      {"type", kSeriesType}, {"window", config.window}, {"horizon", config.horizon}};
  if (!config.quantiles.empty()) model["quantiles"] = config.quantiles;
  write_real_encoder(config, model);
  return model;
}

SeriesConfig series_config_from(const JsonObject& model) {
  if (model.string("type") != kSeriesType)
    throw std::runtime_error(fmt::format("{}: type: got {}, expected {}", model.where(),
                                         in_quotes(model.string("type")), kSeriesType));
  SeriesConfig config;
  read_real_encoder(model, config);
  config.window = model.integer("window", 1, SeriesConfig::kMostWindow);
  config.horizon = model.integer("horizon", 1, SeriesConfig::kMostHorizon);
  if (model.has("quantiles")) {
    const nlohmann::json& list = model.at("quantiles");
    if (!list.is_array() || list.empty() || list.size() > SeriesConfig::kMostQuantiles)
      throw std::runtime_error(fmt::format("{}: quantiles: expected a list of 1 to {}",
                                           model.where(), SeriesConfig::kMostQuantiles));
    for (const nlohmann::json& item : list) {
      const nlohmann::json member = {{"quantile", item}};
      config.quantiles.push_back(
          JsonObject(member, model.where() + ": quantiles").number("quantile", 0, 1));
    }
  }
  try {
    config.check();
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(model.where() + ": " + error.what());
  }
  return config;
}

SeriesTask::SeriesTask(SeriesConfig config) : config_(std::move(config)) {
  config_.check();
}

SeriesTask::SeriesTask(SeriesConfig config, LearnedSeries learned)
    : config_(std::move(config)), learned_(std::move(learned)) {
  config_.check();
  if (config_.inputs != std::ssize(learned_.columns))
    throw std::invalid_argument(fmt::format("series: got {} columns, expected {}",
                                            learned_.columns.size(), config_.inputs));
}

std::shared_ptr<const SeriesTask> SeriesTask::read(const Checkpoint& checkpoint) {
  const JsonObject json(checkpoint.config, (checkpoint.directory / "config.json").string());
  SeriesConfig config = series_config_from(json.object("model"));
  const auto text = checkpoint.files.find(kSeriesFile);
  if (text == checkpoint.files.end())
    throw std::runtime_error(
        fmt::format("{}: {} is missing", checkpoint.directory.string(), kSeriesFile));
  const std::string file = (checkpoint.directory / kSeriesFile).string();
  LearnedSeries learned = LearnedSeries::parse(text->second, file);
  if (std::ssize(learned.columns) != config.inputs)
    throw std::runtime_error(fmt::format("{}: got {} columns, expected {} as in config.json", file,
                                         learned.columns.size(), config.inputs));
  return std::make_shared<const SeriesTask>(std::move(config), std::move(learned));
}

std::shared_ptr<const SeriesTask> SeriesTask::configured(const JsonObject& model) {
  return std::make_shared<const SeriesTask>(series_config_from(model));
}

std::vector<VariableInfo> SeriesTask::parameters() const {
  Graph graph;
  const SeriesLayers layers(graph, config_);
  return variables_of(graph);
}

std::int64_t SeriesTask::gradient_bytes() const {
  return parameter_count(*this) * std::int64_t(sizeof(float));
}

std::string SeriesTask::describe() const {
  const std::string what = config_.quantiles.empty()
                               ? "the next row"
                               : fmt::format("quantiles {} of the next {} rows",
                                             fmt::join(config_.quantiles, ", "), config_.horizon);
  return fmt::format("{}, {} from windows of {} rows", describe_encoder(config_), what,
                     config_.window);
}

TrainingPart SeriesTask::training_part(Graph& graph, const TrainingPartOptions& options) const {
  const SeriesPlaceholders in =
      series_placeholders(graph, config_, options.batch, config_.window * options.batch);
  const SeriesLayers layers(graph, config_, options.initialization);
  LossOptions how{.reduction = options.reduction, .batch = options.batch};
  // A batch counts windows, and a mean is over all rows of each.
  if (options.weight) how.weight = options.weight / double(config_.window);
  const DecoderLoss loss = layers.decoder->loss(
      layers.encode_window(config_, in.window, {.training = true, .place = options.place}),
      in.targets, in.weights, how);
  return {.inputs = in.list(), .cost = loss.cost};
}

std::unique_ptr<EvaluationGraph> SeriesTask::evaluation_graph(std::int64_t batch,
                                                              const std::string& /*name*/) const {
  auto made = std::make_unique<EvaluationGraph>();
  const SeriesPlaceholders in = series_placeholders(made->graph, config_, batch, batch);
  const SeriesLayers layers(made->graph, config_);
  const Tensor output = layers.decoder->output(layers.encode_window(config_, in.window, {}));
  made->loss = target_loss(config_, output, in.targets) * in.weights;
  made->fetches = {made->loss};
  made->inputs = in.list();
  return made;
}

std::unique_ptr<ForecastGraph> SeriesTask::forecast_graph(std::int64_t batch) const {
  auto made = std::make_unique<ForecastGraph>();
  made->window = window_placeholder(made->graph, config_, batch);
  const SeriesLayers layers(made->graph, config_);
  made->values = layers.decoder->output(layers.encode_window(config_, made->window, {}));
  return made;
}

void SeriesTask::initialize(const Initialization& how, VariableStore& store) const {
  initialize_forget_bias(config_, how, store);
}

double SeriesTask::loss_ceiling() const {
  // An error of 100 deviations in all values of a batch. A series has a value that far from its
  // mean only if it has 10,000 rows or more, and then few.
  constexpr double kDeviations = 100;
  return config_.quantiles.empty() ? kDeviations * kDeviations : kDeviations;
}

std::vector<Measure> SeriesTask::measures(const Evaluation& evaluation) const {
  const double unit = learned_.columns.empty() ? 1 : learned_.target().deviation;
  const bool squared = config_.quantiles.empty();
  const double value = evaluation.loss() * unit * (squared ? unit : 1);
  return {{.name = squared ? "mse" : "pinball",
           .value = value,
           .text = fmt::format("{:9.4g}", value),
           .of_loss = config_.inputs == 1}};  // a training loss is that of all columns
}

nlohmann::json SeriesTask::to_json() const {
  return {{"model", unroll::to_json(config_)}};
}

TaskFiles SeriesTask::files() const {
  TaskFiles files;
  files.others[kSeriesFile] = learned_.to_text();
  return files;
}

TensorMetadata SeriesTask::metadata() const {
  TensorMetadata metadata = encoder_metadata(config_);
  metadata["unroll"] = to_json().dump();
  return metadata;
}

}  // namespace unroll
