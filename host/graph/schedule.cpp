#include "host/graph/schedule.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "host/graph/arena.h"
#include "unroll/backend.h"
#include "unroll/math/philox.h"

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

std::int64_t count_of(std::span<const StepNumbers> all) {
  std::int64_t count = 0;
  for (const StepNumbers& numbers : all) count += numbers.count();
  return count;
}

std::int64_t StepNumbers::per_iteration() const {
  return 1 + count_of(inside);
}

std::int64_t StepNumbers::count() const {
  return iterations == 0 ? 0 : iterations * per_iteration();
}

void StepNumbers::fill(std::int64_t step, std::span<std::int64_t>& out) const {
  for (std::int64_t k = 0; k < iterations; ++k) {
    const auto number = std::int64_t(math::philox_step(std::uint64_t(step), std::uint64_t(k)));
    out.front() = number;
    out = out.subspan(1);
    for (const StepNumbers& numbers : inside) numbers.fill(number, out);
  }
}

Schedule::Schedule(ScheduleRequest request)
    : backend_(&request.backend),
      store_(request.variables),
      seed_(request.seed),
      fetches_(std::move(request.fetches)),
      inputs_(std::move(request.placeholders)),
      externals_(inputs_.size()) {
  choose_steps(request.graph);
  take_inputs(request.shapes);
  infer_types();
  plan_operations();
  assign_storage();
  reuse_storage_in_place();
  if (request.results_outside) place_results_outside();
  place();
}

/// Everything the fetches need, in order of creation, but with updates of variables (and what waits
/// for them) after all that may read the old values.
void Schedule::choose_steps(const Graph& graph) {
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

/// An input's step gets its type here. An input that no step reads is left out.
void Schedule::take_inputs(std::span<const Shape> shapes) {
  for (std::size_t k = 0; k < inputs_.size(); ++k)
    if (needs(inputs_[k])) step_of(inputs_[k]).outputs = {{shapes[k], inputs_[k].dtype()}};
  for (const Step& step : steps_)
    if (is_placeholder({step.node, 0}) && step.outputs.empty())
      throw std::invalid_argument("run: placeholder '" + step.node->name +
                                  "' is needed and not fed");
}

bool Schedule::needs(const Tensor& tensor) const {
  return position_[std::size_t(tensor.node().id)] >= 0;
}

const Schedule::Step& Schedule::step_of(const Tensor& tensor) const {
  return steps_[std::size_t(position_[std::size_t(tensor.node().id)])];
}

Schedule::Step& Schedule::step_of(const Tensor& tensor) {
  return const_cast<Step&>(std::as_const(*this).step_of(tensor));
}

/// What the steps before this one have made of its inputs' types.
void Schedule::gather_inputs(Step& step) const {
  step.inputs.clear();
  for (const Tensor& input : step.node->inputs)
    step.inputs.push_back(step_of(input).outputs[std::size_t(input.index())]);
}

void Schedule::infer_types() {
  for (Step& step : steps_) {
    gather_inputs(step);
    if (!step.outputs.empty()) continue;  // it is an input
    try {
      step.outputs = step.node->operation->infer(step.inputs);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(step.node->operation->kind() + " '" + step.node->name +
                                  "': " + error.what());
    }
  }
}

void Schedule::plan_operations() {
  for (Step& step : steps_) step.fetched.assign(step.outputs.size(), 0);
  for (const Tensor& fetch : fetches_) step_of(fetch).fetched[std::size_t(fetch.index())] = 1;
  for (Step& step : steps_) step.wanted = step.fetched;
  for (const Step& step : steps_)
    for (const Tensor& input : step.node->inputs)
      step_of(input).wanted[std::size_t(input.index())] = 1;

  std::int64_t numbers = 0;
  for (Step& step : steps_) {
    gather_inputs(step);  // again: plan() may have learned more of the outputs before it
    PlanContext context{*backend_,
                        seed_,
                        *step.node,
                        step.inputs,
                        step.outputs,
                        step.wanted,
                        [this](const Node& node) {
                          return step_of({&node, 0}).state.get();
                        },
                        0,
                        nullptr,
                        {}};
    step.node->operation->plan(context);
    step.scratch_bytes = context.scratch_bytes;
    step.state = std::move(context.state);
    step.first_number = numbers;
    numbers += context.numbers.count();
    numbers_.push_back(std::move(context.numbers));
  }
}

int Schedule::storage_of(const Tensor& tensor) const {
  return step_of(tensor).storage[std::size_t(tensor.index())];
}

int Schedule::new_storage(std::size_t bytes, std::int64_t position) {
  storages_.push_back({.bytes = bytes, .first = position, .last = position});
  return int(storages_.size()) - 1;
}

View Schedule::constant_view(const Step& step) {
  const auto* constant = operation_as<ConstantOperation>({step.node, 0});
  std::vector<std::byte> bytes = constant->bytes;
  const std::size_t size = size_of(constant->type.dtype), all = bytes_of(constant->type);
  bytes.resize(std::max(all, size));
  for (std::size_t k = constant->bytes.size(); k < all; ++k) bytes[k] = bytes[k - size];
  constants_.push_back(backend_->allocate(all));
  backend_->upload(constants_.back().get(), bytes.data(), all);
  return {constants_.back().get(), constant->type.shape, constant->type.dtype};
}

void Schedule::assign_storage() {
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
      if (is_placeholder({step.node, 0})) {
        const auto input = std::ranges::find(inputs_, Tensor(step.node, 0));
        storages_.back().external = int(input - inputs_.begin());
      }
      View& outside = storages_.back().outside;
      if (const auto* variable = operation_as<VariableOperation>({step.node, 0})) {
        store_->require(variable->info);
        outside = store_->view(variable->info.name);
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
void Schedule::reuse_storage_in_place() {
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
      if (from == to || !source.in_arena() || source.bytes != target.bytes ||
          source.last != std::int64_t(position))
        continue;
      // An alias of this input may be another one, which is read after the output is written.
      if (std::ranges::count_if(step.node->inputs, [&](const Tensor& other) {
            return now(storage_of(other)) == from;
          }) > 1)
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

/// A fetch is computed where it belongs if that memory is its alone, else copied there.
void Schedule::place_results_outside() {
  for (const Tensor& fetch : fetches_) {
    const int external = int(externals_.size());
    externals_.emplace_back();
    const Step& step = step_of(fetch);
    Storage& storage = storages_[std::size_t(storage_of(fetch))];
    if (storage.in_arena() && storage.bytes == bytes_of(step.outputs[std::size_t(fetch.index())]))
      storage.external = external;
    else
      copied_.emplace_back(fetch, external);
  }
}

void Schedule::place() {
  // Some storages lie side by side in one buffer: inputs that an operation wants so.
  const auto end = std::int64_t(steps_.size());
  std::vector<int> buffer_of(storages_.size(), -1);
  std::vector<std::size_t> offset_in(storages_.size(), 0);
  std::vector<Lifetime> buffers;
  const auto append = [&](int storage, Lifetime& buffer) {
    const Storage& s = storages_[std::size_t(storage)];
    buffer_of[std::size_t(storage)] = int(buffers.size());
    offset_in[std::size_t(storage)] = buffer.bytes;
    buffer.bytes += aligned(s.bytes);
    buffer.first = std::min(buffer.first, s.first);
    buffer.last = std::max(buffer.last, s.last);
  };
  for (const Step& step : steps_) {
    const int first = step.node->operation->first_packed_input();
    if (first < 0 || std::size_t(first) >= step.node->inputs.size()) continue;
    Lifetime buffer{0, end, 0};
    for (std::size_t k = std::size_t(first); k < step.node->inputs.size(); ++k) {
      const int storage = storage_of(step.node->inputs[k]);
      if (!storages_[std::size_t(storage)].in_arena() || buffer_of[std::size_t(storage)] >= 0)
        throw std::logic_error("plan: an input of '" + step.node->name + "' cannot be packed");
      append(storage, buffer);
    }
    buffers.push_back(buffer);
  }
  for (std::size_t k = 0; k < storages_.size(); ++k) {
    const Storage& s = storages_[k];
    if (!s.in_arena() || s.bytes == 0 || buffer_of[k] >= 0) continue;
    buffer_of[k] = int(buffers.size());
    buffers.push_back({s.bytes, s.first, s.last});
  }
  const ArenaLayout layout = lay_out(buffers);
  for (std::size_t k = 0; k < storages_.size(); ++k)
    if (buffer_of[k] >= 0)
      storages_[k].offset = layout.offsets[std::size_t(buffer_of[k])] + offset_in[k];
  arena_bytes_ = layout.bytes;
}

View Schedule::view_of(int storage, const TensorType& type) const {
  if (storage < 0) return {};
  const Storage& s = storages_[std::size_t(storage)];
  if (s.in_arena()) return {arena_ + s.offset, type.shape, type.dtype};
  const View& outside = s.external < 0 ? s.outside : externals_[std::size_t(s.external)].where;
  return {outside.data, type.shape, type.dtype, outside.version};
}

void Schedule::bind(std::byte* arena) {
  arena_ = arena;
  for (External& external : externals_) external.users.clear();
  const auto remember = [&](int storage, View& view) {
    if (storage < 0 || storages_[std::size_t(storage)].external < 0) return;
    externals_[std::size_t(storages_[std::size_t(storage)].external)].users.push_back(&view);
  };
  for (Step& step : steps_) {
    step.input_views.clear();
    step.output_views.clear();
    for (std::size_t k = 0; k < step.inputs.size(); ++k)
      step.input_views.push_back(view_of(storage_of(step.node->inputs[k]), step.inputs[k]));
    for (std::size_t k = 0; k < step.outputs.size(); ++k)
      step.output_views.push_back(view_of(step.storage[k], step.outputs[k]));
    for (std::size_t k = 0; k < step.inputs.size(); ++k)
      remember(storage_of(step.node->inputs[k]), step.input_views[k]);
    for (std::size_t k = 0; k < step.outputs.size(); ++k)
      remember(step.storage[k], step.output_views[k]);
    step.scratch_view =
        view_of(step.scratch_storage, {Shape{std::int64_t(step.scratch_bytes)}, DType::kByte});
    step.versions.assign(step.inputs.size(), 0);
  }
}

void Schedule::set_external(std::size_t k, const View& where) {
  External& external = externals_[k];
  external.where = where;
  for (View* view : external.users) {
    view->data = where.data;
    view->version = where.version;
  }
}

void Schedule::set_step(const View& step, const View& numbers) {
  step_view_ = step;
  numbers_view_ = numbers;
}

RunContext Schedule::context_of(const Step& step) const {
  View numbers;
  if (const std::int64_t count = numbers_[std::size_t(&step - steps_.data())].count(); count > 0)
    numbers = {numbers_view_.as<std::int64_t>() + step.first_number, Shape{count}, DType::kInt64};
  return {*backend_,        step.input_views, step.output_views, step.scratch_view, step_view_,
          step.state.get(), numbers};
}

void Schedule::bind_operations() {
  for (const Step& step : steps_) step.node->operation->bind(context_of(step));
}

void Schedule::capture() {
  segments_.clear();
  std::size_t begin = 0;
  const auto end_segment = [&](std::size_t end) {
    if (begin < end)
      segments_.push_back({backend_->capture([this, begin, end] { queue(begin, end); }), 0});
  };
  for (std::size_t k = 0; k < steps_.size(); ++k) {
    if (!steps_[k].node->operation->host_decides()) continue;
    end_segment(k);
    segments_.push_back({nullptr, k});
    begin = k + 1;
  }
  // Copies of results are the end of the last segment, even if it has no step.
  if (begin == steps_.size() && !copied_.empty())
    segments_.push_back({backend_->capture([this] { copy_results(); }), 0});
  end_segment(steps_.size());
}

void Schedule::run() {
  for (const Segment& segment : segments_) {
    if (segment.replay) {
      segment.replay->run();
    } else {
      const Step& step = steps_[segment.decider];
      step.node->operation->run(context_of(step));
    }
  }
}

void Schedule::prepare() {
  for (Step& step : steps_) {
    const auto is_new = [&](std::size_t k) {
      const std::uint64_t* version = step.input_views[k].version;
      return version && *version != step.versions[k];
    };
    std::vector<std::uint64_t>& known = step.versions;
    bool changed = false;
    for (std::size_t k = 0; k < known.size(); ++k) changed = changed || is_new(k);
    if (!changed) continue;
    step.node->operation->prepare(context_of(step));
    for (std::size_t k = 0; k < known.size(); ++k)  // only now: it may have thrown
      if (is_new(k)) known[k] = *step.input_views[k].version;
  }
}

void Schedule::queue(std::size_t begin, std::size_t end) const {
  for (std::size_t k = begin; k < end; ++k) steps_[k].node->operation->run(context_of(steps_[k]));
  if (end == steps_.size()) copy_results();
}

void Schedule::copy_results() const {
  for (const auto& [fetch, external] : copied_) {
    const View from = step_of(fetch).output_views[std::size_t(fetch.index())];
    backend_->copy(externals_[std::size_t(external)].where.data, from.data, from.bytes());
  }
}

/// One writer after the other: what the first made of a variable is not what it is after the
/// second.
void Schedule::renew_written() const {
  for (const Writer& writer : writers_) {
    const Step& step = steps_[writer.step];
    step.node->operation->renew_written(context_of(step), [&] {
      for (const std::string& name : writer.variables) store_->touch(name);
    });
  }
}

View Schedule::fetched(Tensor tensor) const {
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
