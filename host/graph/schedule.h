/// How to compute some tensors of a graph: which nodes in which order, how large every tensor is,
/// when it lives, and where. A session's plan has one, and so has each body of a loop or branch.
///
/// A schedule owns no memory but the graph's constants. Its arena, its inputs, the step number and,
/// if it was asked for, its results lie where its owner says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "host/graph/operation.h"
#include "unroll/variable_store.h"

namespace unroll {

struct ScheduleRequest {
  const Graph& graph;
  Backend& backend;
  std::uint64_t seed = 0;
  VariableStore* variables = nullptr;  // null if the graph has none
  std::vector<Tensor> fetches;
  std::vector<Tensor> placeholders;  // the inputs
  std::vector<Shape> shapes;         // of the inputs, closed
  bool results_outside = false;      // else they are in the arena
};

class Schedule {
 public:
  /// Throws std::invalid_argument if the shapes do not fit the graph or an input is missing.
  explicit Schedule(ScheduleRequest request);
  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;

  /// Whether the fetches need it.
  bool needs(const Tensor& tensor) const;
  std::size_t arena_bytes() const { return arena_bytes_; }
  /// Per node: what the step numbers that set_step() gets are.
  const std::vector<StepNumbers>& numbers() const { return numbers_; }

  // Where things are. First the arena, then the rest, then bind_operations().
  void bind(std::byte* arena);
  /// Input k, in the order of the placeholders.
  void set_input(std::size_t k, const View& where) { set_external(k, where); }
  /// Result k, in the order of the fetches.
  void set_result(std::size_t k, const View& where) { set_external(inputs_.size() + k, where); }
  void set_step(const View& step, const View& numbers);
  void bind_operations();

  /// Before a run, outside any capture.
  void prepare();
  /// Queues everything. Inputs and results may move between two calls.
  void queue() const { queue(0, steps_.size()); }
  /// Or: records everything where it is now, in segments with the host's decisions between them.
  void capture();
  /// Runs what was recorded.
  void run();
  /// After a run: gives variables that were written their new versions.
  void renew_written() const;

  /// Throws std::invalid_argument if `tensor` was not fetched.
  View fetched(Tensor tensor) const;

 private:
  /// Memory for one or several tensors.
  struct Storage {
    std::size_t bytes = 0;
    std::int64_t first = 0, last = 0;
    View outside;            // set: a variable or a constant
    int external = -1;       // else, if not negative: an input or result
    std::size_t offset = 0;  // else: in the arena

    bool in_arena() const { return !outside && external < 0; }
  };
  struct Step {
    const Node* node;
    std::vector<TensorType> inputs, outputs;
    std::vector<char> fetched, wanted;  // per output; wanted: fetched, or read by another step
    std::vector<int> storage;           // per output; -1 where it is not wanted
    std::size_t scratch_bytes = 0;
    int scratch_storage = -1;
    std::int64_t first_number = 0;  // of its step numbers, among all
    std::shared_ptr<OperationState> state;
    std::vector<View> input_views, output_views;
    View scratch_view;
    std::vector<std::uint64_t> versions;  // of the inputs when they were last prepared
  };
  struct External {
    View where;
    std::vector<View*> users;  // among the steps' views
  };
  struct Segment {
    std::unique_ptr<Replay> replay;
    std::size_t decider;  // without a replay: the step at which the host decides
  };
  struct Writer {
    std::size_t step;
    std::vector<std::string> variables;
  };

  // The passes of planning, in order.
  void choose_steps(const Graph& graph);
  void take_inputs(std::span<const Shape> shapes);
  void infer_types();
  void gather_inputs(Step& step) const;
  void plan_operations();
  void assign_storage();
  void reuse_storage_in_place();
  void place_results_outside();
  void place();

  const Step& step_of(const Tensor& tensor) const;
  Step& step_of(const Tensor& tensor);
  int storage_of(const Tensor& tensor) const;
  int new_storage(std::size_t bytes, std::int64_t position);
  View constant_view(const Step& step);
  View view_of(int storage, const TensorType& type) const;
  void set_external(std::size_t k, const View& where);
  RunContext context_of(const Step& step) const;
  void queue(std::size_t begin, std::size_t end) const;
  void copy_results() const;

  Backend* backend_;
  VariableStore* store_;
  std::uint64_t seed_;
  std::vector<Tensor> fetches_;
  std::vector<Tensor> inputs_;
  std::vector<External> externals_;             // inputs, then results
  std::vector<std::pair<Tensor, int>> copied_;  // results that are copied to their external
  std::vector<Step> steps_;
  std::vector<std::int64_t> position_;  // of a node's step, by node id; -1: not needed
  std::vector<StepNumbers> numbers_;    // per step
  std::vector<Storage> storages_;
  std::vector<std::shared_ptr<void>> constants_;
  std::vector<Writer> writers_;  // in the order in which they write
  std::size_t arena_bytes_ = 0;
  std::byte* arena_ = nullptr;
  View step_view_, numbers_view_;
  std::vector<Segment> segments_;
};

}  // namespace unroll
