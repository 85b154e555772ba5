#include "host/train/training_step.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <set>
#include <span>
#include <stdexcept>
#include <utility>

#include "host/models/batch_rows.h"
#include "host/models/feeds.h"
#include "host/models/model_file.h"
#include "host/models/share_variables.h"
#include "host/models/stored_variables.h"
#include "host/parallel/gradient_sum.h"
#include "host/train/training_checkpoint.h"
#include "unroll/backend.h"

namespace unroll {

namespace {

Sharding sharding_of(const StepShards& parts) {
  const Communicator* ranks = parts.communicator;
  return {parts.shards, ranks ? part_of(parts.shards, ranks->size(), ranks->rank())
                              : IndexRange{0, parts.shards}};
}

}  // namespace

/// From the gradients of own shards to the update.
struct TrainingStep::Exchange {
  Exchange(const ShardedTraining& graphs, const std::shared_ptr<VariableStore>& store,
           const StepShards& shards)
      : session(graphs.update->graph, store),
        through_host(exchange_through_host(*shards.communicator, store->backend())),
        exchange(shards.exchange ? *shards.exchange : *through_host),
        sum({*shards.communicator, exchange, store->backend()}, shards.shards) {
    own.nodes.resize(graphs.sums.size());
    for (const Tensor& tensor : graphs.sums.front()) elements += tensor.shape().elements();
  }

  Session session;
  std::unique_ptr<DeviceExchange> through_host;
  DeviceExchange& exchange;
  GradientSum sum;
  std::int64_t elements = 0;  // dense gradients and loss
  OwnGradients own;
  std::vector<Feed> feeds;

  /// Finds this rank's gradients on the device.
  void find(const ShardedTraining& graphs, const Session& computed);
  /// Feeds the update with the sums.
  void feed(const ShardedTraining& graphs, const SummedGradients& summed);
};

void TrainingStep::Exchange::find(const ShardedTraining& graphs, const Session& computed) {
  for (std::size_t node = 0; node < graphs.sums.size(); ++node) {
    own.nodes[node].clear();
    for (const Tensor& tensor : graphs.sums[node]) own.nodes[node].push_back(computed.view(tensor));
  }
  own.tables.clear();
  for (const GradientTensors& table : graphs.rows)
    if (table.is_sparse())
      own.tables.push_back({computed.view(table.ids), computed.view(table.rows)});
}

void TrainingStep::Exchange::feed(const ShardedTraining& graphs, const SummedGradients& summed) {
  feeds.clear();
  auto tensor = summed.tensors.begin();
  auto table = summed.tables.begin();
  for (const GradientTensors& gradient : graphs.update->gradients) {
    if (!gradient.is_sparse()) {
      feeds.emplace_back(gradient.dense, *tensor++);
      continue;
    }
    feeds.emplace_back(gradient.ids, table->ids);
    feeds.emplace_back(gradient.rows, table->rows);
    ++table;
  }
  feeds.emplace_back(graphs.update->loss, *tensor);
}

TrainingStep::TrainingStep(const Parts& parts, const TrainingGraphOptions& options)
    : task_(parts.task),
      batch_(options.batch),
      shards_(parts.shards),
      store_(std::make_shared<VariableStore>(parts.backend, parts.seed)),
      graphs_(sharded_training(task_, options, sharding_of(shards_))),
      session_(graphs_.own->graph, store_) {
  if (graphs_.own->step) fetches_.push_back(graphs_.own->step);
  for (const std::vector<Tensor>& node : graphs_.sums)
    fetches_.insert(fetches_.end(), node.begin(), node.end());
  for (const GradientTensors& table : graphs_.rows)
    if (table.is_sparse()) fetches_.insert(fetches_.end(), {table.ids, table.rows});
  if (graphs_.update) exchange_ = std::make_unique<Exchange>(graphs_, store_, shards_);
  if (shards_.shards > 1) parts_.resize(std::size_t(sharding_of(shards_).own.size()));
  feeds_.reserve(graphs_.own->inputs.size() + 1);
  task_.initialize(options.initialization, *store_);
}

TrainingStep::~TrainingStep() = default;

std::vector<std::string> TrainingStep::all_variables() const {
  std::vector<std::string> names;
  for (const Tensor& variable : graphs_.own->graph.variables()) names.push_back(variable.name());
  if (shards_.shards == 1) return names;
  if (graphs_.update)
    for (const Tensor& variable : graphs_.update->graph.variables())
      names.push_back(variable.name());
  // The order of a file must not depend on who holds which shard.
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  return names;
}

std::vector<std::string> TrainingStep::state_variables() const {
  std::set<std::string> parameters;  // frozen ones, too
  for (const VariableInfo& info : task_.parameters()) parameters.insert(info.name);
  std::vector<std::string> names = all_variables();
  std::erase_if(names, [&](const std::string& name) { return parameters.contains(name); });
  return names;
}

const std::vector<Feed>& TrainingStep::feeds(const Batch& batch) {
  const std::vector<Tensor>& inputs = graphs_.own->inputs;
  if (parts_.empty()) {
    make_feeds(inputs, batch, feeds_);
    return feeds_;
  }
  feeds_.clear();
  const std::int64_t first = sharding_of(shards_).own.begin;
  const std::size_t columns = inputs.size() / parts_.size();
  for (std::size_t k = 0; k < parts_.size(); ++k) {
    take_rows(batch, batch_, part_of(batch_, shards_.shards, first + std::int64_t(k)), parts_[k]);
    make_feeds(std::span(inputs).subspan(k * columns, columns), parts_[k], shard_feeds_);
    feeds_.insert(feeds_.end(), shard_feeds_.begin(), shard_feeds_.end());
  }
  inverse_count_ = 1 / float(std::max<std::int64_t>(batch.count, 1));
  feeds_.emplace_back(graphs_.inverse_count, std::span<const float>(&inverse_count_, 1));
  return feeds_;
}

TrainingMemory TrainingStep::memory(const Batch& largest) {
  TrainingMemory memory;
  for (const std::string& name : all_variables())
    memory.variables += std::int64_t(store_->view(name).bytes());
  for (const VariableInfo& info : task_.parameters())
    memory.parameters += std::int64_t(store_->view(info.name).bytes());
  memory.working = std::int64_t(session_.required_bytes(fetches_, feeds(largest)));
  // The sums, beside what they are made of.
  if (exchange_) memory.working += exchange_->elements * std::int64_t(sizeof(float));
  return memory;
}

void TrainingStep::prepare(const Batch& largest) {
  session_.prepare(fetches_, feeds(largest));
}

void TrainingStep::write_rate(double learning_rate) {
  const auto rate = float(learning_rate);
  if (learning_rate_ == rate) return;
  store_->write<float>(Optimizer::kLearningRate, std::span<const float>(&rate, 1));
  learning_rate_ = rate;
}

void TrainingStep::run(const Batch& batch, double learning_rate, bool stop) {
  write_rate(learning_rate);
  session_.run(fetches_, feeds(batch));
  if (exchange_)
    exchange_and_update(stop);
  else
    stop_agreed_ = stop;
}

void TrainingStep::exchange_and_update(bool stop) {
  Exchange& e = *exchange_;
  e.find(graphs_, session_);
  e.own.flag = stop;
  const SummedGradients& summed = e.sum.sum(e.own);
  stop_agreed_ = summed.flag;
  e.feed(graphs_, summed);
  const Tensor step[] = {graphs_.update->step};
  e.session.run(step, e.feeds);
}

void TrainingStep::share() {
  if (!exchange_) return;
  learning_rate_.reset();
  share_variables(*shards_.communicator, all_variables(), *store_);
}

void TrainingStep::gather_carried() {
  if (!exchange_) return;
  store_->backend().synchronize();
  exchange_->exchange.require_sound();
  Communicator& ranks = *shards_.communicator;
  const auto names_of = [&](int rank) {
    std::vector<std::string> names;
    const IndexRange shards = part_of(shards_.shards, ranks.size(), rank);
    for (std::int64_t shard = shards.begin; shard < shards.end; ++shard)
      for (const std::string& name : graphs_.carried[std::size_t(shard)]) names.push_back(name);
    return names;
  };
  std::string own;
  for (const TensorData& variable : variable_tensors(*store_, names_of(ranks.rank())))
    for (const std::byte byte : variable.bytes.all()) own.push_back(char(byte));
  const std::vector<std::string> all = ranks.gather(own);
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    std::span<const std::byte> bytes = std::as_bytes(std::span(all[rank]));
    for (TensorData& variable : variable_tensors(*store_, names_of(int(rank)))) {
      const auto size = std::size_t(variable.bytes.size());
      variable.bytes = TensorBytes(bytes.first(size));
      write_variable(variable, "", Accepted::kAny, *store_);
      bytes = bytes.subspan(size);
    }
  }
}

StepCounters TrainingStep::counters() const {
  std::array<std::int64_t, sizeof(StepCounters) / sizeof(std::int64_t)> values;
  store_->read<std::int64_t>(Optimizer::kCounters, values);
  if (exchange_) exchange_->exchange.require_sound();
  return std::bit_cast<StepCounters>(values);
}

StepStatistics TrainingStep::statistics() const {
  std::array<float, sizeof(StepStatistics) / sizeof(float)> values;
  store_->read<float>(Optimizer::kStatistics, values);
  if (exchange_) exchange_->exchange.require_sound();
  return std::bit_cast<StepStatistics>(values);
}

void TrainingStep::write(const StepCounters& counters) {
  using Values = std::array<std::int64_t, sizeof(StepCounters) / sizeof(std::int64_t)>;
  store_->write<std::int64_t>(Optimizer::kCounters, std::bit_cast<Values>(counters));
}

void TrainingStep::write(const StepStatistics& statistics) {
  using Values = std::array<float, sizeof(StepStatistics) / sizeof(float)>;
  store_->write<float>(Optimizer::kStatistics, std::bit_cast<Values>(statistics));
}

std::string TrainingStep::culprit(const StepCounters& counters) const {
  if (counters.culprit < 0) return "";
  const auto index = std::size_t(counters.culprit);
  return graphs_.own->graph.trainable_variables().at(index).name();
}

void TrainingStep::begin_with(const Checkpoint& checkpoint) {
  restore_parameters(checkpoint, task_, *store_);
}

Progress TrainingStep::restore(const Checkpoint& checkpoint) {
  learning_rate_.reset();
  restore_parameters(checkpoint, task_, *store_);
  const Progress progress = restore_state(checkpoint, state_variables(), *store_);
  if (progress.step != checkpoint.step)
    throw std::runtime_error(
        fmt::format("{}/progress.json: step: got {}, expected {} as in manifest.json",
                    checkpoint.directory.string(), progress.step, checkpoint.step));
  const std::string where = (checkpoint.directory / "state.safetensors").string();
  const std::size_t parameters = graphs_.own->graph.trainable_variables().size();
  check_guard({counters(), statistics(), std::int64_t(parameters)}, progress, where);
  return progress;
}

void TrainingStep::run_verified(const Batch& batch, double learning_rate, bool stop) {
  const std::vector<std::string> names = all_variables();
  const std::int64_t step = count();
  const std::vector<TensorData> tensors = variable_tensors(*store_, names);
  const auto copies = [&] {
    std::vector<std::vector<std::byte>> bytes;
    for (const TensorData& tensor : tensors) bytes.push_back(tensor.bytes.all());
    return bytes;
  };
  const std::vector<std::vector<std::byte>> before = copies();
  run(batch, learning_rate, stop);
  const std::vector<std::vector<std::byte>> first = copies();
  for (std::size_t k = 0; k < names.size(); ++k) {
    TensorData earlier = tensors[k];
    earlier.bytes = TensorBytes(before[k]);
    write_variable(earlier, "", Accepted::kAny, *store_);
  }
  learning_rate_.reset();
  set_count(step);
  run(batch, learning_rate, stop);
  for (std::size_t k = 0; k < names.size(); ++k)
    if (first[k] != tensors[k].bytes.all())
      throw std::runtime_error(
          fmt::format("step {} computed twice gave different bits in {}: memory or processor are "
                      "not to be trusted",
                      step + 1, names[k]));
}

void TrainingStep::clear_carried_state() {
  clear_variables(graphs_.own->carried, *store_);
}

}  // namespace unroll
