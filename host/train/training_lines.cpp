#include "host/train/training_lines.h"

#include <fmt/format.h>

#include <cmath>

namespace unroll {

std::string interval_line(const Interval& i) {
  const double lr = i.learning_rate;
  return fmt::format(
      "| epoch {:3d} | {:5d}/{:5d} batches | lr {} | ms/batch {:5.2f} | loss {:5.2f} | ppl {:8.2f}",
      i.epoch, i.batch, i.batches,
      lr >= 0.1 ? fmt::format("{:.2f}", lr) : fmt::format("{:.6f}", lr), i.milliseconds, i.loss,
      std::exp(i.loss));
}

std::string epoch_line(std::int64_t epoch, double seconds, const Evaluation& valid) {
  return fmt::format(
      "| end of epoch {:3d} | time: {:5.2f}s | valid loss {:5.2f} | valid ppl {:8.2f}", epoch,
      seconds, valid.loss(), valid.perplexity());
}

std::string step_line(std::int64_t epoch, std::int64_t step, const Evaluation& valid) {
  return fmt::format("| epoch {:3d} | step {:8d} | valid loss {:5.2f} | valid ppl {:8.2f}", epoch,
                     step, valid.loss(), valid.perplexity());
}

std::int64_t epoch_of(const Progress& progress) {
  return progress.position == 0 && progress.step > 0 ? progress.epoch - 1 : progress.epoch;
}

nlohmann::ordered_json event(const char* name, const Progress& progress) {
  return {{"event", name}, {"step", progress.step}, {"epoch", epoch_of(progress)}};
}

nlohmann::ordered_json evaluation_event(const char* name, const Progress& progress,
                                        const Evaluation& evaluation) {
  nlohmann::ordered_json line = event(name, progress);
  line["loss"] = evaluation.loss();
  line["ppl"] = evaluation.perplexity();
  line["accuracy"] = evaluation.accuracy();
  return line;
}

}  // namespace unroll
