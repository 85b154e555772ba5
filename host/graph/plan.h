/// A run of a graph for given fetches and feed shapes: which nodes in which order, how large every
/// tensor is, when it lives, and where.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "host/graph/operation.h"
#include "unroll/session.h"

namespace unroll {

class Session::Plan {
 public:
  /// Throws std::invalid_argument if the feeds do not fit the graph.
  Plan(const Graph& graph, VariableStore& store, std::span<const Tensor> fetches,
       std::span<const Feed> feeds);

  bool matches(std::span<const Tensor> fetches, std::span<const Feed> feeds) const;
  std::size_t arena_bytes() const { return arena_bytes_; }

  /// Fixes every address and records the run. Again whenever the arena moves.
  void bind(std::byte* arena);
  bool bound_to(const std::byte* arena) const { return arena_ == arena; }

  /// `step`: the run's number.
  void run(std::int64_t step, std::span<const Feed> feeds);

  /// Throws std::invalid_argument if `tensor` was not fetched.
  View fetched(Tensor tensor) const;

 private:
  /// Memory for one or several tensors: in the arena, or somewhere that outlives the run.
  struct Storage {
    std::size_t bytes = 0;
    std::int64_t first = 0, last = 0;
    View outside;            // set: not in the arena
    bool fed = false;        // set: among what is uploaded
    std::size_t offset = 0;  // in the arena
  };
  struct Step {
    const Node* node;
    std::vector<TensorType> inputs, outputs;
    std::vector<char> fetched, wanted;  // per output; wanted: fetched, or read by another step
    std::vector<int> storage;           // per output; -1 where it is not wanted
    std::size_t scratch_bytes = 0;
    int scratch_storage = -1;
    std::shared_ptr<OperationState> state;
    std::vector<View> input_views, output_views;
    View scratch_view;
    std::vector<std::uint64_t> versions;  // of the inputs when they were last prepared
  };

  // The passes of planning, in order.
  void check_feeds();
  void choose_steps(const Graph& graph);
  void infer_types();
  void gather_inputs(Step& step) const;
  void plan_operations(VariableStore& store);
  void assign_storage(VariableStore& store);
  void reuse_storage_in_place();
  void place();

  const Step& step_of(const Tensor& tensor) const;
  Step& step_of(const Tensor& tensor);
  int storage_of(const Tensor& tensor) const;
  int new_storage(std::size_t bytes, std::int64_t position);
  View constant_view(const Step& step);
  View view_of(int storage, const TensorType& type) const;
  RunContext context_of(const Step& step) const;
  void upload(std::int64_t step, std::span<const Feed> feeds);
  void prepare();
  void run_steps() const;
  void renew_written() const;

  VariableStore* store_;
  Backend* backend_;
  std::vector<Tensor> fetches_;
  std::vector<Tensor> fed_;
  std::vector<Shape> fed_shapes_;
  std::vector<Step> steps_;
  std::vector<std::int64_t> position_;  // of a node's step, by node id; -1: not needed
  std::vector<Storage> storages_;
  std::vector<std::shared_ptr<void>> constants_;
  struct Writer {
    std::size_t step;
    std::vector<std::string> variables;
  };
  std::vector<Writer> writers_;  // in the order in which they write
  std::size_t arena_bytes_ = 0;
  std::byte* arena_ = nullptr;
  // The run's number and, behind it, the feeds: side by side here and in the arena, where they go
  // in one upload.
  std::vector<std::byte> uploaded_;
  std::size_t uploaded_offset_ = 0;  // in the arena
  View step_view_;
  std::unique_ptr<Replay> replay_;
};

}  // namespace unroll
