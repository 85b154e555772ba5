#include "host/models/sharded_training.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "unroll/gradients.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

/// What one shard gives, or the sum over several.
struct ShardGradients {
  std::vector<Gradient> gradients;  // of the trainable variables, in their order
  Tensor loss;
};

/// Adds shards to a graph.
class ShardBuilder {
 public:
  ShardBuilder(const Task& task, const TrainingGraphOptions& options, std::int64_t shards,
               Graph& graph)
      : task_(task),
        options_(options),
        shards_(shards),
        graph_(graph),
        inverse_count_(graph.placeholder("inverse_count", {1})),
        weight_(options.reduction == LossReduction::kTime
                    ? graph.constant(1 / double(options.batch), {1})
                    : inverse_count_) {
    carried.resize(std::size_t(shards));
  }

  TrainingPart part(std::int64_t shard) {
    TrainingPart part =
        task_.training_part(graph_, {.batch = part_of(options_.batch, shards_, shard).size(),
                                     .reduction = options_.reduction,
                                     .chunk_rows = options_.chunk_rows,
                                     .initialization = options_.initialization,
                                     .place = fmt::format("shard{}/", shard),
                                     .weight = weight_,
                                     .inverse_count = inverse_count_});
    inputs.insert(inputs.end(), part.inputs.begin(), part.inputs.end());
    carries.insert(carries.end(), part.carries.begin(), part.carries.end());
    carried[std::size_t(shard)] = part.carried;
    return part;
  }

  /// The dense gradients of a node of the tree, added up. Those of tables are in `tables_`, shard
  /// by shard, unless the table as a whole is less. A shard's nodes are made only when the sum of
  /// those before it is there, so that few gradients are in memory at a time.
  ShardGradients sum(const IndexRange& shards) {
    return tree_sum(
        shards, [&](std::int64_t shard) { return leaf(shard); },
        [](ShardGradients left, const ShardGradients& right) {
          for (std::size_t k = 0; k < left.gradients.size(); ++k)
            if (left.gradients[k] && !left.gradients[k].is_sparse())
              left.gradients[k] = left.gradients[k].values + right.gradients[k].values;
          left.loss = left.loss + right.loss;
          return left;
        });
  }

  /// The rows of all shards so far that belong to a table.
  Gradient table(std::size_t variable) const {
    std::vector<Tensor> rows, ids;
    for (const Gradient& gradient : tables_[variable]) {
      rows.push_back(gradient.values);
      ids.push_back(gradient.ids);
    }
    return rows.size() == 1 ? Gradient(rows.front(), ids.front())
                            : Gradient(concat(rows, 0), concat(ids, 0));
  }

  Tensor inverse_count() const { return inverse_count_; }

  std::vector<Tensor> inputs, carries;
  std::vector<std::vector<std::string>> carried;  // of each shard that was added

 private:
  ShardGradients leaf(std::int64_t shard) {
    const TrainingPart part = this->part(shard);
    ShardGradients result{gradients(part.cost, graph_.trainable_variables()),
                          reshape(part.loss ? part.loss : part.cost, {1})};
    tables_.resize(result.gradients.size());
    const std::vector<Tensor> variables = graph_.trainable_variables();
    for (std::size_t k = 0; k < result.gradients.size(); ++k) {
      Gradient& gradient = result.gradients[k];
      if (!gradient.is_sparse()) continue;
      if (is_less_as_a_whole(variables[k]))
        gradient = to_dense(gradient, variables[k]);
      else
        tables_[k].push_back(gradient);
    }
    return result;
  }

  /// Between ranks, rows travel once to each, a whole table there and its sum back. It depends on
  /// the whole batch, so the bits do not depend on who holds which shard.
  bool is_less_as_a_whole(const Tensor& table) const {
    return options_.lookups > 2 * table.shape()[0];
  }

  const Task& task_;
  const TrainingGraphOptions& options_;
  std::int64_t shards_;
  Graph& graph_;
  Tensor inverse_count_, weight_;
  std::vector<std::vector<Gradient>> tables_;  // of each variable, by shard
};

std::vector<std::string> flat(const std::vector<std::vector<std::string>>& lists) {
  std::vector<std::string> all;
  for (const std::vector<std::string>& list : lists)
    all.insert(all.end(), list.begin(), list.end());
  return all;
}

/// All shards in one graph, with the update.
ShardedTraining whole(const Task& task, const TrainingGraphOptions& options, std::int64_t shards) {
  ShardedTraining made{.own = std::make_unique<TrainingGraph>()};
  Graph& graph = made.own->graph;
  ShardBuilder builder(task, options, shards, graph);
  const ShardGradients sum = builder.sum({0, shards});
  const std::vector<Tensor> variables = graph.trainable_variables();
  std::vector<VariableGradient> found;
  for (std::size_t k = 0; k < variables.size(); ++k)
    if (const Gradient& gradient = sum.gradients[k]; gradient)
      found.push_back({variables[k], gradient.is_sparse() ? builder.table(k) : gradient});
  std::vector<Tensor> parts = builder.carries;
  parts.push_back(
      Optimizer(options.optimizer, options.learning_rate).apply(found, sum.loss, options.guard));
  made.own->step = group(parts);
  made.own->inputs = builder.inputs;
  made.carried = builder.carried;
  made.own->carried = flat(made.carried);
  made.inverse_count = builder.inverse_count();
  return made;
}

/// Declares in `graph` what the shards of other ranks carry, because a checkpoint has it all. Adds
/// the names to `carried`.
void declare_carried(const Task& task, const TrainingGraphOptions& options,
                     const Sharding& sharding, ShardedTraining& made) {
  Graph others;
  ShardBuilder builder(task, options, sharding.shards, others);
  for (std::int64_t shard = 0; shard < sharding.shards; ++shard)
    if (!sharding.own.contains({shard, shard + 1})) {
      builder.part(shard);
      made.carried[std::size_t(shard)] = builder.carried[std::size_t(shard)];
    }
  const std::vector<std::string> names = flat(builder.carried);
  const std::set<std::string> carried(names.begin(), names.end());
  for (const Tensor& variable : others.variables())
    if (carried.contains(variable.name()))
      made.update->graph.variable(variable.name(), variable.shape(), constant(0),
                                  {.trainable = false});
}

/// The update from the sums of these gradients.
std::unique_ptr<UpdateGraph> update_graph(const TrainingGraphOptions& options,
                                          const std::vector<Tensor>& variables,
                                          const std::vector<Gradient>& gradients) {
  auto made = std::make_unique<UpdateGraph>();
  Graph& graph = made->graph;
  made->loss = graph.placeholder("loss", {1});
  std::vector<VariableGradient> summed;
  for (std::size_t k = 0; k < variables.size(); ++k) {
    if (!gradients[k]) continue;
    const std::string name = variables[k].name();
    const Shape& shape = variables[k].shape();
    const Tensor variable = graph.variable(name, shape, constant(0));
    GradientTensors tensors{.variable = name};
    if (gradients[k].is_sparse()) {
      tensors.ids = graph.placeholder(name + "/ids", {kOpen}, DType::kInt32);
      tensors.rows = graph.placeholder(name + "/rows", {kOpen, shape[1]});
      summed.push_back({variable, Gradient(tensors.rows, tensors.ids)});
    } else {
      tensors.dense = graph.placeholder(name + "/gradient", shape);
      summed.push_back({variable, tensors.dense});
    }
    made->gradients.push_back(tensors);
  }
  made->step =
      Optimizer(options.optimizer, options.learning_rate).apply(summed, made->loss, options.guard);
  return made;
}

/// Some of the shards, up to their gradients, and the update in a graph of its own.
ShardedTraining split(const Task& task, const TrainingGraphOptions& options,
                      const Sharding& sharding) {
  ShardedTraining made{.own = std::make_unique<TrainingGraph>()};
  Graph& graph = made.own->graph;
  ShardBuilder builder(task, options, sharding.shards, graph);
  std::vector<Gradient> gradients;
  for (const IndexRange& node : subtrees({0, sharding.shards}, sharding.own)) {
    const ShardGradients sum = builder.sum(node);
    std::vector<Tensor>& tensors = made.sums.emplace_back();
    for (const Gradient& gradient : sum.gradients)
      if (gradient && !gradient.is_sparse()) tensors.push_back(gradient.values);
    tensors.push_back(sum.loss);
    gradients = sum.gradients;
  }
  const std::vector<Tensor> variables = graph.trainable_variables();
  made.update = update_graph(options, variables, gradients);
  for (std::size_t k = 0; k < variables.size(); ++k) {
    if (!gradients[k]) continue;
    GradientTensors& tensors = made.rows.emplace_back();
    tensors.variable = variables[k].name();
    if (!gradients[k].is_sparse()) continue;
    const Gradient all = builder.table(k);
    tensors.ids = all.ids;
    tensors.rows = all.values;
  }
  if (!builder.carries.empty()) made.own->step = group(builder.carries);
  made.own->inputs = builder.inputs;
  made.inverse_count = builder.inverse_count();
  made.carried = builder.carried;
  declare_carried(task, options, sharding, made);
  made.own->carried = flat(made.carried);
  return made;
}

}  // namespace

ShardedTraining sharded_training(const Task& task, const TrainingGraphOptions& options,
                                 const Sharding& sharding) {
  if (sharding.shards > 1)
    return sharding.is_split() ? split(task, options, sharding)
                               : whole(task, options, sharding.shards);
  ShardedTraining made{.own = task.training_graph(options)};
  made.carried = {made.own->carried};
  return made;
}

}  // namespace unroll
