#include "unroll/session.h"

#include <algorithm>
#include <iomanip>
#include <span>
#include <sstream>
#include <stdexcept>

#include "host/graph/plan.h"

namespace unroll {
namespace {

/// The placeholder's shape with its open dimension, if there is one, taking what is left.
Shape fill_open_dimension(const Tensor& placeholder, std::size_t size) {
  Shape shape = placeholder.shape();
  std::int64_t known = 1;
  int open = -1, count = 0;
  for (int k = 0; k < shape.rank(); ++k) {
    if (shape[k] == kOpen) {
      open = k;
      ++count;
    } else {
      known *= shape[k];
    }
  }
  if (count > 1)
    throw std::invalid_argument("placeholder '" + placeholder.name() + "' " + to_string(shape) +
                                " has several open dimensions: feed it with a shape");
  if (count == 1 && known > 0) shape[open] = std::int64_t(size) / known;
  return shape;
}

/// A training run has one to three shapes, a corpus sorted by length some dozens. On the CPU a plan
/// takes tens of kilobytes; on a GPU, with a graph that was captured, up to megabytes.
constexpr std::size_t kMostPlans = 64;

/// A system promises more memory than it has, one variable after the other, and ends the process
/// that then uses it. On the CPU the values that a variable starts with take memory, too.
void require_memory(const VariableStore& store, std::span<const Tensor> variables) {
  double bytes = 0, largest = 0;
  for (const Tensor& variable : variables) {
    const VariableInfo& info = operation_as<VariableOperation>(variable)->info;
    if (store.contains(info.name)) continue;
    const double own = double(info.type.shape.elements()) * double(size_of(info.type.dtype));
    bytes += own;
    largest = std::max(largest, own);
  }
  if (store.backend().kind() == DeviceKind::kCpu) bytes += largest;
  // Where even so little is said not to be there, the system slows a program down, or ends it soon.
  constexpr double kLittle = 1 << 26;
  if (bytes < kLittle) return;
  const auto available = double(store.backend().memory().available);
  if (bytes <= available) return;
  std::ostringstream message;
  message << std::fixed << std::setprecision(1) << "out of memory: asked for " << bytes * 1e-6
          << " MB of variables, expected at most the " << available * 1e-6
          << " MB that are available on " << store.backend().name();
  throw std::runtime_error(message.str());
}

}  // namespace

Feed::Feed(Tensor placeholder, const void* data, std::size_t size, DType dtype, const Shape* shape)
    : placeholder_(placeholder), data_(data) {
  if (!placeholder || !operation_as<PlaceholderOperation>(placeholder))
    throw std::invalid_argument("feed: the tensor is not a placeholder");
  shape_ = shape ? *shape : fill_open_dimension(placeholder, size);
  const bool fits = dtype == placeholder.dtype() && !shape_.is_open() &&
                    shapes_agree(shape_, placeholder.shape()) &&
                    shape_.elements() == std::int64_t(size);
  if (fits && size == 0) {
    const auto empty = std::ranges::find(shape_.dims(), 0) - shape_.dims().begin();
    throw std::invalid_argument("placeholder '" + placeholder.name() + "' " +
                                to_string(placeholder.shape()) + ": got no values, so dimension " +
                                std::to_string(empty) + " would be 0, expected 1 or more");
  }
  if (!fits)
    throw std::invalid_argument(
        "placeholder '" + placeholder.name() + "': got " + std::to_string(size) + " " +
        to_string(dtype) + " values" + (shape ? " as " + to_string(*shape) : std::string()) +
        ", expected " + to_string(placeholder.dtype()) + " " + to_string(placeholder.shape()));
}

Feed::Feed(Tensor placeholder, const View& on_device)
    : Feed(placeholder, on_device.data, std::size_t(on_device.elements()), on_device.dtype,
           &on_device.shape) {
  on_device_ = true;
}

Session::Session(const Graph& graph, std::shared_ptr<Backend> backend, std::uint64_t seed)
    : Session(graph, std::make_shared<VariableStore>(std::move(backend), seed)) {}

Session::Session(const Graph& graph, std::shared_ptr<VariableStore> store)
    : graph_(graph), store_(std::move(store)) {
  require_memory(*store_, graph.variables());
  for (const Tensor& variable : graph.variables())
    store_->require(operation_as<VariableOperation>(variable)->info);
}

Session::~Session() = default;

Session::Plan& Session::plan_for(std::span<const Tensor> fetches, std::span<const Feed> feeds) {
  const auto known =
      std::ranges::find_if(plans_, [&](const auto& plan) { return plan->matches(fetches, feeds); });
  if (known != plans_.end()) {
    std::rotate(plans_.begin(), known, known + 1);
    return *plans_.front();
  }
  auto plan = std::make_unique<Plan>(graph_, *store_, fetches, feeds);
  if (plans_.size() == kMostPlans) drop_oldest_plan();
  plans_.insert(plans_.begin(), std::move(plan));
  return *plans_.front();
}

/// The plan used longest ago, but not the one whose results may yet be read.
void Session::drop_oldest_plan() {
  const auto oldest = plans_.end() - (plans_.back().get() == last_ ? 2 : 1);
  store_->backend().synchronize();  // what the plan owns may still be at work
  plans_.erase(oldest);
}

Session::Plan& Session::bound_plan_for(std::span<const Tensor> fetches,
                                       std::span<const Feed> feeds) {
  Plan& plan = plan_for(fetches, feeds);
  if (arena_ && plan.bound_to(static_cast<std::byte*>(arena_.get()))) return plan;
  if (const std::size_t bytes = plan.arena_bytes(); bytes > arena_bytes_) {
    arena_.reset();  // before the larger one is asked for
    arena_bytes_ = 0;
    last_ = nullptr;  // its results were there
    try {
      arena_ = store_->backend().allocate(bytes);
    } catch (...) {
      plans_.clear();  // they point into memory that is gone
      throw;
    }
    arena_bytes_ = bytes;
  }
  // A moved arena moves all plans, now, so that later runs of known shapes allocate nothing.
  auto* arena = static_cast<std::byte*>(arena_.get());
  for (const auto& known : plans_)
    if (known->arena_bytes() <= arena_bytes_ && !known->bound_to(arena)) known->bind(arena);
  return plan;
}

void Session::run(std::span<const Tensor> fetches, std::span<const Feed> feeds) {
  if (fetches.empty()) throw std::invalid_argument("run: nothing is fetched");
  last_ = nullptr;
  Plan& plan = bound_plan_for(fetches, feeds);
  plan.run(step_, feeds);
  ++step_;
  last_ = &plan;
}

void Session::run(Tensor fetch, std::initializer_list<Feed> feeds) {
  run({fetch}, feeds);
}

void Session::run(std::initializer_list<Tensor> fetches, std::initializer_list<Feed> feeds) {
  run(std::span(fetches.begin(), fetches.size()), std::span(feeds.begin(), feeds.size()));
}

void Session::prepare(std::span<const Tensor> fetches, std::span<const Feed> feeds) {
  if (fetches.empty()) throw std::invalid_argument("prepare: nothing is fetched");
  bound_plan_for(fetches, feeds);
}

std::size_t Session::required_bytes(std::span<const Tensor> fetches, std::span<const Feed> feeds) {
  if (fetches.empty()) throw std::invalid_argument("required_bytes: nothing is fetched");
  return plan_for(fetches, feeds).arena_bytes();
}

void Session::require_results() const {
  if (!last_)
    throw std::invalid_argument("read: nothing has been run, or prepare() took its memory since");
}

Shape Session::shape(Tensor fetched) const {
  return view(fetched).shape;
}

View Session::view(Tensor fetched) const {
  require_results();
  return last_->fetched(fetched);
}

void Session::read_bytes(Tensor fetched, void* values, std::size_t size, DType dtype) const {
  const View view = this->view(fetched);
  if (view.dtype != dtype || view.elements() != std::int64_t(size))
    throw std::invalid_argument("read '" + fetched.name() + "': got room for " +
                                std::to_string(size) + " " + to_string(dtype) +
                                " values, expected " + to_string(view.dtype) + " " +
                                to_string(view.shape));
  store_->backend().download(values, view.data, view.bytes());
}

std::vector<float> Session::evaluate(Tensor fetch, std::initializer_list<Feed> feeds) {
  run(fetch, feeds);
  return read(fetch);
}

std::size_t Session::arena_bytes() const {
  return arena_bytes_;
}
int Session::plans() const {
  return int(plans_.size());
}

}  // namespace unroll
