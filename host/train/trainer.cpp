#include "host/train/trainer.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "host/base/interrupted.h"
#include "host/base/setting_error.h"
#include "host/data/batch_queue.h"
#include "host/train/run_folder.h"
#include "host/train/step_watch.h"
#include "host/train/training_lines.h"
#include "host/train/training_step.h"
#include "unroll/backend.h"

namespace unroll {
namespace {

using Clock = std::chrono::steady_clock;

/// Steps that a run may go on for before it is known that one was refused.
constexpr std::int64_t kCheckInterval = 200;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// In nats per token: the ceiling asked for, else a little more than twice the loss of a model that
/// knows nothing.
float loss_ceiling(const LanguageModelConfig& model, const TrainingOptions& options) {
  const double nats = options.loss_ceiling.value_or(2 * std::log(double(model.vocabulary)) + 3);
  return nats > 0 ? float(nats) : std::numeric_limits<float>::infinity();
}

TrainingGraph::Options graph_options(const LanguageModelConfig& model,
                                     const TrainingOptions& options) {
  return {.batch = options.batch,
          .optimizer = options.optimizer,
          .learning_rate = options.schedule.learning_rate,
          .reduction = options.reduction,
          .guard = {.ceiling = loss_ceiling(model, options), .halts = halts(options)},
          .chunk_rows = options.chunk_rows,
          .initialization = options.initialization};
}

class Trainer {
 public:
  explicit Trainer(const TrainingRun& run)
      : run_(run),
        options_(run.options),
        description_(run.description),
        queue_(run.corpus.training_stream(options_.batch, options_.bptt)),
        schedule_(with_steps(options_, queue_.batches())),
        step_(run.model, graph_options(run.model, options_), run.backend, options_.seed),
        evaluator_(run.model, step_.store(), run.corpus.tokenizer.start(), run.stop),
        watch_({options_, run.observer, step_, progress_,
                [this](nlohmann::ordered_json line) { write_metrics(std::move(line)); }}) {
    run.lock.require_held();
    if (run.resume) {
      progress_ = step_.restore(*run.resume);
      check_place(progress_, {queue_.length(), options_.bptt}, run.resume->directory.string());
      step_.set_count(progress_.step);
      watch_.resume();
      schedule_.set_divisor(progress_.rate_divisor);
      last_saved_ = progress_.step;
      repair_run_folder(options_.run_dir, progress_.best.tokens > 0
                                              ? std::optional(progress_.best_step)
                                              : std::nullopt);
      run.resume->model = {};  // a copy that is not needed any more
      run.resume->state.reset();
    }
    prepare();
    description_.training[kAlgorithmKey] = to_string(run.backend->recurrent_algorithm());
    metrics_.emplace(options_.run_dir, progress_.metrics_bytes, run.observer.warn);
  }

  TrainingResult run() {
    try {
      // The first checkpoint proves that there is room, and a run that dies early resumes from it.
      if (!run_.resume) save({.scheduled = true});
      while (progress_.epoch <= options_.epochs && !out_of_patience()) run_epoch();
      return finish();
    } catch (const Interrupted&) {
      TrainingResult result = this->result();
      result.interrupted = true;
      result.checkpoint = save({});
      return result;
    }
  }

 private:
  struct Saving {
    bool best = false;
    bool scheduled = false;  // it would have been made without an interruption, too
  };

  static ScheduleOptions with_steps(const TrainingOptions& options, std::int64_t batches) {
    ScheduleOptions schedule = options.schedule;
    schedule.steps = options.epochs * batches;
    return schedule;
  }

  /// Takes the memory of a step and looks for room on the disk, or fails before the first step.
  void prepare() {
    const std::int64_t steps = std::min(options_.bptt, queue_.length());
    const TrainingMemory memory = step_.memory(steps);
    require_memory(memory);
    constexpr std::int64_t kOther = 1 << 20;  // headers and settings
    const std::int64_t checkpoint =
        memory.variables + std::int64_t(run_.corpus.tokenizer.vocabulary_text().size()) +
        (run_.model.tied ? run_.model.vocabulary * run_.model.embedding * 4 : 0) + kOther;
    const double free = require_room(options_.run_dir, checkpoint);
    // The checkpoints that are kept, the best, and the one being written.
    if (const int most = options_.keep + 2; !run_.resume && free < most * double(checkpoint))
      run_.observer.warn(
          fmt::format("{}: {:.1f} MB are free there, and up to {} checkpoints of {:.1f} MB will be",
                      options_.run_dir.string(), free * 1e-6, most, double(checkpoint) * 1e-6));
    run_.observer.note(fmt::format(
        "memory of a step: {:.1f} MB of parameters, {:.1f} MB of optimizer and carried state, "
        "{:.1f} MB of gradients and activations",
        double(memory.parameters) * 1e-6, double(memory.variables - memory.parameters) * 1e-6,
        double(memory.working) * 1e-6));
    step_.prepare(steps);
  }

  void require_memory(const TrainingMemory& memory) const {
    const std::size_t there = run_.backend->memory().available;
    if (std::size_t(memory.working) <= there) return;
    const auto available = std::int64_t(there);
    // Gradients do not depend on the batch. The gradient of a table that is only looked up in is a
    // few rows, which grow with the batch, as all else does.
    const std::int64_t table =
        run_.model.tied ? 0 : run_.model.vocabulary * run_.model.embedding * 4;
    const std::int64_t gradients = memory.parameters - table;
    const std::int64_t rows = std::max<std::int64_t>(available - gradients, 0) * options_.batch /
                              (memory.working - gradients);
    throw SettingError(
        fmt::format(
            "memory of a step: got {:.1f} MB available on {}, expected {:.1f} MB for gradients and "
            "activations; {}",
            double(available) * 1e-6, run_.backend->name(), double(memory.working) * 1e-6,
            rows > 0 ? fmt::format("the largest batch that fits is about {} streams", rows)
                     : "not even a batch of one stream fits"),
        {SettingName::kBatchSize});
  }

  // ---- the loop

  /// Runs the rest of the epoch, or until patience is exhausted.
  void run_epoch() {
    epoch_start_ = Clock::now();
    seek();
    start_interval_clock();
    for (;;) {
      // What is due is done here, before the next batch, so that it is done after resuming too.
      if (is_due(options_.eval_interval, progress_.evaluated_step)) validate_within_epoch();
      if (out_of_patience()) return;
      if (is_due(options_.save_interval, progress_.scheduled_save)) save({.scheduled = true});
      stop_if_asked(run_.stop);
      const Batch* batch = next_batch();
      if (!batch) return end_epoch();
      run_step(*batch);
    }
  }

  /// Every `interval` steps, except at the end of an epoch, which has its own.
  bool is_due(std::int64_t interval, std::int64_t last) const {
    return interval > 0 && progress_.step > 0 && progress_.step % interval == 0 &&
           progress_.step != last && progress_.position > 0 && progress_.position < queue_.length();
  }

  void seek() {
    if (options_.overfit_one_batch) {
      queue_.rewind();
      only_batch_ = queue_.next();
    } else {
      queue_.seek(progress_.position);
    }
    if (progress_.position > 0) return;
    step_.clear_carried_state();
    watch_.start_interval();
  }

  const Batch* next_batch() {
    if (!options_.overfit_one_batch) return queue_.next();
    return progress_.position < queue_.length() ? only_batch_ : nullptr;
  }

  void run_step(const Batch& batch) {
    const double rate =
        schedule_.learning_rate(progress_.epoch, progress_.step) * progress_.rate_scale;
    const bool verify =
        options_.verify_every > 0 && (progress_.step + 1) % options_.verify_every == 0;
    verify ? step_.run_verified(batch, rate) : step_.run(batch, rate);
    ++progress_.step;
    progress_.position = options_.overfit_one_batch
                             ? std::min(progress_.position + options_.bptt, queue_.length())
                             : batch.position_after;
    if (options_.overfit_one_batch) step_.clear_carried_state();
    ++timed_batches_;
    timed_tokens_ += batch.tokens;
    unsaved_ = true;
    if (!std::exchange(peak_noted_, true))
      run_.observer.note(fmt::format("peak memory on the device: {:.1f} MB",
                                     double(run_.backend->memory().peak) * 1e-6));
    if (progress_.step == 1 || progress_.step % kCheckInterval == 0 || interval_ends())
      check_steps();
    if (run_.observer.progress) run_.observer.progress(status());
    if (interval_ends()) log_interval(rate);
  }

  std::int64_t batch_of_epoch() const {
    return (progress_.position + options_.bptt - 1) / options_.bptt;
  }

  /// An epoch that is shorter than an interval is one.
  bool interval_ends() const {
    return batch_of_epoch() % options_.log_interval == 0 ||
           (progress_.position == queue_.length() && queue_.batches() < options_.log_interval);
  }

  /// Reads what the steps since the last check have done, and ends the run if its text has been
  /// overwritten. Only what is due by the run's own settings checks: an interruption must not
  /// decide when a run turns back.
  void check_steps() {
    run_.corpus.require_unchanged();
    watch_.check(last_saved_);
  }

  // ---- validation

  bool out_of_patience() const {
    return options_.patience > 0 && progress_.without_gain >= options_.patience;
  }

  /// Returns whether it is the best so far.
  bool validate() {
    check_steps();
    const Evaluation valid = evaluator_.evaluate(run_.corpus.validation_stream());
    valid.require_finite(
        fmt::format("training diverged in epoch {}: the validation text", progress_.epoch));
    const bool best = progress_.best.tokens == 0 || valid.loss() < progress_.best.loss();
    progress_.last = valid;
    progress_.evaluated_step = progress_.step;
    progress_.without_gain = best ? 0 : progress_.without_gain + 1;
    progress_.epoch_improved = progress_.epoch_improved || best;
    if (best) {
      progress_.best = valid;
      progress_.best_step = progress_.step;
      progress_.best_epoch = progress_.epoch;
      progress_.rollbacks = 0;
    }
    unsaved_ = true;
    nlohmann::ordered_json line = evaluation_event("valid", progress_, valid);
    line["best"] = best;
    write_metrics(line);
    return best;
  }

  void validate_within_epoch() {
    const auto start = Clock::now();
    const bool best = validate();
    run_.observer.log(step_line(progress_.epoch, progress_.step, progress_.last));
    interval_start_ += Clock::now() - start;  // it is not training time
    if (best) save({.best = true, .scheduled = true});
  }

  void end_epoch() {
    const bool best = validate();
    run_.observer.log(kRule);
    run_.observer.log(epoch_line(progress_.epoch, seconds_since(epoch_start_), progress_.last));
    run_.observer.log(kRule);
    // A plateau after training on one batch says nothing about the rate.
    if (!options_.overfit_one_batch) schedule_.end_epoch(progress_.epoch_improved);
    progress_.rate_divisor = schedule_.divisor();
    progress_.epoch_improved = false;
    ++progress_.epoch;
    progress_.position = 0;
    save({.best = best, .scheduled = true});
  }

  TrainingResult finish() {
    if (unsaved_) save({.scheduled = true});
    TrainingResult result = this->result();
    result.stopped_early = progress_.epoch <= options_.epochs;
    // The best, or the newest sound one if that is damaged.
    const LoadedModel best = load_model(options_.run_dir, run_.backend, run_.observer.warn);
    result.checkpoint = best.directory;
    run_.observer.log(kLastRule);
    if (run_.corpus.test.ids.empty()) {
      run_.observer.log(fmt::format("| End of training | valid loss {:5.2f} | valid ppl {:8.2f}",
                                    result.valid.loss(), result.valid.perplexity()));
    } else {
      result.test = Evaluator(run_.model, best.store, run_.corpus.tokenizer.start(), run_.stop)
                        .evaluate(run_.corpus.test_stream());
      run_.corpus.require_unchanged();
      result.test.require_finite("the test text");
      write_metrics(evaluation_event("test", progress_, result.test));
      run_.observer.log(fmt::format("| End of training | test loss {:5.2f} | test ppl {:8.2f}",
                                    result.test.loss(), result.test.perplexity()));
    }
    run_.observer.log(kLastRule);
    metrics_->sync();
    return result;
  }

  TrainingResult result() const {
    TrainingResult result;
    result.valid = progress_.best;
    result.best_epoch = progress_.best_epoch;
    result.epoch = epoch_of(progress_);
    result.steps = progress_.step;
    result.skipped = progress_.skipped;
    result.seconds = seconds();
    return result;
  }

  // ---- checkpoints

  std::filesystem::path save(const Saving& saving) {
    run_.lock.require_held();
    if (saving.scheduled) {
      check_steps();
      progress_.scheduled_save = progress_.step;
    } else {
      run_.corpus.require_unchanged();  // the steps since the last check may be of another text
    }
    ResumeState state{progress_, step_.state_variables()};
    state.progress.metrics_bytes = metrics_->sync();
    state.progress.seconds = seconds();
    ModelDescription description = description_;
    description.metrics = {{"epoch", epoch_of(progress_)}, {"step", progress_.step}};
    if (progress_.evaluated_step == progress_.step)
      description.metrics.update({{"valid_loss", progress_.last.loss()},
                                  {"valid_ppl", progress_.last.perplexity()},
                                  {"valid_accuracy", progress_.last.accuracy()}});
    const auto start = Clock::now();
    const std::filesystem::path directory = save_model(
        options_.run_dir, progress_.step, description, run_.corpus.tokenizer, *step_.store(),
        {.best = saving.best, .keep = options_.keep, .protect = progress_.scheduled_save}, &state);
    interval_start_ += Clock::now() - start;
    last_saved_ = progress_.step;
    unsaved_ = false;
    return directory;
  }

  // ---- lines

  /// Since the start of the run, over all its parts.
  double seconds() const { return progress_.seconds + seconds_since(part_start_); }

  void write_metrics(nlohmann::ordered_json line) {
    run_.lock.require_held();
    line["seconds"] = seconds();
    metrics_->write(line);
  }

  void start_interval_clock() {
    timed_batches_ = timed_tokens_ = 0;
    interval_start_ = Clock::now();
  }

  double tokens_per_second() const {
    return double(timed_tokens_) / seconds_since(interval_start_);
  }

  TrainingStatus status() const {
    const std::int64_t batches = queue_.batches(), batch = batch_of_epoch();
    const std::int64_t left = (options_.epochs - progress_.epoch + 1) * batches - batch;
    return {progress_.epoch,
            batch,
            batches,
            double(watch_.statistics().loss_mean),
            tokens_per_second(),
            double(left) * seconds_since(interval_start_) / double(timed_batches_)};
  }

  void log_interval(double rate) {
    const std::int64_t applied = watch_.counters().updates - progress_.interval_start;
    if (applied == 0) return start_interval_clock();  // all steps were refused
    const double loss = double(watch_.statistics().loss_sum) / double(applied);
    run_.observer.log(
        interval_line({progress_.epoch, batch_of_epoch(), queue_.batches(), rate,
                       1000 * seconds_since(interval_start_) / double(timed_batches_), loss}));
    nlohmann::ordered_json line = event("train", progress_);
    line["loss"] = loss;
    line["ppl"] = std::exp(loss);
    line["gradient_norm"] = watch_.statistics().norm;
    line["lr"] = rate;
    line["tokens_per_second"] = tokens_per_second();
    write_metrics(line);
    watch_.start_interval();
    start_interval_clock();
  }

  const TrainingRun& run_;
  const TrainingOptions& options_;
  ModelDescription description_;
  BatchQueue queue_;
  Schedule schedule_;
  TrainingStep step_;
  Evaluator evaluator_;
  Progress progress_;
  StepWatch watch_;
  std::optional<MetricsLog> metrics_;
  const Batch* only_batch_ = nullptr;  // of overfit_one_batch
  std::int64_t last_saved_ = 0;        // step
  bool unsaved_ = false;               // something has changed since
  bool peak_noted_ = false;
  std::int64_t timed_batches_ = 0, timed_tokens_ = 0;  // since interval_start_
  Clock::time_point part_start_ = Clock::now(), epoch_start_, interval_start_;
};

}  // namespace

TrainingResult train(const TrainingRun& run) {
  return Trainer(run).run();
}

}  // namespace unroll
