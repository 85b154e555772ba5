#include "host/cli/train_output.h"

#include <fmt/format.h>

#include <stdexcept>
#include <utility>
#include <vector>

#include "host/cli/output.h"
#include "host/cli/signals.h"
#include "host/train/training_lines.h"

namespace unroll::cli {
namespace {

/// Adds "valid_loss" and the task's measures.
void add_measures(Json& json, const std::string& split, const Task& task,
                  const Evaluation& evaluation) {
  json[split + "_loss"] = evaluation.loss();
  for (const Measure& measure : task.measures(evaluation))
    json[split + "_" + measure.name] = measure.value;
}

}  // namespace

void TrainOutput::result(const std::string& line) {
  progress_.clear();
  if (json_) return note(line);
  try {
    print(line + "\n");
  } catch (const Stopped&) {
    fail("stdout cannot be written: it has no reader any more");
  } catch (const std::runtime_error& error) {
    fail(error.what());
  }
}

void TrainOutput::note_line(const std::string& line) {
  progress_.clear();
  note(line);
}

void TrainOutput::warn_line(const std::string& line) {
  progress_.clear();
  warn(line);
}

void report_model(const Task& task, bool verbose) {
  note("model: " + task.describe());
  if (verbose)
    for (const VariableInfo& info : task.parameters())
      note(fmt::format("  {:<24} {:>15} {:>13}", info.name, to_string(info.type.shape),
                       info.type.shape.elements()));
  // By the part of the model, in its order: encoder, rnn, decoder.
  std::vector<std::pair<std::string, std::int64_t>> parts;
  for (const VariableInfo& info : task.parameters()) {
    const std::string part = info.name.substr(0, info.name.find('.'));
    if (parts.empty() || parts.back().first != part) parts.emplace_back(part, 0);
    parts.back().second += info.type.shape.elements();
  }
  std::string sum;
  for (const auto& [part, count] : parts)
    sum += fmt::format("{}{} {}", sum.empty() ? "" : " + ", part, count);
  note(fmt::format("parameters: {} = {}", sum, parameter_count(task)));
}

void report(const TrainFlags& flags, const TrainingResult& result, const Task& task,
            TrainOutput& output) {
  if (flags.quiet && !flags.json) {
    const bool tested = result.test.count > 0;
    const Evaluation& last = tested ? result.test : result.valid;
    output.result(last_line(tested ? "test" : "valid", {last.loss(), task.measures(last)}));
  }
  if (result.stopped_early)
    note(fmt::format("stopped in epoch {}: no better validation for as long as --patience says",
                     result.epoch));
  const std::string saved = "saved: " + result.checkpoint.string();
  flags.quiet && !flags.json ? output.result(saved) : note(saved);
  if (!flags.json) return;
  Json json;
  add_measures(json, "valid", task, result.valid);
  if (result.test.count > 0) add_measures(json, "test", task, result.test);
  json.update({{"best_epoch", result.best_epoch},
               {"steps", result.steps},
               {"skipped_steps", result.skipped},
               {"parameters", parameter_count(task)},
               {"seconds", result.seconds},
               {"checkpoint", result.checkpoint.string()}});
  print_json(json);
}

}  // namespace unroll::cli
