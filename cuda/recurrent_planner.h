/// Chooses the algorithm that computes a recurrent stack: the requested one, or the fastest.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cuda/cudnn/recurrent_cudnn.h"
#include "cuda/device/device.h"
#include "cuda/recurrent/recurrent.h"
#include "unroll/backend.h"

namespace unroll::gpu {

struct RecurrentAlgorithm {
  bool automatic = true;  // choose the fastest
  StackAlgorithm stack{};
  std::optional<CudnnForm> cudnn{};  // set: cuDNN computes the stack
};
/// Parses CudaOptions::recurrent_algorithm. Throws std::invalid_argument.
RecurrentAlgorithm parse_algorithm(const std::string& text);
std::string to_string(const RecurrentAlgorithm& algorithm);

/// Makes plans, times candidates if the algorithm is automatic, and keeps the copies of the
/// weights, which all plans over the same variables share.
class RecurrentPlanner {
 public:
  /// Throws Unsupported for an algorithm whose library is not installed.
  RecurrentPlanner(Device& device, const RecurrentAlgorithm& algorithm);

  /// The requested algorithm or, if that is automatic, the one chosen last.
  std::string algorithm() const {
    return choices_.empty() ? to_string(algorithm_) : to_string(choices_.back().algorithm);
  }
  std::unique_ptr<RecurrentPlan> plan(const RecurrentArgs& args);

 private:
  class Trial;
  /// Sequences of another length do not lead to a new choice.
  struct Choice {
    RecurrentSpec spec;
    std::int64_t batch;
    StackAlgorithm algorithm;
  };

  std::unique_ptr<RecurrentPlan> plan_automatically(const RecurrentArgs& args);
  StackAlgorithm fastest(const RecurrentArgs& args);

  Device& device_;
  RecurrentAlgorithm algorithm_;
  std::vector<Choice> choices_;          // if the algorithm is automatic
  std::unique_ptr<CudnnPlanner> cudnn_;  // null unless cuDNN is the algorithm
  SharedWeightCopies copies_;
};

}  // namespace unroll::gpu
