/// A run of a session's graph for given fetches and feed shapes: a schedule, and the upload of what
/// each run brings with it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "host/graph/schedule.h"
#include "unroll/session.h"

namespace unroll {

class Session::Plan {
 public:
  /// Throws std::invalid_argument if the feeds do not fit the graph.
  Plan(const Graph& graph, VariableStore& store, std::span<const Tensor> fetches,
       std::span<const Feed> feeds);

  bool matches(std::span<const Tensor> fetches, std::span<const Feed> feeds) const;
  std::size_t arena_bytes() const { return uploaded_.size() + schedule_->arena_bytes(); }

  /// Fixes every address and records the run. Again whenever the arena moves.
  void bind(std::byte* arena);
  bool bound_to(const std::byte* arena) const { return arena_ == arena; }

  /// `step`: the run's number.
  void run(std::int64_t step, std::span<const Feed> feeds);

  /// Throws std::invalid_argument if `tensor` was not fetched.
  View fetched(Tensor tensor) const { return schedule_->fetched(tensor); }

 private:
  void check_feeds(const Graph& graph) const;
  void place_feeds();
  void upload(std::int64_t step, std::span<const Feed> feeds);

  Backend* backend_;
  std::vector<Tensor> fetches_;
  std::vector<Tensor> fed_;
  std::vector<Shape> fed_shapes_;
  std::vector<const void*> fed_places_;  // on the device; null: uploaded
  std::unique_ptr<Schedule> schedule_;
  // The run's number, those for loops and then the feeds: side by side here and at the front of the
  // arena, where they go in one upload.
  std::vector<std::byte> uploaded_;
  std::vector<std::size_t> feed_offsets_;  // of those that are uploaded
  std::int64_t numbers_ = 0;               // for loops
  std::byte* arena_ = nullptr;
};

}  // namespace unroll
