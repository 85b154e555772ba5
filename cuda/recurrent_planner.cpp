#include "cuda/recurrent_planner.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "cuda/recurrent/persistent.h"
#include "cuda/recurrent_trial.h"

namespace unroll::gpu {
namespace {

double relative_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (std::size_t k = 0; k < a.size(); ++k) {
    difference += (double(a[k]) - b[k]) * (double(a[k]) - b[k]);
    size += double(b[k]) * b[k];
  }
  return std::sqrt(difference / size);
}

/// What may be faster than the stepwise algorithm. Each is there for one pass or for both.
std::vector<StackAlgorithm> rivals_of_stepwise(const RecurrentArgs& args) {
  const auto& hidden = args.spec.hidden;
  const bool has_wavefront =
      args.spec.directions == 1 && std::adjacent_find(hidden.begin(), hidden.end()) != hidden.end();
  const PassAlgorithm stepwise{}, persistent{.persistent = true};
  std::vector<StackAlgorithm> rivals;
  for (const std::int64_t block : {4, 8, 16, 32})
    if (has_wavefront && block < args.steps) rivals.push_back({{.block = block}, {.block = block}});
  rivals.push_back({persistent, stepwise});
  rivals.push_back({stepwise, persistent});
  return rivals;
}

/// Takes over the passes of `other` that are faster.
void improve(StackAlgorithm& best, RecurrentTrial::Times& least, const StackAlgorithm& other,
             const RecurrentTrial::Times& times) {
  const auto improve_pass = [](PassAlgorithm& best_pass, double& least_time,
                               const PassAlgorithm& pass, double time) {
    if (pass == PassAlgorithm{} || time > 0.98 * least_time)
      return;  // a smaller gain may be chance
    best_pass = pass;
    least_time = time;
  };
  improve_pass(best.forward, least.forward, other.forward, times.forward);
  improve_pass(best.backward, least.backward, other.backward, times.backward);
}

}  // namespace

RecurrentPlanner::RecurrentPlanner(Device& device, const RecurrentAlgorithm& algorithm)
    : device_(device), algorithm_(algorithm), copies_(device) {
  if (const CudnnForm* const form = algorithm.cudnn())
    cudnn_ = std::make_unique<CudnnPlanner>(device, *form);
}

RecurrentAlgorithm RecurrentPlanner::algorithm() const {
  const StackAlgorithm* const chosen = choices_.last();
  return chosen ? *chosen : algorithm_;
}

std::unique_ptr<RecurrentPlan> RecurrentPlanner::plan(const RecurrentArgs& args) {
  if (const std::string why = why_not(algorithm_, args.spec, DeviceKind::kCuda); !why.empty())
    throw Unsupported("RNN algorithm " + to_string(algorithm_) + ": " + why +
                      "; use the algorithm stepwise");
  if (cudnn_) return cudnn_->plan(args);
  const StackAlgorithm* const requested = algorithm_.ours();
  return make_stack_plan(copies_, args, requested ? *requested : choose(args));
}

StackAlgorithm RecurrentPlanner::choose(const RecurrentArgs& args) {
  if (args.training && !choices_.find(args)) choices_.add(args, fastest(args));
  const StackAlgorithm* const chosen = choices_.find(args);
  if (!chosen) return {};
  return or_stepwise(*chosen, args, [&](const PassAlgorithm& pass, bool backward) {
    return can_take(args, pass, backward);
  });
}

bool RecurrentPlanner::can_take(const RecurrentArgs& args, const PassAlgorithm& pass,
                                bool backward) const {
  if (!why_not(pass, args.spec, DeviceKind::kCuda).empty()) return false;
  return !pass.persistent || fits_persistent(device_, args, backward);
}

StackAlgorithm RecurrentPlanner::fastest(const RecurrentArgs& args) {
  StackAlgorithm best;
  try {
    RecurrentTrial trial(copies_, args);
    RecurrentTrial::Times least = trial.run(best);
    const std::vector<float> expected = trial.result();
    // Correct results are much closer than this limit, and wrong ones are not.
    const double limit = device_.precision() == Precision::kFp32 ? 1e-2 : 5e-2;
    for (const StackAlgorithm& other : rivals_of_stepwise(args)) {
      if (!can_take(args, other.forward, false) || !can_take(args, other.backward, true)) continue;
      try {
        const RecurrentTrial::Times times = trial.run(other);
        const double distance = relative_distance(trial.result(), expected);
        if (!(distance <= limit))
          throw DeviceError("its gradients are " + std::to_string(distance) + " off");
        improve(best, least, other, times);
      } catch (const DeviceError& error) {
        if (cudaStreamSynchronize(device_.stream()) != cudaSuccess)
          throw DeviceError(std::string(error.what()) + "; it was RNN algorithm " +
                            to_string(other) + ", use the algorithm stepwise");
        device_.grid_watcher().forget();  // the plan and its flags are destroyed
        device_.note("RNN algorithm " + to_string(other) +
                     " does not work here and is not used: " + error.what());
      }
    }
  } catch (const OutOfMemory& error) {
    device_.note(std::string("RNN algorithms could not be compared, stepwise is used: ") +
                 error.what());
  }
  return best;
}

}  // namespace unroll::gpu
