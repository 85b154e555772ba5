#include "host/models/evaluate.h"

#include <fmt/format.h>

#include <cmath>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "host/base/interrupted.h"
#include "host/models/feeds.h"
#include "host/models/stored_variables.h"

namespace unroll {

Evaluator::Pass::Pass(const Task& task, const std::shared_ptr<VariableStore>& store,
                      std::int64_t batch)
    : batch(batch),
      // The state's shape depends on the batch size, so its name does.
      graph(task.evaluation_graph(batch, fmt::format("evaluate-{}", batch))),
      session(graph->graph, store) {}

Evaluator::Evaluator(const Task& task, std::shared_ptr<VariableStore> store,
                     const std::atomic<bool>* stop)
    : task_(task), store_(std::move(store)), stop_(stop) {}

Evaluation Evaluator::evaluate(Examples& examples) {
  if (!pass_ || pass_->batch != examples.batch_size())
    pass_ = std::make_unique<Pass>(task_, store_, examples.batch_size());
  const EvaluationGraph& graph = *pass_->graph;
  Session& session = pass_->session;
  clear_variables(graph.carried, *store_);
  examples.seek(1, 0);
  Batch batch = examples.largest();
  std::vector<Feed> feeds;
  std::vector<float> values;
  const auto read = [&](Tensor fetched) {
    values.resize(std::size_t(session.shape(fetched).elements()));
    session.read(fetched, std::span<float>(values));
  };
  Evaluation result;
  while (examples.next(batch)) {
    stop_if_asked(stop_);
    make_feeds(graph.inputs, batch, feeds);
    session.run(graph.fetches, feeds);
    read(graph.loss);
    for (const float loss : values) result.loss_sum += double(loss);
    if (graph.hit) {
      read(graph.hit);
      for (const float hit : values) result.hits += hit > 0 ? 1 : 0;
    }
    result.count += batch.count;
  }
  return result;
}

std::vector<Measure> finite_measures(const Task& task, const Evaluation& evaluation,
                                     const std::string& examples) {
  std::vector<Measure> measures = task.measures(evaluation);
  bool finite = std::isfinite(evaluation.loss());
  std::string got = fmt::format("loss {}", evaluation.loss());
  for (const Measure& measure : measures) {
    finite = finite && std::isfinite(measure.value);
    got += fmt::format(", {} {}", measure.name, measure.value);
  }
  if (!finite)
    throw std::runtime_error(
        fmt::format("{}: got {} from the model, expected finite numbers", examples, got));
  return measures;
}

}  // namespace unroll
