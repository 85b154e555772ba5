#include "host/models/evaluate.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "host/base/interrupted.h"
#include "host/models/batch_rows.h"
#include "host/models/feeds.h"
#include "host/models/stored_variables.h"
#include "host/parallel/shard_tree.h"

namespace unroll {

/// What a shard adds to an evaluation.
struct Evaluator::ShardSums {
  std::int64_t shard = 0;
  double loss = 0;
  std::int64_t hits = 0;
};

struct Evaluator::Pass {
  IndexRange rows;
  std::unique_ptr<EvaluationGraph> graph;
  Session session;
  ShardSums sums;
  Batch batch;
  std::vector<Feed> feeds;
  std::vector<float> values;

  Pass(std::int64_t shard, const IndexRange& which, std::unique_ptr<EvaluationGraph> made,
       const std::shared_ptr<VariableStore>& store)
      : rows(which), graph(std::move(made)), session(graph->graph, store), sums{.shard = shard} {}

  void run(const Batch& fed, const EvaluatorOptions& options) {
    make_feeds(graph->inputs, fed, feeds);
    session.run(graph->fetches, feeds);
    const std::vector<float>& losses = read(graph->loss);
    for (const float loss : losses) sums.loss += double(loss);
    if (options.losses) options.losses(losses);
    if (!graph->hit) return;
    for (const float hit : read(graph->hit)) sums.hits += hit > 0 ? 1 : 0;
  }

  const std::vector<float>& read(Tensor fetched) {
    values.resize(std::size_t(session.shape(fetched).elements()));
    session.read(fetched, std::span<float>(values));
    return values;
  }
};

Evaluator::Evaluator(const Task& task, std::shared_ptr<VariableStore> store,
                     const EvaluatorOptions& options)
    : task_(task), store_(std::move(store)), options_(options) {}

Evaluator::~Evaluator() = default;

void Evaluator::make_passes(std::int64_t batch) {
  if (batch_ == batch) return;
  passes_.clear();
  batch_ = batch;
  const Communicator* ranks = options_.communicator;
  const std::int64_t shards = options_.shards;
  const IndexRange own =
      ranks ? part_of(shards, ranks->size(), ranks->rank()) : IndexRange{0, shards};
  for (std::int64_t shard = own.begin; shard < own.end; ++shard) {
    const IndexRange rows = part_of(batch, shards, shard);
    if (rows.size() == 0) continue;
    // The state's shape depends on the number of rows, so its name does.
    std::string name = fmt::format("evaluate-{}", batch);
    if (shards > 1) name += fmt::format("/shard{}", shard);
    passes_.push_back(
        std::make_unique<Pass>(shard, rows, task_.evaluation_graph(rows.size(), name), store_));
  }
}

Evaluation Evaluator::evaluate(Examples& examples) {
  make_passes(examples.batch_size());
  for (const auto& pass : passes_) {
    clear_variables(pass->graph->carried, *store_);
    pass->sums = {.shard = pass->sums.shard};
  }
  examples.seek(1, 0);
  until_look_ = 0;
  Batch batch = examples.largest();
  Evaluation result;
  while (examples.next(batch)) {
    stop_if_due();
    for (const auto& pass : passes_) {
      const bool whole = pass->rows.size() == batch_;
      if (!whole) take_rows(batch, batch_, pass->rows, pass->batch);
      pass->run(whole ? batch : pass->batch, options_);
    }
    result.count += batch.count;
  }
  add_up(result);
  return result;
}

/// Ranks ask each other now and then, because a question takes as long as a small batch.
void Evaluator::stop_if_due() {
  if (!options_.communicator) return stop_if_asked(options_.stop);
  if (until_look_-- > 0) return;
  constexpr std::int64_t kBatches = 16;
  until_look_ = kBatches - 1;
  const bool here = options_.stop && options_.stop->load(std::memory_order_relaxed);
  if (options_.communicator->any(here)) throw Interrupted("interrupted");
}

void Evaluator::add_up(Evaluation& result) {
  std::vector<ShardSums> sums;
  for (const auto& pass : passes_) sums.push_back(pass->sums);
  if (Communicator* ranks = options_.communicator) {
    const auto own = std::as_bytes(std::span(sums));
    std::string text(reinterpret_cast<const char*>(own.data()), own.size());
    std::string all;  // in the order of the ranks, which is that of the shards
    for (const std::string& of_rank : ranks->gather(text)) all += of_rank;
    all = ranks->broadcast(all);
    sums.resize(all.size() / sizeof(ShardSums));
    std::memcpy(sums.data(), all.data(), all.size());
  }
  for (const ShardSums& shard : sums) {
    result.loss_sum += shard.loss;
    result.hits += shard.hits;
  }
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
