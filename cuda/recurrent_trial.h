/// Runs a recurrent stack by one of our own algorithms after the other, to time and to compare
/// them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "cuda/device/device.h"
#include "cuda/device/graph.h"
#include "cuda/recurrent/recurrent.h"
#include "unroll/kernels/recurrent.h"

namespace unroll::gpu {

/// Forward and backward pass of a stack with random weights and inputs, each as a graph. The loss
/// is half the sum of the squares of y.
class RecurrentTrial {
 public:
  /// Seconds: the minimum of several runs.
  struct Times {
    double forward, backward;
  };

  /// `copies` must outlive it.
  RecurrentTrial(SharedWeightCopies& copies, const RecurrentArgs& args);

  Times run(const StackAlgorithm& algorithm);
  /// The gradients of all biases in the last run, which are sums over all timesteps.
  std::vector<float> result() const;

 private:
  /// Device tensors that live as long as the object.
  class Tensors {
   public:
    explicit Tensors(Device& device) : device_(device) {}

    View zeros(const Shape& shape, DType dtype = DType::kFloat32);
    void clear(const View& view) const;
    View bytes(std::size_t count) { return zeros({std::int64_t(count)}, DType::kByte); }
    /// Uniform in [-limit, limit].
    View random(const Shape& shape, double limit);

   private:
    Device& device_;
    std::vector<std::shared_ptr<void>> memory_;
    std::uint64_t key_ = 0;
  };

  std::vector<View> outputs() const;
  Graph graph_of(const std::function<void()>& work) const;
  double replayed(const Graph& graph) const;

  SharedWeightCopies& copies_;
  Device& device_;
  RecurrentArgs args_;
  Tensors tensors_;
  std::vector<RecurrentWeights> weights_, dweights_;
  std::vector<View> h_, c_;
  View x_, y_, step_;
  bool warm_ = false;
};

}  // namespace unroll::gpu
