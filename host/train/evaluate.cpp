#include "host/train/evaluate.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "host/base/interrupted.h"
#include "host/data/language_corpus.h"

namespace unroll {
namespace {

constexpr std::int64_t kChunkRows = 256;

}  // namespace

double Evaluation::perplexity() const {
  return std::exp(loss());
}

void Evaluation::require_finite(const std::string& text) const {
  if (!std::isfinite(perplexity()))
    throw std::runtime_error(
        fmt::format("{}: got a loss of {} nats per token from the model, expected one whose "
                    "perplexity is finite",
                    text, loss()));
}

double Evaluation::bits_per_character(std::int64_t characters) const {
  return -log_prob / std::numbers::ln2 / double(characters);
}

Evaluator::Pass::Pass(const LanguageModelConfig& config,
                      const std::shared_ptr<VariableStore>& store, std::int64_t streams,
                      std::string name)
    : streams(streams),
      name(std::move(name)),
      graph(config, streams, kChunkRows, this->name),
      session(graph.graph, store) {}

Evaluator::Evaluator(const LanguageModelConfig& config, std::shared_ptr<VariableStore> store,
                     std::int32_t start, const std::atomic<bool>* stop)
    : config_(config), store_(std::move(store)), start_(start), stop_(stop) {}

Evaluation Evaluator::evaluate(TokenIds tokens) {
  return evaluate(BatchStream(tokens, {.steps = kEvaluationSteps,
                                       .start = start_,
                                       .vocabulary = std::int32_t(config_.vocabulary)}));
}

Evaluation Evaluator::evaluate(BatchStream stream) {
  const std::int64_t streams = stream.streams();
  // The state's shape depends on the streams, so its name does.
  if (!pass_ || pass_->streams != streams)
    pass_ = std::make_unique<Pass>(config_, store_, streams, "evaluate-" + std::to_string(streams));
  clear_state(config_, pass_->name, *store_);
  stream.rewind();
  std::vector<std::int32_t> inputs(std::size_t(stream.room())), targets(inputs.size());
  std::vector<float> log_probs(inputs.size()), hits(inputs.size());
  Evaluation result;
  while (const std::int64_t steps = stream.next(inputs, targets)) {
    stop_if_asked(stop_);
    const auto n = std::size_t(steps * streams);
    const Feed feeds[] = {{pass_->graph.inputs, std::span<const std::int32_t>(inputs.data(), n),
                           Shape{steps, streams}},
                          {pass_->graph.targets, std::span<const std::int32_t>(targets.data(), n),
                           Shape{std::int64_t(n)}}};
    pass_->session.run(pass_->graph.fetches, feeds);
    pass_->session.read(pass_->graph.log_prob, std::span<float>(log_probs.data(), n));
    pass_->session.read(pass_->graph.hit, std::span<float>(hits.data(), n));
    for (std::size_t k = 0; k < n; ++k) {
      if (targets[k] == kIgnoredId) continue;
      result.log_prob += double(log_probs[k]);
      result.hits += hits[k] > 0 ? 1 : 0;
      ++result.tokens;
    }
  }
  return result;
}

}  // namespace unroll
