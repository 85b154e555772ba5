/// Fuzz target: the files from which a run is resumed, progress.json and the settings in
/// config.json, as members of one object. Accepted input is written and read back unchanged, and
/// its numbers can be used.
#include "host/cli/train_setting_flags.h"
#include "host/train/training_state.h"
#include "tests/fuzz/target.h"

namespace unroll::fuzz {
namespace {

/// Returns whether a run could continue with them.
bool check(const cli::TrainSettings& settings) {
  const nlohmann::json written = to_json(settings);
  const nlohmann::json read = parse_json(format_json(written, "settings"), "again");
  require(to_json(cli::settings_from(JsonObject(read, "again"))) == written, "settings come back");
  if (!accepts([&] { settings.check(); })) return false;
  const LanguageModelConfig model = settings.language_model();
  require(!model.hidden.empty() && model.hidden.size() <= 1000, "layers have a bound");
  const TrainingOptions options = settings.training_options();
  require(settings.batch_size > 0 && settings.bptt > 0 && options.epochs > 0, "sizes are not 0");
  return true;
}

void check(const Progress& progress, std::int64_t timesteps, std::int64_t bptt) {
  const nlohmann::json written = to_json(progress);
  const nlohmann::json read = parse_json(format_json(written, "progress"), "again");
  require(to_json(progress_from(JsonObject(read, "again"))) == written, "a progress comes back");
  if (!accepts([&] { check_place(progress, {timesteps, bptt}, "run"); })) return;
  const std::int64_t batches = (timesteps + bptt - 1) / bptt;
  require(progress.position <= timesteps, "the position is in the epoch");
  require((progress.epoch - 1) * batches + (progress.position + bptt - 1) / bptt == progress.step,
          "the steps are those of the epochs");
}

}  // namespace

std::vector<std::string> seeds() {
  Progress progress;
  const auto both = [&](const cli::TrainSettings& settings) {
    return nlohmann::json{
        {"progress", to_json(progress)}, {"training", to_json(settings)}, {"timesteps", 213}}
        .dump();
  };
  std::vector<std::string> seeds = {both({})};
  progress = {.step = 47, .epoch = 3, .position = 245, .evaluated_step = 40, .scheduled_save = 45};
  progress.best = progress.last = {.loss_sum = 200, .count = 100, .hits = 30};
  cli::TrainSettings settings;
  settings.nhid = {3, 4};
  settings.optimizer = "sgd";
  settings.lr = 20;
  seeds.push_back(both(settings));
  progress = {.step = 7, .epoch = 2, .position = 0};
  seeds.push_back(both(settings));
  return seeds;
}

}  // namespace unroll::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unroll;
  nlohmann::json value;
  if (!fuzz::accepts([&] { value = parse_json(fuzz::text_of(data, size), "text"); })) return 0;
  cli::TrainSettings settings;
  Progress progress;
  std::int64_t timesteps = 0;
  if (fuzz::accepts([&] {
        const JsonObject all(value, "text");
        settings = cli::settings_from(all.object("training"));
        progress = progress_from(all.object("progress"));
        timesteps = all.integer("timesteps", 1, std::int64_t(1) << 53);
      })) {
    if (fuzz::check(settings)) fuzz::check(progress, timesteps, settings.bptt);
  }
  return 0;
}
