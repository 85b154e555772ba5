/// Runs a graph on a device.
///
/// A session plans once per combination of fetches and feed shapes: order, lifetimes, and offsets
/// in one block of memory that all its plans share. Running a known combination again allocates
/// nothing. The 64 combinations used last are kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "unroll/device.h"
#include "unroll/graph.h"
#include "unroll/variable_store.h"

namespace unroll {

/// A value for a placeholder. The values stay where they are and must live until run() returns.
/// Shapes    the placeholder's. The number of values decides an open dimension. If there are
///           several, say the shape.
/// Units     T is the placeholder's element type: float, double, std::int32_t, std::int64_t, or
/// bool
///           in a std::span (std::vector<bool> has no array of bools).
/// Errors    std::invalid_argument if shape, size or element type do not fit the placeholder.
class Feed {
 public:
  template <typename T>
  Feed(Tensor placeholder, const std::vector<T>& values)
      : Feed(placeholder, std::span<const T>(values)) {}
  template <typename T>
  Feed(Tensor placeholder, std::span<const T> values)
      : Feed(placeholder, values.data(), values.size(), dtype_of<T>(), nullptr) {}
  template <typename T>
  Feed(Tensor placeholder, std::span<const T> values, const Shape& shape)
      : Feed(placeholder, values.data(), values.size(), dtype_of<T>(), &shape) {}
  /// Values that are on the session's device already. They are read where they lie, so they must
  /// stay there until the device has run. Another place is planned anew, like another shape.
  Feed(Tensor placeholder, const View& on_device);

  const Tensor& placeholder() const { return placeholder_; }
  const void* data() const { return data_; }
  const Shape& shape() const { return shape_; }
  bool on_device() const { return on_device_; }

 private:
  Feed(Tensor placeholder, const void* data, std::size_t size, DType dtype, const Shape* shape);

  Tensor placeholder_;
  const void* data_;
  Shape shape_;
  bool on_device_ = false;
};

/// The graph must outlive the session and may grow between runs. Not thread-safe.
class Session {
 public:
  /// With a store of its own, whose variables start as `seed` says.
  /// Errors    std::runtime_error if the variables do not fit into the device's memory.
  Session(const Graph& graph, std::shared_ptr<Backend> backend, std::uint64_t seed = 0);
  /// With a store that other sessions use too.
  Session(const Graph& graph, std::shared_ptr<VariableStore> store);
  ~Session();

  VariableStore& variables() const { return *store_; }

  /// Computes the fetches and carries out their effects, all from the values that variables had
  /// before: run({train, cost}, {{x, batch}}) trains, and gives the cost before the update. Results
  /// stay on the device until the next run; read() copies them.
  /// Errors    std::invalid_argument if a feed is missing, not needed, or given twice, or if shapes
  ///           do not fit; std::runtime_error if memory runs out; DeviceError if the device fails.
  void run(Tensor fetch, std::initializer_list<Feed> feeds = {});
  void run(std::initializer_list<Tensor> fetches, std::initializer_list<Feed> feeds = {});
  void run(std::span<const Tensor> fetches, std::span<const Feed> feeds);

  /// Copies a fetch of the last run to the host.
  /// Errors    std::invalid_argument if it was not fetched, if T is not its element type, or if
  ///           there is room for another number of values.
  template <typename T = float>
  std::vector<T> read(Tensor fetched) const {
    const auto size = std::size_t(shape(fetched).elements());
    return read_vector<T>(size, [&](std::span<T> values) { read(fetched, values); });
  }
  template <typename T>
  void read(Tensor fetched, std::span<T> values) const {
    read_bytes(fetched, values.data(), values.size(), dtype_of<T>());
  }
  /// The shape of a fetch of the last run, with no open dimension.
  Shape shape(Tensor fetched) const;
  /// Where a fetch of the last run lies on the device until the next run. Not to be written to.
  View view(Tensor fetched) const;

  /// run() and read() in one, for a float32 tensor.
  std::vector<float> evaluate(Tensor fetch, std::initializer_list<Feed> feeds = {});

  /// Plans such a run and takes its memory without running it. The feeds' values do not matter.
  /// Results of the last run are lost if this run needs more memory than there was.
  void prepare(std::span<const Tensor> fetches, std::span<const Feed> feeds);
  /// Plans such a run and says how many bytes of memory it needs, without taking them.
  std::size_t required_bytes(std::span<const Tensor> fetches, std::span<const Feed> feeds);

  /// The number of runs so far. Dropout's masks depend on it and on the seed. To continue a run
  /// that began elsewhere, set it to that run's number.
  std::int64_t step() const { return step_; }
  void set_step(std::int64_t step) { step_ = step; }

  /// The bytes that the plans share: what the largest needs, not the sum.
  std::size_t arena_bytes() const;
  /// The number of plans that are kept.
  int plans() const;

 private:
  class Plan;
  /// Planned, but perhaps without memory yet.
  Plan& plan_for(std::span<const Tensor> fetches, std::span<const Feed> feeds);
  void drop_oldest_plan();
  void require_results() const;
  /// The same with memory.
  Plan& bound_plan_for(std::span<const Tensor> fetches, std::span<const Feed> feeds);
  void read_bytes(Tensor fetched, void* values, std::size_t size, DType dtype) const;

  const Graph& graph_;
  std::shared_ptr<VariableStore> store_;
  std::vector<std::unique_ptr<Plan>> plans_;  // the one used last is first
  Plan* last_ = nullptr;
  std::shared_ptr<void> arena_;
  std::size_t arena_bytes_ = 0;
  std::int64_t step_ = 0;
};

}  // namespace unroll
