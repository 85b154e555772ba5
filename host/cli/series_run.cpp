/// unroll train --task series: a table in CSV, whose rows are in time order.
#include <fmt/format.h>

#include <memory>

#include "host/base/utf8.h"
#include "host/cli/output.h"
#include "host/cli/task_run.h"
#include "host/data/series_windows.h"
#include "host/models/series_task.h"

namespace unroll::cli {
namespace {

constexpr std::size_t kMostShown = 20;

/// What the series is like, before time is spent on it.
void report_series(const TrainingSeries& series) {
  const SeriesParts& parts = series.parts;
  note(fmt::format("series: {}, {} rows", series.name, parts.test));
  note(fmt::format("  {:<6} {:>9} rows", "train", parts.train));
  note(fmt::format("  {:<6} {:>9} rows", "valid", parts.valid - parts.train));
  note(fmt::format("  {:<6} {:>9} rows", "test", parts.test - parts.valid));
  const std::vector<SeriesColumn>& columns = series.learned.columns;
  for (std::size_t k = 0; k < std::min(columns.size(), kMostShown); ++k)
    note(fmt::format("  {:<6} {}: mean {:.6g}, deviation {:.6g} in the training part",
                     k == 0 ? "target" : "input", in_quotes(columns[k].name), columns[k].mean,
                     columns[k].deviation));
  if (columns.size() > kMostShown)
    note(fmt::format("  and {} more inputs", columns.size() - kMostShown));
  if (columns.size() > 1)
    note(
        fmt::format("  loss   of all {} columns in training, else of the target, so the two differ",
                    columns.size()));
}

}  // namespace

TaskRun prepare_series(const TrainSettings& settings, const DataSource& source) {
  SeriesOptions options = settings.series_options();
  options.fingerprint = source.fingerprint;
  TextSource text(source.path);
  text.stop_by(source.stop);
  const TrainingSeries read = read_training_series(std::move(text), options);
  report_series(read);
  const auto windows = [&](std::int64_t begin, std::int64_t end,
                           std::optional<std::uint64_t> seed = {}) {
    return std::make_unique<SeriesWindows>(read.series,
                                           SeriesWindows::Options{.begin = begin,
                                                                  .end = end,
                                                                  .window = options.window,
                                                                  .ahead = options.ahead,
                                                                  .batch = settings.batch_size,
                                                                  .every_row = seed.has_value(),
                                                                  .seed = seed});
  };
  TaskRun run{.task = std::make_shared<SeriesTask>(settings.series(), read.learned),
              .examples = {},
              .fingerprint = read.fingerprint};
  run.examples.train = windows(0, read.parts.train, std::uint64_t(settings.seed));
  run.examples.valid = windows(read.parts.train, read.parts.valid);
  if (read.parts.test > read.parts.valid)
    run.examples.test = windows(read.parts.valid, read.parts.test);
  return run;
}

bool describes_series(const TrainSettings& settings, const JsonObject& model) {
  return to_json(settings.series()) == to_json(series_config_from(model));
}

}  // namespace unroll::cli
