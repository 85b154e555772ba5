/// A text that a model draws while it is trained.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/infer/token_states.h"
#include "host/models/task.h"

namespace unroll::cli {

/// Draws with the parameters as they are, with a seed and states of its own: training does not
/// notice.
class TrainingSample {
 public:
  /// The task must be a language model's. `stop`: set, no more is drawn.
  TrainingSample(std::shared_ptr<const Task> task, const std::atomic<bool>& stop)
      : task_(std::move(task)), stop_(stop) {}

  /// A few lines, the first "sample:". `store` is the same every time.
  /// Errors    std::runtime_error if the model's probabilities are no numbers.
  std::vector<std::string> draw(const std::shared_ptr<VariableStore>& store);

 private:
  std::shared_ptr<const Task> task_;
  const std::atomic<bool>& stop_;
  std::optional<LoadedModel> model_;
  std::optional<TokenStates> states_;
};

}  // namespace unroll::cli
