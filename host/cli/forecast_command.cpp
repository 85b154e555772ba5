/// unroll forecast: what comes after a time series.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "host/cli/commands.h"
#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/cli/series_report.h"
#include "host/cli/values.h"
#include "host/infer/forecast.h"
#include "host/models/model_file.h"

namespace unroll::cli {
namespace {

struct ForecastFlags {
  std::string checkpoint, data;
  std::optional<std::int64_t> steps;
  bool csv = false;
  DeviceFlags device;
};

void run_forecast(const ForecastFlags& flags) {
  if (flags.steps) require_range("--steps", double(*flags.steps), 1, 1 << 30);
  const LoadedModel model = load_model(flags.checkpoint, flags.device.open(), warn);
  task_of<SeriesTask>(model);
  const auto task = std::dynamic_pointer_cast<const SeriesTask>(model.task);
  const std::int64_t horizon = task->config().horizon;
  const std::int64_t steps = flags.steps.value_or(horizon);
  const std::string file = flags.data.empty() ? model.description.corpus : flags.data;
  SeriesForecast forecast(task, model.store);
  SeriesReader reader(TextSource(file), task->learned());
  std::int64_t rows = 0;
  for (; const auto row = reader.next(); ++rows) forecast.add(*row);
  if (rows < task->config().window)
    throw std::runtime_error(fmt::format("{}: got {} rows, expected at least a window of {}", file,
                                         rows, task->config().window));
  note(fmt::format("history: {}, {} rows", file, rows));
  const ForecastLines lines(*task, flags.csv);
  const auto write = flags.csv ? print_raw : print;
  for (std::int64_t step = 1; step <= steps; ++step) {
    const ForecastStep& next = forecast.next();  // before the first line, so that it may fail
    if (step == 1) write(lines.header());
    write(lines.line(step, next));
  }
}

}  // namespace

void add_forecast(CLI::App* command, std::function<void()>& run) {
  auto flags = std::make_shared<ForecastFlags>();
  command->add_option("--checkpoint", flags->checkpoint, "Run folder (its best) or one checkpoint")
      ->required();
  command->add_option("--data", flags->data,
                      "CSV file with the history [that of the training]; its last rows are read");
  command->add_option(
      "--steps", flags->steps,
      "Rows to forecast [the model's horizon]; they read the forecasts before them, those "
      "of quantiles only after the horizon");
  command->add_flag("--csv", flags->csv, "CSV in place of a table");
  flags->device.add_to(*command);
  command->callback([flags, &run] { run = [flags] { run_forecast(*flags); }; });
}

}  // namespace unroll::cli
