#include "host/infer/score.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "host/data/examples.h"
#include "host/data/language_corpus.h"
#include "host/infer/token_states.h"
#include "host/models/stored_variables.h"

namespace unroll {
namespace {

/// Texts at once: the more, the larger the products, and the more padding.
constexpr std::size_t kRows = 32;

}  // namespace

struct Scorer::Pass {
  std::unique_ptr<EvaluationGraph> graph;
  Session session;
  std::size_t rows;
  std::vector<std::int32_t> inputs, targets;  // [T, N]
  std::vector<float> loss;                    // [T N]

  Pass(const LanguageModelTask& task, const std::shared_ptr<VariableStore>& store, std::size_t n)
      : graph(task.evaluation_graph(std::int64_t(n), fmt::format("score-{}", n))),
        session(graph->graph, store),
        rows(n) {}

  void run(std::size_t steps) {
    const Shape shape{std::int64_t(steps), std::int64_t(rows)};
    const Feed feeds[] = {{graph->inputs[0], std::span<const std::int32_t>(inputs), shape},
                          {graph->inputs[1], std::span<const std::int32_t>(targets)}};
    session.run(graph->fetches, feeds);
    loss.resize(steps * rows);
    session.read(graph->loss, std::span<float>(loss));
  }
};

Scorer::Scorer(const LoadedModel& model)
    : model_(model), task_(task_of<LanguageModelTask>(model)) {}

Scorer::~Scorer() = default;

std::vector<std::vector<float>> Scorer::score(std::span<const std::vector<std::int32_t>> texts) {
  const std::int32_t vocabulary = task_.tokenizer().size();
  for (const std::vector<std::int32_t>& text : texts)
    for (const std::int32_t id : text)
      if (id < 0 || id >= vocabulary)
        throw std::invalid_argument(
            fmt::format("token: got {}, expected an id below {}", id, vocabulary));
  // Texts of similar length side by side, for less padding.
  std::vector<std::size_t> places(texts.size());
  std::iota(places.begin(), places.end(), 0);
  std::ranges::stable_sort(places, {}, [&](std::size_t k) { return texts[k].size(); });
  std::vector<std::vector<float>> log_prob(texts.size());
  for (std::size_t at = 0; at < places.size(); at += kRows)
    score_together(texts, std::span(places).subspan(at, std::min(kRows, places.size() - at)),
                   log_prob);
  return log_prob;
}

void Scorer::score_together(std::span<const std::vector<std::int32_t>> texts,
                            std::span<const std::size_t> places,
                            std::vector<std::vector<float>>& log_prob) {
  const std::size_t rows = places.size(), longest = texts[places.back()].size();
  if (!pass_ || pass_->rows != rows) pass_ = std::make_unique<Pass>(task_, model_.store, rows);
  clear_variables(pass_->graph->carried, *model_.store);
  const std::size_t most = std::bit_floor(std::size_t(kEvaluationSteps) / rows);
  for (std::size_t begin = 0; begin < longest; begin += most) {
    // A power of two, because each number of steps is planned by itself.
    const std::size_t steps = std::min(most, std::bit_ceil(longest - begin));
    pass_->inputs.assign(steps * rows, task_.tokenizer().start());
    pass_->targets.assign(steps * rows, kIgnoredId);
    for (std::size_t row = 0; row < rows; ++row) {
      const std::vector<std::int32_t>& text = texts[places[row]];
      for (std::size_t t = begin; t < std::min(begin + steps, text.size()); ++t) {
        if (t > 0) pass_->inputs[(t - begin) * rows + row] = text[t - 1];
        pass_->targets[(t - begin) * rows + row] = text[t];
      }
    }
    pass_->run(steps);
    for (std::size_t row = 0; row < rows; ++row) {
      std::vector<float>& result = log_prob[places[row]];
      const std::size_t size = texts[places[row]].size();
      for (std::size_t t = begin; t < std::min(begin + steps, size); ++t) {
        result.push_back(-pass_->loss[(t - begin) * rows + row]);
        if (!std::isfinite(result.back())) fail_not_finite();
      }
    }
  }
}

}  // namespace unroll
