#include "host/graph/plan.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "host/graph/arena.h"

namespace unroll {
namespace {

bool is_placeholder(const Tensor& tensor) {
  return operation_as<PlaceholderOperation>(tensor) != nullptr;
}

bool is_effect(const Node& node) {
  return !node.operation->written_inputs().empty();
}

std::size_t bytes_of(const TensorType& type) {
  return std::size_t(type.shape.elements()) * size_of(type.dtype);
}

}  // namespace

Session::Plan::Plan(const Graph& graph, VariableStore& store, std::span<const Tensor> fetches,
                    std::span<const Feed> feeds)
    : store_(&store), backend_(&store.backend()), fetches_(fetches.begin(), fetches.end()) {
  for (const Feed& feed : feeds) {
    fed_.push_back(feed.placeholder());
    fed_shapes_.push_back(feed.shape());
  }
  for (const Tensor& fetch : fetches_)
    if (!fetch || &fetch.graph() != &graph)
      throw std::invalid_argument("run: a fetch is not of this session's graph");
  choose_steps(graph);
  check_feeds();
  infer_types();
  plan_operations(store);
  assign_storage(store);
  reuse_storage_in_place();
  place();
}

bool Session::Plan::matches(std::span<const Tensor> fetches, std::span<const Feed> feeds) const {
  return std::ranges::equal(fetches, fetches_) && feeds.size() == fed_.size() &&
         std::ranges::equal(feeds, fed_, {}, &Feed::placeholder) &&
         std::ranges::equal(feeds, fed_shapes_, {}, &Feed::shape);
}

/// Everything the fetches need, in order of creation, but with updates of variables (and what waits
/// for them) after all that may read the old values.
void Session::Plan::choose_steps(const Graph& graph) {
  const auto& nodes = graph.nodes();
  std::vector<char> needed(nodes.size(), 0), late(nodes.size(), 0);
  for (const Tensor& fetch : fetches_) needed[std::size_t(fetch.node().id)] = 1;
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node)
    if (needed[std::size_t((*node)->id)])
      for (const Tensor& input : (*node)->inputs) needed[std::size_t(input.node().id)] = 1;
  for (const auto& node : nodes)
    if (is_effect(*node) || std::ranges::any_of(node->inputs, [&](const Tensor& input) {
          return late[std::size_t(input.node().id)] != 0;
        }))
      late[std::size_t(node->id)] = 1;

  position_.assign(nodes.size(), -1);
  for (const char when : {char(0), char(1)})
    for (const auto& node : nodes) {
      if (!needed[std::size_t(node->id)] || late[std::size_t(node->id)] != when) continue;
      position_[std::size_t(node->id)] = std::int64_t(steps_.size());
      steps_.emplace_back().node = node.get();
    }
}

/// A fed placeholder's step gets its type here.
void Session::Plan::check_feeds() {
  for (std::size_t k = 0; k < fed_.size(); ++k) {
    const std::string name = "run: placeholder '" + fed_[k].name() + "'";
    if (&fed_[k].graph() != steps_.front().node->graph ||
        position_[std::size_t(fed_[k].node().id)] < 0)
      throw std::invalid_argument(name + " is fed, but the fetches do not need it");
    Step& step = step_of(fed_[k]);
    if (!step.outputs.empty()) throw std::invalid_argument(name + " is fed twice");
    step.outputs = {{fed_shapes_[k], fed_[k].dtype()}};
  }
  for (const Step& step : steps_)
    if (is_placeholder({step.node, 0}) && step.outputs.empty())
      throw std::invalid_argument("run: placeholder '" + step.node->name +
                                  "' is needed and not fed");
}

const Session::Plan::Step& Session::Plan::step_of(const Tensor& tensor) const {
  return steps_[std::size_t(position_[std::size_t(tensor.node().id)])];
}

Session::Plan::Step& Session::Plan::step_of(const Tensor& tensor) {
  return const_cast<Step&>(std::as_const(*this).step_of(tensor));
}

/// What the steps before this one have made of its inputs' types.
void Session::Plan::gather_inputs(Step& step) const {
  step.inputs.clear();
  for (const Tensor& input : step.node->inputs)
    step.inputs.push_back(step_of(input).outputs[std::size_t(input.index())]);
}

void Session::Plan::infer_types() {
  for (Step& step : steps_) {
    gather_inputs(step);
    if (!step.outputs.empty()) continue;  // it is fed
    try {
      step.outputs = step.node->operation->infer(step.inputs);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(step.node->operation->kind() + " '" + step.node->name +
                                  "': " + error.what());
    }
  }
}

void Session::Plan::plan_operations(VariableStore& store) {
  for (Step& step : steps_) step.fetched.assign(step.outputs.size(), 0);
  for (const Tensor& fetch : fetches_) step_of(fetch).fetched[std::size_t(fetch.index())] = 1;
  for (Step& step : steps_) step.wanted = step.fetched;
  for (const Step& step : steps_)
    for (const Tensor& input : step.node->inputs)
      step_of(input).wanted[std::size_t(input.index())] = 1;

  for (Step& step : steps_) {
    gather_inputs(step);  // again: plan() may have learned more of the outputs before it
    PlanContext context{*backend_,
                        store.seed(),
                        *step.node,
                        step.inputs,
                        step.outputs,
                        step.wanted,
                        [this](const Node& node) {
                          return step_of({&node, 0}).state.get();
                        },
                        0,
                        nullptr};
    step.node->operation->plan(context);
    step.scratch_bytes = context.scratch_bytes;
    step.state = std::move(context.state);
  }
}

int Session::Plan::storage_of(const Tensor& tensor) const {
  return step_of(tensor).storage[std::size_t(tensor.index())];
}

int Session::Plan::new_storage(std::size_t bytes, std::int64_t position) {
  storages_.push_back({.bytes = bytes, .first = position, .last = position});
  return int(storages_.size()) - 1;
}

View Session::Plan::constant_view(const Step& step) {
  const auto* constant = operation_as<ConstantOperation>({step.node, 0});
  std::vector<std::byte> bytes = constant->bytes;
  const std::size_t size = size_of(constant->type.dtype), all = bytes_of(constant->type);
  bytes.resize(std::max(all, size));
  for (std::size_t k = constant->bytes.size(); k < all; ++k) bytes[k] = bytes[k - size];
  constants_.push_back(backend_->allocate(all));
  backend_->upload(constants_.back().get(), bytes.data(), all);
  return {constants_.back().get(), constant->type.shape, constant->type.dtype};
}

void Session::Plan::assign_storage(VariableStore& store) {
  const auto end = std::int64_t(steps_.size());
  for (std::int64_t position = 0; position < end; ++position) {
    Step& step = steps_[std::size_t(position)];
    const Operation& operation = *step.node->operation;
    step.storage.assign(step.outputs.size(), -1);
    const int alias = operation.alias(step.inputs);
    for (std::size_t k = 0; k < step.outputs.size(); ++k) {
      if (!step.wanted[k]) continue;
      if (k == 0 && alias >= 0) {
        step.storage[k] = storage_of(step.node->inputs[std::size_t(alias)]);
        continue;
      }
      step.storage[k] = new_storage(bytes_of(step.outputs[k]), position);
      storages_.back().fed = is_placeholder({step.node, 0});
      View& outside = storages_.back().outside;
      if (const auto* variable = operation_as<VariableOperation>({step.node, 0})) {
        store.require(variable->info);
        outside = store.view(variable->info.name);
      }
      if (operation_as<ConstantOperation>({step.node, 0})) outside = constant_view(step);
    }
    if (step.scratch_bytes > 0) step.scratch_storage = new_storage(step.scratch_bytes, position);
    if (const std::vector<int> written = operation.written_inputs(); !written.empty()) {
      Writer& writer = writers_.emplace_back(Writer{std::size_t(position), {}});
      for (const int k : written)
        writer.variables.push_back(step.node->inputs[std::size_t(k)].name());
    }
    for (const Tensor& input : step.node->inputs)
      storages_[std::size_t(storage_of(input))].last = position;
    for (const int storage : step.storage)
      if (storage >= 0) {
        auto& last = storages_[std::size_t(storage)].last;
        last = std::max(last, position);
      }
  }
  for (const Tensor& fetch : fetches_) storages_[std::size_t(storage_of(fetch))].last = end;
}

/// Lets an output take over the memory of an input that no later step reads.
void Session::Plan::reuse_storage_in_place() {
  std::vector<int> instead(storages_.size());  // of a storage that takes no room any more
  std::iota(instead.begin(), instead.end(), 0);
  const auto now = [&](int storage) {
    while (instead[std::size_t(storage)] != storage)
      storage = instead[std::size_t(storage)] = instead[std::size_t(instead[std::size_t(storage)])];
    return storage;
  };
  for (std::size_t position = 0; position < steps_.size(); ++position) {
    const Step& step = steps_[position];
    for (std::size_t k = 0; k < step.outputs.size(); ++k) {
      const int input = step.node->operation->in_place(int(k));
      if (input < 0 || step.storage[k] < 0) continue;
      const int from = now(storage_of(step.node->inputs[std::size_t(input)]));
      const int to = now(step.storage[k]);
      Storage& source = storages_[std::size_t(from)];
      Storage& target = storages_[std::size_t(to)];
      if (from == to || source.outside || source.fed || source.bytes != target.bytes ||
          source.last != std::int64_t(position))
        continue;
      source.last = target.last;
      target = {};  // takes no room
      instead[std::size_t(to)] = from;
    }
  }
  for (Step& step : steps_)
    for (int& storage : step.storage)
      if (storage >= 0) storage = now(storage);
}

void Session::Plan::place() {
  // Some storages lie side by side in one buffer: the feeds, behind the run's number, and inputs
  // that an operation wants so.
  const auto end = std::int64_t(steps_.size());
  std::vector<int> buffer_of(storages_.size(), -1);
  std::vector<std::size_t> offset_in(storages_.size(), 0);
  std::vector<Lifetime> buffers;
  const auto append = [&](int storage, Lifetime& buffer) {
    const Storage& s = storages_[std::size_t(storage)];
    buffer_of[std::size_t(storage)] = int(buffers.size());
    offset_in[std::size_t(storage)] = buffer.bytes;
    buffer.bytes += (s.bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
    buffer.first = std::min(buffer.first, s.first);
    buffer.last = std::max(buffer.last, s.last);
  };
  Lifetime uploaded{kArenaAlignment, 0, end};
  for (const Tensor& placeholder : fed_) append(storage_of(placeholder), uploaded);
  buffers.push_back(uploaded);
  for (const Step& step : steps_) {
    const int first = step.node->operation->first_packed_input();
    if (first < 0 || std::size_t(first) >= step.node->inputs.size()) continue;
    Lifetime buffer{0, end, 0};
    for (std::size_t k = std::size_t(first); k < step.node->inputs.size(); ++k) {
      const int storage = storage_of(step.node->inputs[k]);
      if (storages_[std::size_t(storage)].outside || buffer_of[std::size_t(storage)] >= 0)
        throw std::logic_error("plan: an input of '" + step.node->name + "' cannot be packed");
      append(storage, buffer);
    }
    buffers.push_back(buffer);
  }
  for (std::size_t k = 0; k < storages_.size(); ++k) {
    const Storage& s = storages_[k];
    if (s.outside || s.bytes == 0 || buffer_of[k] >= 0) continue;
    buffer_of[k] = int(buffers.size());
    buffers.push_back({s.bytes, s.first, s.last});
  }
  const ArenaLayout layout = lay_out(buffers);
  for (std::size_t k = 0; k < storages_.size(); ++k)
    if (buffer_of[k] >= 0)
      storages_[k].offset = layout.offsets[std::size_t(buffer_of[k])] + offset_in[k];
  uploaded_.resize(uploaded.bytes);
  uploaded_offset_ = layout.offsets.front();
  arena_bytes_ = layout.bytes;
}

View Session::Plan::view_of(int storage, const TensorType& type) const {
  if (storage < 0) return {};
  const Storage& s = storages_[std::size_t(storage)];
  if (s.outside) return {s.outside.data, type.shape, type.dtype, s.outside.version};
  return {arena_ + s.offset, type.shape, type.dtype};
}

void Session::Plan::bind(std::byte* arena) {
  arena_ = arena;
  step_view_ = {arena + uploaded_offset_, Shape{1}, DType::kInt64};
  for (Step& step : steps_) {
    step.input_views.clear();
    step.output_views.clear();
    for (std::size_t k = 0; k < step.inputs.size(); ++k)
      step.input_views.push_back(view_of(storage_of(step.node->inputs[k]), step.inputs[k]));
    for (std::size_t k = 0; k < step.outputs.size(); ++k)
      step.output_views.push_back(view_of(step.storage[k], step.outputs[k]));
    step.scratch_view =
        view_of(step.scratch_storage, {Shape{std::int64_t(step.scratch_bytes)}, DType::kByte});
    step.versions.assign(step.inputs.size(), 0);
  }
  replay_ = backend_->capture([this] { run_steps(); });
}

RunContext Session::Plan::context_of(const Step& step) const {
  return {*backend_,         step.input_views, step.output_views,
          step.scratch_view, step_view_,       step.state.get()};
}

void Session::Plan::prepare() {
  for (Step& step : steps_) {
    bool changed = false;
    for (std::size_t k = 0; k < step.input_views.size(); ++k) {
      const std::uint64_t* version = step.input_views[k].version;
      if (!version || *version == step.versions[k]) continue;
      step.versions[k] = *version;
      changed = true;
    }
    if (changed) step.node->operation->prepare(context_of(step));
  }
}

void Session::Plan::run_steps() const {
  for (const Step& step : steps_) step.node->operation->run(context_of(step));
}

/// All at once: each upload costs a GPU several operations, however few its bytes are.
void Session::Plan::upload(std::int64_t step, std::span<const Feed> feeds) {
  std::memcpy(uploaded_.data(), &step, sizeof(step));
  const std::byte* const region = arena_ + uploaded_offset_;
  for (const Feed& feed : feeds) {
    const View target = step_of(feed.placeholder()).output_views.front();
    const auto at = std::size_t(static_cast<std::byte*>(target.data) - region);
    std::memcpy(&uploaded_[at], feed.data(), target.bytes());
  }
  backend_->upload(arena_ + uploaded_offset_, uploaded_.data(), uploaded_.size());
}

/// One writer after the other: what the first made of a variable is not what it is after the
/// second.
void Session::Plan::renew_written() const {
  for (const Writer& writer : writers_) {
    const Step& step = steps_[writer.step];
    step.node->operation->renew_written(context_of(step), [&] {
      for (const std::string& name : writer.variables) store_->touch(name);
    });
  }
}

void Session::Plan::run(std::int64_t step, std::span<const Feed> feeds) {
  upload(step, feeds);
  prepare();
  replay_->run();
  renew_written();
}

View Session::Plan::fetched(Tensor tensor) const {
  if (tensor && &tensor.graph() == steps_.front().node->graph) {
    const auto id = std::size_t(tensor.node().id);  // the graph may have grown since
    const auto index = std::size_t(tensor.index());
    const std::int64_t position = id < position_.size() ? position_[id] : -1;
    if (position >= 0 && steps_[std::size_t(position)].fetched[index] != 0)
      return steps_[std::size_t(position)].output_views[index];
  }
  throw std::invalid_argument("read: the tensor is not a fetch of the last run");
}

}  // namespace unroll
