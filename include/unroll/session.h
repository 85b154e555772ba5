/// Runs a graph on a device. A session plans once per (fetches, feed shapes): order, lifetimes, and
/// offsets in one arena that all its plans share. A repeated run allocates nothing. The plans of
/// the 64 combinations used last are kept.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "unroll/backend.h"
#include "unroll/graph.h"

namespace unroll {

/// The variables of one or several graphs, by name, in a device's memory. Not thread-safe.
class VariableStore {
 public:
  VariableStore(std::shared_ptr<Backend> backend, std::uint64_t seed);

  Backend& backend() const { return *backend_; }
  std::uint64_t seed() const { return seed_; }

  bool contains(const std::string& name) const { return variables_.contains(name); }
  std::vector<std::string> names() const;  // in alphabetical order

  /// Creates and initialises the variable unless it is there. Throws std::invalid_argument if it
  /// is, with another shape or element type.
  void require(const VariableInfo& info);

  /// Device memory of a variable. Throws std::invalid_argument if there is none of that name.
  View view(const std::string& name) const;
  /// Says that a variable's memory was written: its version changes.
  void touch(const std::string& name);

  /// T: float, std::int32_t or std::int64_t, as the variable. Sizes must agree.
  template <typename T>
  void write(const std::string& name, std::span<const T> values);
  template <typename T>
  std::vector<T> read(const std::string& name) const;
  template <typename T>
  void read(const std::string& name, std::span<T> values) const;

 private:
  struct Variable {
    TensorType type;
    std::shared_ptr<void> memory;
    std::uint64_t version;
  };
  const Variable& find(const std::string& name) const;

  std::shared_ptr<Backend> backend_;
  std::uint64_t seed_;
  std::map<std::string, Variable> variables_;  // nodes of a map stay where they are
};

/// A value for a placeholder: host memory, which must live until run() returns.
class Feed {
 public:
  /// Shape is the placeholder's; its one open dimension, if it has one, takes what is left.
  template <typename T>
  Feed(Tensor placeholder, const std::vector<T>& values)
      : Feed(placeholder, std::span<const T>(values)) {}
  template <typename T>
  Feed(Tensor placeholder, std::span<const T> values)
      : Feed(placeholder, values.data(), values.size(), dtype_of<T>(), nullptr) {}
  template <typename T>
  Feed(Tensor placeholder, std::span<const T> values, const Shape& shape)
      : Feed(placeholder, values.data(), values.size(), dtype_of<T>(), &shape) {}

  const Tensor& placeholder() const { return placeholder_; }
  const void* data() const { return data_; }
  const Shape& shape() const { return shape_; }

 private:
  Feed(Tensor placeholder, const void* data, std::size_t size, DType dtype, const Shape* shape);

  Tensor placeholder_;
  const void* data_;
  Shape shape_;
};

class Session {
 public:
  /// With a store of its own.
  Session(const Graph& graph, std::shared_ptr<Backend> backend, std::uint64_t seed = 0);
  /// With a store that other sessions use too.
  Session(const Graph& graph, std::shared_ptr<VariableStore> store);
  ~Session();

  VariableStore& variables() const { return *store_; }

  /// Computes the fetches and carries out their effects. Results stay on the device until the next
  /// run. Throws std::invalid_argument for a missing, surplus or ill-shaped feed.
  void run(std::span<const Tensor> fetches, std::span<const Feed> feeds);
  void run(Tensor fetch, std::initializer_list<Feed> feeds = {});

  /// Plans such a run and takes its memory without running it; the feeds' values do not matter.
  /// Results of the last run are lost if that memory is more than there was.
  void prepare(std::span<const Tensor> fetches, std::span<const Feed> feeds);
  /// Plans such a run and says how large an arena it needs, without taking it.
  std::size_t required_bytes(std::span<const Tensor> fetches, std::span<const Feed> feeds);

  /// Copies a fetch of the last run to the host, or gives its shape there.
  template <typename T>
  void read(Tensor fetched, std::span<T> values) const;
  template <typename T = float>
  std::vector<T> read(Tensor fetched) const;
  Shape shape(Tensor fetched) const;

  /// run() and read() in one.
  std::vector<float> evaluate(Tensor fetch, std::initializer_list<Feed> feeds = {});

  /// Counts runs; it keys dropout's masks together with the seed. Set it to continue elsewhere.
  std::int64_t step() const { return step_; }
  void set_step(std::int64_t step) { step_ = step; }

  /// Bytes of the arena: the largest plan's need, not the sum.
  std::size_t arena_bytes() const;
  int plans() const;  // that are kept

 private:
  class Plan;
  /// Planned, but perhaps without memory yet.
  Plan& plan_for(std::span<const Tensor> fetches, std::span<const Feed> feeds);
  void drop_oldest_plan();
  void require_results() const;
  /// The same with memory.
  Plan& bound_plan_for(std::span<const Tensor> fetches, std::span<const Feed> feeds);

  const Graph& graph_;
  std::shared_ptr<VariableStore> store_;
  std::vector<std::unique_ptr<Plan>> plans_;  // the one used last is first
  Plan* last_ = nullptr;
  std::shared_ptr<void> arena_;
  std::size_t arena_bytes_ = 0;
  std::int64_t step_ = 0;
};

}  // namespace unroll
