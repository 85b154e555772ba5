/// Recurrent stacks on the GPU. By the stepwise algorithm: per timestep one product for h_{t-1} R^T
/// and one fused gate kernel, for all cells that can advance at the same time at once. By the
/// persistent one: one kernel for all timesteps of a layer. Or by cuDNN.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cuda/device.h"
#include "cuda/recurrent_cudnn.h"
#include "cuda/recurrent_weights.h"
#include "unroll/backend.h"

namespace unroll::gpu {

/// How our own kernels compute one pass.
struct PassAlgorithm {
  std::int64_t block = 0;  // timesteps K of a wavefront's blocks; 0: layer after layer
  bool persistent = false;

  bool operator==(const PassAlgorithm&) const = default;
};
struct RecurrentAlgorithm {
  bool automatic = true;  // not chosen yet
  PassAlgorithm forward{}, backward{};
  std::optional<CudnnForm> cudnn{};  // by cuDNN instead

  static RecurrentAlgorithm of(PassAlgorithm forward, PassAlgorithm backward) {
    return {false, forward, backward, {}};
  }
};
/// As CudaOptions::recurrent_algorithm. Throws std::invalid_argument.
RecurrentAlgorithm parse_algorithm(const std::string& text);
std::string to_string(const RecurrentAlgorithm& algorithm);

/// Makes plans, times candidates where the algorithm is automatic, and keeps the weights' copies,
/// which all plans over the same variables share.
class RecurrentPlanner {
 public:
  /// Throws Unsupported for an algorithm whose library is not installed.
  RecurrentPlanner(Device& device, const RecurrentAlgorithm& algorithm);

  /// What was asked for or, if that is automatic, chosen last.
  const RecurrentAlgorithm& algorithm() const {
    return choices_.empty() ? algorithm_ : choices_.back().algorithm;
  }
  std::unique_ptr<RecurrentPlan> plan(const RecurrentArgs& args);
  /// `evenly_spaced`: as RecurrentWeightCopies::Use has it.
  std::shared_ptr<RecurrentWeightCopies> copies(const RecurrentArgs& args, bool evenly_spaced,
                                                std::span<const RecurrentWeights> weights);

 private:
  class Trial;
  /// Another length of the sequences is no reason to choose anew.
  struct Choice {
    RecurrentSpec spec;
    std::int64_t batch;
    RecurrentAlgorithm algorithm;
  };
  using Form = std::pair<GruReset, bool>;  // of copies: and whether they are evenly spaced

  std::unique_ptr<RecurrentPlan> plan(const RecurrentArgs& args,
                                      const RecurrentAlgorithm& algorithm);
  std::unique_ptr<RecurrentPlan> plan_automatically(const RecurrentArgs& args);
  RecurrentAlgorithm fastest(const RecurrentArgs& args);

  Device& device_;
  RecurrentAlgorithm algorithm_;
  std::vector<Choice> choices_;          // where that is automatic
  std::unique_ptr<CudnnPlanner> cudnn_;  // null unless it is the algorithm
  std::map<std::pair<Form, std::vector<const void*>>, std::weak_ptr<RecurrentWeightCopies>> copies_;
};

}  // namespace unroll::gpu
