/// A recurrent node with its memory, ready to run: a plan (ours or a baseline's), the data of a
/// case, and the outputs of each pass.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "host/bench/shapes.h"
#include "unroll/backend.h"

namespace unroll::benchmark {

/// The tensors of a stack: inputs or gradients. The rows of weights are in PyTorch's order.
struct StackTensors {
  View x;               // [T, B, I]
  View y;               // [T, B, H_L]
  std::vector<View> h;  // per layer [1, B, H]: initial states
  std::vector<View> c;  // only an LSTM's
  std::vector<RecurrentWeights> weights;

  /// All of them with their names: x, y, states, weights.
  std::vector<std::pair<std::string, View>> all() const;
};

/// Device memory that lives as long as the object.
class TensorMemory {
 public:
  explicit TensorMemory(std::shared_ptr<Backend> backend) : backend_(std::move(backend)) {}

  /// Returns a tensor of zeros.
  View tensor(const Shape& shape, DType dtype = DType::kFloat32);
  /// Shapes    those of `shape`.
  StackTensors tensors(const StackShape& shape);

 private:
  std::shared_ptr<Backend> backend_;
  std::vector<std::shared_ptr<void>> owned_;
};

/// Random inputs, which several nodes may share: x in +-1, weights and biases in +-1 / sqrt(H) like
/// PyTorch's initial ones, states in +-0.5.
void fill_inputs(Backend& backend, const StackShape& shape, const StackTensors& inputs);

class RecurrentNode {
 public:
  /// `inputs` are in memory that the backend can read; their y is the gradient of the node's
  /// output. The plan is made for training even without `backward`, because training's forward pass
  /// is timed.
  RecurrentNode(const StackShape& shape, std::shared_ptr<Backend> backend,
                std::unique_ptr<RecurrentPlan> plan, const StackTensors& inputs);

  /// What an update of the weights requires: the plan prepares its copies anew. These queue work.
  void prepare() { plan_->prepare(inputs_.weights); }
  void forward();
  void backward();
  /// Clears what the last forward pass kept for the backward pass.
  void forget_forward() { backend_->clear(reserve_.data, reserve_.bytes()); }

  Backend& backend() { return *backend_; }
  const StackTensors& inputs() const { return inputs_; }
  /// y, and the gradients of all other tensors.
  const StackTensors& outputs() const { return outputs_; }
  std::size_t reserve_bytes() const { return plan_->reserve_bytes(); }
  std::size_t scratch_bytes() const { return plan_->scratch_bytes(); }
  std::string algorithm() const { return plan_->algorithm(); }

 private:
  std::shared_ptr<Backend> backend_;
  std::unique_ptr<RecurrentPlan> plan_;
  StackTensors inputs_;
  TensorMemory memory_;
  StackTensors outputs_;
  std::vector<View> h_n_, c_n_, no_dh_n_, no_dc_n_;
  View reserve_, scratch_, step_;
};

}  // namespace unroll::benchmark
