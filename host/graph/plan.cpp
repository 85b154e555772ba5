#include "host/graph/plan.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "host/graph/arena.h"
#include "unroll/backend.h"

namespace unroll {
namespace {

constexpr const char* kNotNeeded = ", but the fetches do not need it";

[[noreturn]] void refuse_feed(const Tensor& placeholder, const char* why) {
  throw std::invalid_argument("run: placeholder '" + placeholder.name() + "' is fed" + why);
}

const void* place_of(const Feed& feed) {
  return feed.on_device() ? feed.data() : nullptr;
}

}  // namespace

Session::Plan::Plan(const Graph& graph, VariableStore& store, std::span<const Tensor> fetches,
                    std::span<const Feed> feeds)
    : backend_(&store.backend()), fetches_(fetches.begin(), fetches.end()) {
  for (const Feed& feed : feeds) {
    fed_.push_back(feed.placeholder());
    fed_shapes_.push_back(feed.shape());
    fed_places_.push_back(place_of(feed));
  }
  for (const Tensor& fetch : fetches_)
    if (!fetch || &fetch.graph() != &graph)
      throw std::invalid_argument("run: a fetch is not of this session's graph");
  check_feeds(graph);
  schedule_ = std::make_unique<Schedule>(ScheduleRequest{.graph = graph,
                                                         .backend = *backend_,
                                                         .seed = store.seed(),
                                                         .variables = &store,
                                                         .fetches = fetches_,
                                                         .placeholders = fed_,
                                                         .shapes = fed_shapes_});
  for (const Tensor& placeholder : fed_)
    if (!schedule_->needs(placeholder)) refuse_feed(placeholder, kNotNeeded);
  place_feeds();
}

bool Session::Plan::matches(std::span<const Tensor> fetches, std::span<const Feed> feeds) const {
  return std::ranges::equal(fetches, fetches_) && feeds.size() == fed_.size() &&
         std::ranges::equal(feeds, fed_, {}, &Feed::placeholder) &&
         std::ranges::equal(feeds, fed_shapes_, {}, &Feed::shape) &&
         std::ranges::equal(feeds, fed_places_, {}, place_of);
}

void Session::Plan::check_feeds(const Graph& graph) const {
  for (std::size_t k = 0; k < fed_.size(); ++k) {
    if (&fed_[k].graph() != &graph) refuse_feed(fed_[k], kNotNeeded);
    if (std::find(fed_.begin(), fed_.begin() + std::ptrdiff_t(k), fed_[k]) !=
        fed_.begin() + std::ptrdiff_t(k))
      refuse_feed(fed_[k], " twice");
  }
}

void Session::Plan::place_feeds() {
  numbers_ = count_of(schedule_->numbers());
  std::size_t bytes = aligned(std::size_t(1 + numbers_) * sizeof(std::int64_t));
  for (std::size_t k = 0; k < fed_.size(); ++k) {
    feed_offsets_.push_back(bytes);
    if (fed_places_[k]) continue;
    bytes += aligned(std::size_t(fed_shapes_[k].elements()) * size_of(fed_[k].dtype()));
  }
  uploaded_.resize(bytes);
}

void Session::Plan::bind(std::byte* arena) {
  arena_ = nullptr;  // until all is bound, which may throw
  schedule_->bind(arena + uploaded_.size());
  for (std::size_t k = 0; k < fed_.size(); ++k)
    schedule_->set_input(
        k, {fed_places_[k] ? const_cast<void*>(fed_places_[k]) : arena + feed_offsets_[k],
            fed_shapes_[k], fed_[k].dtype()});
  schedule_->set_step({arena, Shape{1}, DType::kInt64},
                      {arena + sizeof(std::int64_t), Shape{numbers_}, DType::kInt64});
  schedule_->bind_operations();
  schedule_->capture();
  arena_ = arena;
}

/// All at once: each upload costs a GPU several operations, however few its bytes are.
void Session::Plan::upload(std::int64_t step, std::span<const Feed> feeds) {
  auto* const first = reinterpret_cast<std::int64_t*>(uploaded_.data());
  *first = step;
  std::span<std::int64_t> rest(first + 1, std::size_t(numbers_));
  for (const StepNumbers& numbers : schedule_->numbers()) numbers.fill(step, rest);
  for (std::size_t k = 0; k < fed_.size(); ++k)
    if (!fed_places_[k])
      std::memcpy(&uploaded_[feed_offsets_[k]], feeds[k].data(),
                  std::size_t(fed_shapes_[k].elements()) * size_of(fed_[k].dtype()));
  backend_->upload(arena_, uploaded_.data(), uploaded_.size());
}

void Session::Plan::run(std::int64_t step, std::span<const Feed> feeds) {
  upload(step, feeds);
  schedule_->prepare();
  schedule_->run();
  schedule_->renew_written();
}

}  // namespace unroll
