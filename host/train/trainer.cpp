#include "host/train/trainer.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "host/data/batches.h"

namespace unroll {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

const std::string kRule(89, '-'), kLastRule(89, '=');

/// The lines of PyTorch's word_language_model, which people have parsers for.
std::string interval_line(std::int64_t epoch, std::int64_t batch, std::int64_t batches, double lr,
                          double milliseconds, double loss) {
  return fmt::format(
      "| epoch {:3d} | {:5d}/{:5d} batches | lr {} | ms/batch {:5.2f} | loss {:5.2f} | ppl {:8.2f}",
      epoch, batch, batches, lr >= 0.1 ? fmt::format("{:.2f}", lr) : fmt::format("{:.6f}", lr),
      milliseconds, loss, std::exp(loss));
}

std::string epoch_line(std::int64_t epoch, double seconds, const Evaluation& valid) {
  return fmt::format(
      "| end of epoch {:3d} | time: {:5.2f}s | valid loss {:5.2f} | valid ppl {:8.2f}", epoch,
      seconds, valid.loss(), valid.perplexity());
}

class Trainer {
 public:
  Trainer(const LanguageModelConfig& config, const TrainingOptions& options,
          const LanguageCorpus& corpus, const std::shared_ptr<Backend>& backend,
          const LineSink& log, const LineSink& warn)
      : config_(config),
        options_(options),
        log_(log),
        warn_(warn),
        stream_(corpus.training_stream(options.batch, options.bptt)),
        schedule_(with_steps(options, stream_.batches())),
        store_(std::make_shared<VariableStore>(backend, options.seed)),
        graph_(config, {.batch = options.batch,
                        .optimizer = options.optimizer,
                        .learning_rate = options.schedule.learning_rate,
                        .reduction = options.reduction,
                        .chunk_rows = options.chunk_rows,
                        .initialization = options.initialization}),
        session_(graph_.graph, store_),
        inputs_(std::size_t(options.batch * options.bptt)),
        targets_(inputs_.size()) {
    initialize_forget_bias(config, options.initialization, *store_);
  }

  const std::shared_ptr<VariableStore>& store() const { return store_; }
  std::int64_t steps() const { return session_.step(); }
  std::int64_t skipped() const { return store_->read<std::int64_t>(Optimizer::kSkipped).front(); }
  void end_epoch(bool improved) { schedule_.end_epoch(improved); }

  void run_epoch(std::int64_t epoch) {
    stream_.rewind();
    clear_state(config_, TrainingGraph::kName, *store_);
    start_interval();
    const std::int64_t applied = updates();
    std::int64_t batch = 0;
    while (const std::int64_t steps = stream_.next(inputs_, targets_)) {
      run_step(epoch, steps);
      if (++batch % options_.log_interval == 0) log_interval(epoch, batch);
    }
    if (updates() == applied)
      throw std::runtime_error(fmt::format(
          "training diverged: no step of epoch {} had a finite loss and gradient; try a lower --lr",
          epoch));
  }

 private:
  static ScheduleOptions with_steps(const TrainingOptions& options, std::int64_t batches) {
    ScheduleOptions schedule = options.schedule;
    schedule.steps = options.epochs * batches;
    return schedule;
  }

  void run_step(std::int64_t epoch, std::int64_t steps) {
    set_learning_rate(schedule_.learning_rate(epoch, session_.step()));
    const auto n = std::size_t(steps * options_.batch);
    const Feed feeds[] = {{graph_.inputs, std::span<const std::int32_t>(inputs_.data(), n),
                           Shape{steps, options_.batch}},
                          {graph_.targets, std::span<const std::int32_t>(targets_.data(), n),
                           Shape{std::int64_t(n)}}};
    session_.run(std::span(&graph_.step, 1), feeds);
    for (std::size_t k = 0; k < n; ++k) interval_tokens_ += targets_[k] != kIgnoredId ? 1 : 0;
  }

  void set_learning_rate(double rate) {
    const auto value = float(rate);
    if (value == learning_rate_) return;
    learning_rate_ = value;
    store_->write<float>(Optimizer::kLearningRate, std::span<const float>(&value, 1));
  }

  std::int64_t updates() const { return store_->read<std::int64_t>(Optimizer::kUpdates).front(); }

  void start_interval() {
    const float zero = 0;
    store_->write<float>(TrainingGraph::kLogProb, std::span<const float>(&zero, 1));
    interval_tokens_ = 0;
    interval_start_ = Clock::now();
  }

  void log_interval(std::int64_t epoch, std::int64_t batch) {
    const double log_prob = double(store_->read<float>(TrainingGraph::kLogProb).front());
    log_(interval_line(epoch, batch, stream_.batches(), double(learning_rate_),
                       1000 * seconds_since(interval_start_) / double(options_.log_interval),
                       -log_prob / double(interval_tokens_)));
    if (const std::int64_t now = skipped(); now > skipped_) {
      warn_(fmt::format(
          "{} steps had a loss or gradient that is not finite and changed nothing; the hidden "
          "state starts afresh",
          now - skipped_));
      skipped_ = now;
      // It may be what is not finite, and then no later step would be either.
      clear_state(config_, TrainingGraph::kName, *store_);
    }
    start_interval();
  }

  LanguageModelConfig config_;
  TrainingOptions options_;
  const LineSink& log_;
  const LineSink& warn_;
  BatchStream stream_;
  Schedule schedule_;
  std::shared_ptr<VariableStore> store_;
  TrainingGraph graph_;
  Session session_;
  std::vector<std::int32_t> inputs_, targets_;
  float learning_rate_ = -1;
  std::int64_t interval_tokens_ = 0, skipped_ = 0;
  Clock::time_point interval_start_;
};

}  // namespace

TrainingResult train(const LanguageModelConfig& config, const TrainingOptions& options,
                     const LanguageCorpus& corpus, const ModelDescription& description,
                     const std::shared_ptr<Backend>& backend, const LineSink& log,
                     const LineSink& warn) {
  const auto start = Clock::now();
  Trainer trainer(config, options, corpus, backend, log, warn);
  Evaluator evaluator(config, trainer.store(), corpus.tokenizer.start());
  TrainingResult result;
  for (std::int64_t epoch = 1; epoch <= options.epochs; ++epoch) {
    const auto epoch_start = Clock::now();
    trainer.run_epoch(epoch);
    const Evaluation valid = evaluator.evaluate(corpus.validation_stream());
    log(kRule);
    log(epoch_line(epoch, seconds_since(epoch_start), valid));
    log(kRule);
    if (!std::isfinite(valid.perplexity()))
      throw std::runtime_error(
          fmt::format("training diverged: the validation perplexity of epoch {} is not finite; try "
                      "a lower --lr",
                      epoch));
    const bool improved = result.best_epoch == 0 || valid.loss() < result.valid.loss();
    if (improved) {
      result.valid = valid;
      result.best_epoch = epoch;
      ModelDescription described = description;
      described.metrics = {{"epoch", epoch},
                           {"valid_loss", valid.loss()},
                           {"valid_ppl", valid.perplexity()},
                           {"valid_accuracy", valid.accuracy()}};
      result.checkpoint = save_model(options.run_dir, trainer.steps(), described, corpus.tokenizer,
                                     *trainer.store(), /*best=*/true);
    }
    trainer.end_epoch(improved);
  }
  if (!corpus.test.ids.empty()) {
    const LoadedModel best = load_model(result.checkpoint, backend);
    result.test =
        Evaluator(config, best.store, corpus.tokenizer.start()).evaluate(corpus.test_stream());
    log(kLastRule);
    log(fmt::format("| End of training | test loss {:5.2f} | test ppl {:8.2f}", result.test.loss(),
                    result.test.perplexity()));
    log(kLastRule);
  }
  result.steps = trainer.steps();
  result.skipped = trainer.skipped();
  result.seconds = seconds_since(start);
  return result;
}

}  // namespace unroll
