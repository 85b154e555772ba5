#include "host/train/evaluate.h"

#include <cmath>
#include <numbers>
#include <stdexcept>
#include <vector>

#include "host/data/batches.h"

namespace unroll {
namespace {

/// Timesteps at a time: enough to make one product of the decoder worth while.
constexpr std::int64_t kSteps = 256;
constexpr const char* kName = "evaluate";

}  // namespace

double Evaluation::perplexity() const {
  return std::exp(loss());
}

double Evaluation::bits_per_character(std::int64_t characters) const {
  return -log_prob / std::numbers::ln2 / double(characters);
}

Evaluator::Evaluator(const LanguageModelConfig& config, std::shared_ptr<VariableStore> store,
                     std::int32_t eos)
    : config_(config),
      eos_(eos),
      graph_(config, 1, kSteps, kName),
      session_(graph_.graph, std::move(store)) {}

Evaluation Evaluator::evaluate(std::span<const std::int32_t> tokens) {
  clear_state(config_, kName, session_.variables());
  BatchStream stream(tokens, {.streams = 1, .steps = kSteps, .eos = eos_});
  std::vector<std::int32_t> inputs(kSteps), targets(kSteps);
  std::vector<float> values(kSteps);
  Evaluation result;
  while (const std::int64_t steps = stream.next(inputs, targets)) {
    const auto n = std::size_t(steps);
    const Feed feeds[] = {
        {graph_.inputs, std::span<const std::int32_t>(inputs.data(), n), Shape{steps, 1}},
        {graph_.targets, std::span<const std::int32_t>(targets.data(), n), Shape{steps}}};
    session_.run(graph_.fetches, feeds);
    const std::span<float> rows(values.data(), n);
    session_.read(graph_.log_prob, rows);
    for (const float log_prob : rows) result.log_prob += double(log_prob);
    session_.read(graph_.hit, rows);
    for (const float hit : rows) result.hits += hit > 0 ? 1 : 0;
    result.tokens += steps;
  }
  return result;
}

}  // namespace unroll
