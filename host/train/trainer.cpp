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
#include "host/base/strict_json.h"
#include "host/data/batch_queue.h"
#include "host/models/evaluate.h"
#include "host/models/share_variables.h"
#include "host/train/run_folder.h"
#include "host/train/step_watch.h"
#include "host/train/tensorboard.h"
#include "host/train/training_checkpoint.h"
#include "host/train/training_lines.h"
#include "host/train/training_step.h"
#include "unroll/backend.h"

namespace unroll {
namespace {

using Clock = std::chrono::steady_clock;

/// Steps that a run may go on for before it is known that one was refused.
constexpr std::int64_t kCheckInterval = 200;
/// Epochs without a better validation after which the run says so.
constexpr std::int64_t kUneventful = 5;
/// How old the loss of the progress may become. Reading it makes a GPU wait for the host.
constexpr std::chrono::milliseconds kLossAge{200}, kLossAgeOnGpu{1000};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Ids of words come first. A tagger's characters, of which there are more, are not counted.
std::int64_t lookups(const Batch& largest) {
  const Column& first = largest.columns.front();
  return first.dtype == DType::kInt32 ? first.shape.elements() : 0;
}

TrainingGraphOptions graph_options(const Task& task, const TrainingOptions& options,
                                   std::int64_t batch, const Batch& largest) {
  const double most = options.loss_ceiling.value_or(task.loss_ceiling());
  const float ceiling = most > 0 ? float(most) : std::numeric_limits<float>::infinity();
  return {.batch = batch,
          .lookups = lookups(largest),
          .optimizer = options.optimizer,
          .learning_rate = options.schedule.learning_rate,
          .reduction = options.reduction,
          .guard = {.ceiling = ceiling, .halts = halts(options)},
          .chunk_rows = options.chunk_rows,
          .initialization = options.initialization};
}

/// What a checkpoint holds beside the variables.
std::int64_t other_bytes(const Task& task) {
  const TaskFiles files = task.files();
  auto bytes = std::int64_t(files.vocabulary.value_or("").size());
  for (const auto& [name, text] : files.others) bytes += std::int64_t(text.size());
  for (const auto& [name, parameter] : task.copies())
    for (const VariableInfo& info : task.parameters())
      if (info.name == parameter) bytes += info.type.shape.elements() * std::int64_t(sizeof(float));
  constexpr std::int64_t kHeaders = 1 << 20;  // and settings
  return bytes + kHeaders;
}

class Trainer {
 public:
  explicit Trainer(const TrainingRun& run)
      : run_(run),
        options_(run.options),
        description_(run.description),
        batch_size_(run.examples.train->batch_size()),
        queue_(*run.examples.train),
        schedule_(with_steps(options_, queue_.batches())),
        step_({run.task, run.backend, options_.seed, shards_of(run, batch_size_)},
              graph_options(run.task, options_, batch_size_, queue_.largest())),
        evaluator_(run.task, step_.store(), evaluator_options()),
        watch_({options_, run.observer, step_, progress_,
                [this](nlohmann::ordered_json line) { write_metrics(std::move(line)); }, leads()}) {
    if (run.lock) run.lock->require_held();
    if (run.resume) restore(*run.resume);
    if (run.initial) step_.begin_with(*run.initial);
    if (resumed_ = share_progress(); resumed_) go_on();
    prepare();
    description_.training[kAlgorithmKey] = to_string(run.backend->recurrent_algorithm());
    if (leads()) open_logs();
  }

  TrainingResult run() {
    try {
      // The first checkpoint proves that there is room, and a run that dies early resumes from it.
      if (!resumed_) save({.scheduled = true});
      if (resumed_ && !run_.changes.empty()) record_changes();
      loop_start_ = Clock::now();
      loop_step_ = progress_.step;
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

  /// Whether this rank writes the run's files.
  bool leads() const { return !run_.communicator || run_.communicator->leads(); }

  static StepShards shards_of(const TrainingRun& run, std::int64_t batch) {
    const std::int64_t shards = run.options.shards;
    const int ranks = run.communicator ? run.communicator->size() : 1;
    if (shards < ranks || shards > batch)
      throw std::invalid_argument(fmt::format(
          "shards: got {} for {} ranks and batches of {} rows, expected at least a shard for each "
          "rank and a row for each shard",
          shards, ranks, batch));
    return {shards, ranks > 1 ? run.communicator : nullptr, run.exchange};
  }

  EvaluatorOptions evaluator_options() const {
    return {run_.stop, options_.shards, shards_of(run_, batch_size_).communicator};
  }

  // ---- the start

  void restore(Checkpoint& checkpoint) {
    progress_ = step_.restore(checkpoint);
    check_place(progress_, {queue_.length(), queue_.stride()}, checkpoint.directory.string());
    repair_run_folder(options_.run_dir,
                      progress_.best.count > 0 ? std::optional(progress_.best_step) : std::nullopt);
    checkpoint.model = {};  // a copy that is not needed any more
    checkpoint.state.reset();
  }

  /// Tells all ranks where rank 0 is; returns whether the run goes on from a checkpoint.
  bool share_progress() {
    if (!run_.communicator) return run_.resume;
    constexpr const char *kName = "progress of rank 0", *kParameters = "parameters";
    const std::string text =
        run_.communicator->broadcast(run_.resume    ? format_json(to_json(progress_), kName)
                                     : run_.initial ? kParameters
                                                    : "");
    if (text == kParameters) step_.share();
    if (text.empty() || text == kParameters) return false;
    const nlohmann::json json = parse_json(text, kName);
    progress_ = progress_from(JsonObject(json, kName));
    step_.share();
    return true;
  }

  void go_on() {
    step_.set_count(progress_.step);
    watch_.resume();
    if (run_.changes.contains("lr")) progress_.rate_divisor = progress_.rate_scale = 1;
    schedule_.set_divisor(progress_.rate_divisor);
    last_saved_ = progress_.step;
  }

  /// The checkpoint gets the new settings at once: killed a moment later, the run goes on with
  /// them.
  void record_changes() {
    nlohmann::ordered_json line = event("settings", progress_);
    line["changes"] = run_.changes;
    write_metrics(std::move(line));
    save({});
  }

  void open_logs() {
    if (run_.overwrite && !resumed_) remove_run(options_.run_dir);
    metrics_.emplace(options_.run_dir, progress_.metrics_bytes, run_.observer.warn);
    if (options_.tensorboard) tensorboard_.emplace(options_.run_dir);
  }

  static ScheduleOptions with_steps(const TrainingOptions& options, std::int64_t batches) {
    ScheduleOptions schedule = options.schedule;
    schedule.steps = options.epochs * batches;
    return schedule;
  }

  /// Takes the memory of a step and looks for room on the disk, or fails before the first step.
  void prepare() {
    const TrainingMemory memory = step_.memory(queue_.largest());
    require_memory(memory);
    if (leads()) look_for_room(memory.variables + other_bytes(run_.task));
    run_.observer.note(fmt::format(
        "memory of a step: {:.1f} MB of parameters, {:.1f} MB of optimizer and carried state, "
        "{:.1f} MB of gradients and activations",
        double(memory.parameters) * 1e-6, double(memory.variables - memory.parameters) * 1e-6,
        double(memory.working) * 1e-6));
    step_.prepare(queue_.largest());
  }

  void look_for_room(std::int64_t checkpoint) const {
    const double free = require_room(options_.run_dir, checkpoint);
    // The checkpoints that are kept, the best, and the one being written.
    if (const int most = options_.keep + 2; !resumed_ && free < most * double(checkpoint))
      run_.observer.warn(
          fmt::format("{}: {:.1f} MB are free there, and up to {} checkpoints of {:.1f} MB will be",
                      options_.run_dir.string(), free * 1e-6, most, double(checkpoint) * 1e-6));
  }

  void require_memory(const TrainingMemory& memory) const {
    const std::size_t there = run_.backend->memory().available;
    if (std::size_t(memory.working) <= there) return;
    const auto available = std::int64_t(there);
    // Gradients do not depend on the batch. All else grows with it.
    const std::int64_t gradients = run_.task.gradient_bytes();
    const std::int64_t rows = std::max<std::int64_t>(available - gradients, 0) * batch_size_ /
                              (memory.working - gradients);
    throw SettingError(
        fmt::format(
            "memory of a step: got {:.1f} MB available on {}, expected {:.1f} MB for gradients and "
            "activations; {}",
            double(available) * 1e-6, run_.backend->name(), double(memory.working) * 1e-6,
            rows > 0 ? fmt::format("the largest batch size that fits is about {}", rows)
                     : "not even a batch size of 1 fits"),
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
      if (run_.communicator ? step_.stop_agreed() : stop_wanted()) throw Interrupted("interrupted");
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
      queue_.seek(1, 0);
      only_batch_ = queue_.next();
    } else {
      queue_.seek(progress_.epoch, progress_.position);
    }
    if (progress_.position > 0) return;
    step_.clear_carried_state();
    watch_.start_interval();
  }

  const Batch* next_batch() {
    if (!options_.overfit_one_batch) return queue_.next();
    return progress_.position < queue_.length() ? only_batch_ : nullptr;
  }

  /// On this rank.
  bool stop_wanted() const { return run_.stop && run_.stop->load(std::memory_order_relaxed); }

  void run_step(const Batch& batch) {
    const double rate =
        schedule_.learning_rate(progress_.epoch, progress_.step) * progress_.rate_scale;
    const bool verify =
        options_.verify_every > 0 && (progress_.step + 1) % options_.verify_every == 0;
    const bool stop = stop_wanted();
    verify ? step_.run_verified(batch, rate, stop) : step_.run(batch, rate, stop);
    ++progress_.step;
    progress_.position = options_.overfit_one_batch
                             ? std::min(progress_.position + queue_.stride(), queue_.length())
                             : batch.position_after;
    if (options_.overfit_one_batch) step_.clear_carried_state();
    ++timed_batches_;
    timed_items_ += batch.count;
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
    return (progress_.position + queue_.stride() - 1) / queue_.stride();
  }

  /// An epoch that is shorter than an interval is one.
  bool interval_ends() const {
    return batch_of_epoch() % options_.log_interval == 0 ||
           (progress_.position == queue_.length() && queue_.batches() < options_.log_interval);
  }

  /// Reads what the steps since the last check have done, and ends the run if its data have been
  /// overwritten. Only what is due by the run's own settings checks: an interruption must not
  /// decide when a run turns back.
  void check_steps() {
    run_.examples.require_unchanged();
    watch_.check(last_saved_);
  }

  // ---- validation

  bool out_of_patience() const {
    return options_.patience > 0 && progress_.without_gain >= options_.patience;
  }

  /// Returns whether it is the best so far.
  bool validate() {
    check_steps();
    const Evaluation valid = evaluator_.evaluate(*run_.examples.valid);
    const Measured measured = measure(
        valid, fmt::format("training diverged in epoch {}: the validation data", progress_.epoch));
    const bool best = progress_.best.count == 0 || valid.loss() < progress_.best.loss();
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
    nlohmann::ordered_json line = evaluation_event("valid", progress_, measured);
    line["best"] = best;
    write_metrics(line);
    return best;
  }

  void validate_within_epoch() {
    const auto start = Clock::now();
    const bool best = validate();
    run_.observer.log(step_line(progress_.epoch, progress_.step, measured(progress_.last)));
    if (run_.observer.validated) run_.observer.validated(step_.store());
    interval_start_ += Clock::now() - start;  // it is not training time
    if (best) save({.best = true, .scheduled = true});
  }

  void end_epoch() {
    const bool best = validate();
    run_.observer.log(kRule);
    run_.observer.log(
        epoch_line(progress_.epoch, seconds_since(epoch_start_), measured(progress_.last)));
    run_.observer.log(kRule);
    if (run_.observer.validated) run_.observer.validated(step_.store());
    report_no_gain();
    // A plateau after training on one batch says nothing about the rate.
    if (!options_.overfit_one_batch) schedule_.end_epoch(progress_.epoch_improved);
    progress_.rate_divisor = schedule_.divisor();
    progress_.epoch_improved = false;
    ++progress_.epoch;
    progress_.position = 0;
    save({.best = best, .scheduled = true});
  }

  void report_no_gain() const {
    const std::int64_t epochs = progress_.epoch - progress_.best_epoch;
    if (run_.observer.not_improved && options_.patience == 0 && epochs > 0 &&
        epochs % kUneventful == 0)
      run_.observer.not_improved(epochs);
  }

  TrainingResult finish() {
    if (unsaved_) save({.scheduled = true});
    TrainingResult result = this->result();
    result.stopped_early = progress_.epoch <= options_.epochs;
    const std::shared_ptr<VariableStore> best = load_best(result.checkpoint);
    run_.observer.log(kLastRule);
    if (run_.examples.test) {
      result.test = Evaluator(run_.task, best, evaluator_options()).evaluate(*run_.examples.test);
      run_.examples.require_unchanged();
      const Measured test = measure(result.test, "the test data");
      write_metrics(evaluation_event("test", progress_, test));
      run_.observer.log(last_line("test", test));
    } else {
      run_.observer.log(last_line("valid", measured(result.valid)));
    }
    run_.observer.log(kLastRule);
    if (leads()) metrics_->sync();
    return result;
  }

  /// The model of the best checkpoint, or of the newest sound one if that is damaged.
  std::shared_ptr<VariableStore> load_best(std::filesystem::path& directory) const {
    std::shared_ptr<VariableStore> store;
    if (leads()) {
      const LoadedModel best = load_model(options_.run_dir, run_.backend, run_.observer.warn);
      directory = best.directory;
      store = best.store;
    } else {
      store = std::make_shared<VariableStore>(run_.backend, options_.seed);
      for (const VariableInfo& info : run_.task.parameters()) store->require(info);
    }
    if (run_.communicator) {
      std::vector<std::string> names;
      for (const VariableInfo& info : run_.task.parameters()) names.push_back(info.name);
      share_variables(*run_.communicator, names, *store);
    }
    return store;
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
    if (run_.lock) run_.lock->require_held();
    if (saving.scheduled) {
      check_steps();
      progress_.scheduled_save = progress_.step;
    } else {
      run_.examples.require_unchanged();  // the steps since the last check may be of another text
    }
    const auto start = Clock::now();
    step_.gather_carried();
    const std::filesystem::path directory = leads() ? write_checkpoint(saving) : "";
    interval_start_ += Clock::now() - start;
    last_saved_ = progress_.step;
    unsaved_ = false;
    return directory;
  }

  std::filesystem::path write_checkpoint(const Saving& saving) {
    ResumeState state{progress_, step_.state_variables()};
    state.progress.metrics_bytes = metrics_->sync();
    state.progress.seconds = seconds();
    RunDescription description = description_;
    description.metrics = {{"epoch", epoch_of(progress_)}, {"step", progress_.step}};
    if (progress_.evaluated_step == progress_.step) {
      description.metrics["valid_loss"] = progress_.last.loss();
      for (const Measure& measure : run_.task.measures(progress_.last))
        description.metrics["valid_" + measure.name] = measure.value;
    }
    return save_model(
        options_.run_dir, progress_.step, {run_.task, description, *step_.store(), &state},
        {.best = saving.best, .keep = options_.keep, .protect = progress_.scheduled_save});
  }

  // ---- lines

  Measured measured(const Evaluation& evaluation) const {
    return {evaluation.loss(), run_.task.measures(evaluation)};
  }

  /// The same after a look at the numbers. Errors: as finite_measures().
  Measured measure(const Evaluation& evaluation, const std::string& examples) const {
    return {evaluation.loss(), finite_measures(run_.task, evaluation, examples)};
  }

  /// Since the start of the run, over all its parts.
  double seconds() const { return progress_.seconds + seconds_since(part_start_); }

  void write_metrics(nlohmann::ordered_json line) {
    if (!leads()) return;
    run_.lock->require_held();
    line["seconds"] = seconds();
    line["time"] = utc_now();
    metrics_->write(line);
    if (tensorboard_) tensorboard_->write(line);
  }

  void start_interval_clock() {
    timed_batches_ = timed_items_ = 0;
    interval_start_ = Clock::now();
  }

  double items_per_second() const { return double(timed_items_) / seconds_since(interval_start_); }

  /// Looks at the loss now and then. What the watch knows does not change: when a run is looked at
  /// must not decide what it does.
  double recent_loss() {
    const auto now = Clock::now();
    const bool on_cpu = run_.backend->kind() == DeviceKind::kCpu;
    if (now - loss_time_ >= (on_cpu ? kLossAge : kLossAgeOnGpu)) {
      loss_ = double(step_.statistics().loss_mean);
      loss_time_ = now;
    }
    return loss_;
  }

  TrainingStatus status() {
    const std::int64_t batches = queue_.batches(), batch = batch_of_epoch();
    const std::int64_t left = (options_.epochs - progress_.epoch + 1) * batches - batch;
    return {progress_.epoch,
            options_.epochs,
            batch,
            batches,
            [this] { return recent_loss(); },
            run_.task.unit(),
            items_per_second(),
            seconds(),
            double(left) * seconds_since(loop_start_) / double(progress_.step - loop_step_)};
  }

  void log_interval(double rate) {
    const std::int64_t applied = watch_.counters().updates - progress_.interval_start;
    if (applied == 0) return start_interval_clock();  // all steps were refused
    const double loss = double(watch_.statistics().loss_sum) / double(applied);
    const Measured train = measured({.loss_sum = loss, .count = 1});
    run_.observer.log(
        interval_line({progress_.epoch, batch_of_epoch(), queue_.batches(), rate,
                       1000 * seconds_since(interval_start_) / double(timed_batches_)},
                      train));
    nlohmann::ordered_json line = event("train", progress_);
    line["loss"] = loss;
    for (const Measure& measure : train.measures)
      if (measure.of_loss) line[measure.name] = measure.value;
    line["gradient_norm"] = watch_.statistics().norm;
    line["lr"] = rate;
    line[run_.task.unit() + "_per_second"] = items_per_second();
    write_metrics(line);
    watch_.start_interval();
    start_interval_clock();
  }

  const TrainingRun& run_;
  const TrainingOptions& options_;
  RunDescription description_;
  const std::int64_t batch_size_;
  BatchQueue queue_;
  Schedule schedule_;
  TrainingStep step_;
  Evaluator evaluator_;
  Progress progress_;
  StepWatch watch_;
  std::optional<MetricsLog> metrics_;
  std::optional<TensorboardLog> tensorboard_;
  const Batch* only_batch_ = nullptr;  // of overfit_one_batch
  std::int64_t last_saved_ = 0;        // step
  bool resumed_ = false;
  bool unsaved_ = false;  // something has changed since
  bool peak_noted_ = false;
  std::int64_t timed_batches_ = 0, timed_items_ = 0;  // since interval_start_
  Clock::time_point part_start_ = Clock::now(), epoch_start_, interval_start_;
  Clock::time_point loop_start_, loss_time_;
  std::int64_t loop_step_ = 0;  // at loop_start_
  double loss_ = 0;             // at loss_time_
};

}  // namespace

TrainingResult train(const TrainingRun& run) {
  return Trainer(run).run();
}

}  // namespace unroll
