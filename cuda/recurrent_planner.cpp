#include "cuda/recurrent_planner.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "cuda/device/graph.h"
#include "cuda/recurrent/recurrent_kernels.h"

namespace unroll::gpu {
namespace {

constexpr std::string_view kStepwise = "stepwise", kPersistent = "persistent";

std::optional<PassAlgorithm> parse_pass(std::string_view text) {
  if (text == kStepwise) return PassAlgorithm{};
  if (text == kPersistent) return PassAlgorithm{.persistent = true};
  if (!text.starts_with(kStepwise)) return std::nullopt;
  text.remove_prefix(kStepwise.size());
  if (!text.starts_with(':')) return std::nullopt;
  text.remove_prefix(1);
  std::int64_t block = 0;
  const auto [stop, error] = std::from_chars(text.begin(), text.end(), block);
  if (error != std::errc() || stop != text.end() || block <= 0) return std::nullopt;
  return PassAlgorithm{.block = block};
}

double relative_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (std::size_t k = 0; k < a.size(); ++k) {
    difference += (double(a[k]) - b[k]) * (double(a[k]) - b[k]);
    size += double(b[k]) * b[k];
  }
  return std::sqrt(difference / size);
}

}  // namespace

RecurrentAlgorithm parse_algorithm(const std::string& text) {
  if (text == "auto") return {};
  if (const auto cudnn = parse_cudnn_form(text)) return {false, {}, cudnn};
  const std::size_t plus = text.find('+');
  const auto forward = parse_pass(text.substr(0, plus));
  const auto backward = plus == text.npos ? forward : parse_pass(text.substr(plus + 1));
  if (forward && backward) return {false, {*forward, *backward}, {}};
  throw std::invalid_argument("recurrent algorithm: got '" + text +
                              "', expected auto, stepwise, stepwise:K with K timesteps, "
                              "persistent, two of these as FORWARD+BACKWARD, cudnn or cudnn:FORM");
}

std::string to_string(const RecurrentAlgorithm& algorithm) {
  if (algorithm.automatic) return "auto";
  return algorithm.cudnn ? to_string(*algorithm.cudnn) : to_string(algorithm.stack);
}

RecurrentPlanner::RecurrentPlanner(Device& device, const RecurrentAlgorithm& algorithm)
    : device_(device), algorithm_(algorithm), copies_(device) {
  if (algorithm.cudnn) cudnn_ = std::make_unique<CudnnPlanner>(device, *algorithm.cudnn);
}

std::unique_ptr<RecurrentPlan> RecurrentPlanner::plan(const RecurrentArgs& args) {
  if (cudnn_) return cudnn_->plan(args);
  return algorithm_.automatic ? plan_automatically(args)
                              : make_stack_plan(copies_, args, algorithm_.stack);
}

/// Forward and backward pass of a stack with random weights and inputs, each as a graph. The loss
/// is half the sum of the squares of y.
class RecurrentPlanner::Trial {
 public:
  Trial(RecurrentPlanner& planner, const RecurrentArgs& args)
      : planner_(planner), device_(planner.device_), args_(args), tensors_(device_) {
    args_.has_lengths = false;  // ended sequences would cost less
    const RecurrentSpec& spec = args.spec;
    for (int layer = 0; layer < spec.layers(); ++layer) {
      const std::int64_t units = spec.hidden[std::size_t(layer)];
      const std::int64_t gates = spec.gates() * units;
      const std::int64_t input = layer_input(spec, args.input, layer).columns();
      const double limit = 1 / std::sqrt(double(units));
      for (int direction = 0; direction < spec.directions; ++direction) {
        weights_.push_back({tensors_.random({gates, input}, limit),
                            tensors_.random({gates, units}, limit), tensors_.random({gates}, limit),
                            tensors_.random({gates}, limit)});
        dweights_.push_back({tensors_.zeros({gates, input}), tensors_.zeros({gates, units}),
                             tensors_.zeros({gates}), tensors_.zeros({gates})});
      }
      h_.push_back(tensors_.zeros({spec.directions, args.batch, units}));
      if (spec.cell == CellKind::kLstm) c_.push_back(h_.back());
    }
    x_ = tensors_.random({args.steps, args.batch, args.input}, 1);
    y_ = tensors_.zeros({args.steps, args.batch, spec.directions * spec.hidden.back()});
    step_ = tensors_.zeros({1}, DType::kInt64);
  }

  /// Seconds: the minimum of several runs.
  struct Times {
    double forward, backward;
  };
  Times run(const StackAlgorithm& algorithm) {
    const auto plan = make_stack_plan(planner_.copies_, args_, algorithm);
    Tensors memory(device_);
    const View reserve = memory.bytes(plan->reserve_bytes()),
               scratch = memory.bytes(plan->scratch_bytes());
    const std::vector<View> none(h_.size());
    // Clear the results of the algorithm before this one, so that they cannot pass for its own.
    for (const View& view : outputs()) tensors_.clear(view);
    plan->prepare(weights_);
    const RecurrentForward forward{x_, {}, h_, c_, weights_, step_, y_, none, none, reserve, {}};
    const RecurrentBackward backward{x_,   {},   h_, c_,   weights_, step_,     reserve, y_,
                                     none, none, {}, none, none,     dweights_, scratch};
    const auto forward_graph = graph_of([&] { plan->forward(forward); });
    const auto backward_graph = graph_of([&] { plan->backward(backward); });
    const auto replay = [&] {
      const Times times{replayed(forward_graph), replayed(backward_graph)};
      device_.grid_watcher().check();
      return times;
    };
    // The first run loads the graphs. Meanwhile an idle device reaches its full clock.
    constexpr double kWarmUp = 0.3;
    Times least = replay();
    for (double time = 0; !warm_ && time < kWarmUp; time += least.forward + least.backward)
      least = replay();
    warm_ = true;
    for (int more = 0; more < 5; ++more) {
      const Times times = replay();
      least = {std::min(least.forward, times.forward), std::min(least.backward, times.backward)};
    }
    return least;
  }

  /// The gradients of all biases in the last run, which are sums over all timesteps.
  std::vector<float> result() const {
    std::vector<float> all;
    for (const RecurrentWeights& d : dweights_) {
      const View& bias = d.bias_hh;
      std::vector<float> values(std::size_t(bias.elements()));
      UNROLL_CUDA_CHECK(cudaMemcpyAsync(values.data(), bias.data, bias.bytes(),
                                        cudaMemcpyDeviceToHost, device_.stream()));
      UNROLL_CUDA_CHECK(cudaStreamSynchronize(device_.stream()));
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }

 private:
  /// Device tensors that live as long as the object.
  class Tensors {
   public:
    explicit Tensors(Device& device) : device_(device) {}

    View zeros(const Shape& shape, DType dtype = DType::kFloat32) {
      View view{nullptr, shape, dtype};
      memory_.push_back(device_.allocate(view.bytes()));
      view.data = memory_.back().get();
      clear(view);
      return view;
    }
    void clear(const View& view) const {
      UNROLL_CUDA_CHECK(cudaMemsetAsync(view.data, 0, view.bytes(), device_.stream()));
    }
    View bytes(std::size_t count) { return zeros({std::int64_t(count)}, DType::kByte); }
    /// Uniform in [-limit, limit].
    View random(const Shape& shape, double limit) {
      const View view = zeros(shape);
      fill_random(device_.stream(), {view.as<float>(), view.elements(), ++key_, float(limit)});
      return view;
    }

   private:
    Device& device_;
    std::vector<std::shared_ptr<void>> memory_;
    std::uint64_t key_ = 0;
  };

  std::vector<View> outputs() const {
    std::vector<View> all{y_};
    for (const RecurrentWeights& d : dweights_)
      all.insert(all.end(), {d.weight_ih, d.weight_hh, d.bias_ih, d.bias_hh});
    return all;
  }
  Graph graph_of(const std::function<void()>& work) const {
    work();
    return capture(device_.stream(), work);
  }
  double replayed(const Graph& graph) const {
    return seconds(device_.stream(),
                   [&] { UNROLL_CUDA_CHECK(cudaGraphLaunch(graph.get(), device_.stream())); });
  }

  RecurrentPlanner& planner_;
  Device& device_;
  RecurrentArgs args_;
  Tensors tensors_;
  std::vector<RecurrentWeights> weights_, dweights_;
  std::vector<View> h_, c_;
  View x_, y_, step_;
  bool warm_ = false;
};

std::unique_ptr<RecurrentPlan> RecurrentPlanner::plan_automatically(const RecurrentArgs& args) {
  const auto is_alike = [&](const Choice& c) {
    return c.spec.cell == args.spec.cell && c.spec.reset == args.spec.reset &&
           c.spec.hidden == args.spec.hidden && c.spec.directions == args.spec.directions &&
           (!args.training || c.batch == args.batch);
  };
  auto choice = std::ranges::find_if(choices_, is_alike);
  if (args.training && choice == choices_.end())
    choice = choices_.insert(choice, {args.spec, args.batch, fastest(args)});
  if (choice == choices_.end()) return make_stack_plan(copies_, args, {});
  return make_stack_plan(copies_, args, choice->algorithm);
}

StackAlgorithm RecurrentPlanner::fastest(const RecurrentArgs& args) {
  const auto& hidden = args.spec.hidden;
  const bool has_wavefront =
      args.spec.directions == 1 && std::adjacent_find(hidden.begin(), hidden.end()) != hidden.end();
  const PassAlgorithm stepwise{}, persistent{.persistent = true};
  std::vector<StackAlgorithm> others;
  for (const std::int64_t block : {4, 8, 16, 32})
    if (has_wavefront && block < args.steps) others.push_back({{.block = block}, {.block = block}});
  others.push_back({persistent, stepwise});
  others.push_back({stepwise, persistent});
  StackAlgorithm best{stepwise, stepwise};
  try {
    Trial trial(*this, args);
    Trial::Times least = trial.run(best);
    const std::vector<float> expected = trial.result();
    // Correct results are much closer than this limit, and wrong ones are not.
    const double limit = device_.precision() == Precision::kFp32 ? 1e-2 : 5e-2;
    const auto improve = [](PassAlgorithm& best_pass, double& least_time, PassAlgorithm other,
                            double time) {
      if (other == PassAlgorithm{} || time > 0.98 * least_time)
        return;  // a smaller gain may be chance
      best_pass = other;
      least_time = time;
    };
    for (const StackAlgorithm& other : others) {
      try {
        const Trial::Times times = trial.run(other);
        const double distance = relative_distance(trial.result(), expected);
        if (!(distance <= limit))
          throw DeviceError("its gradients are " + std::to_string(distance) + " off");
        improve(best.forward, least.forward, other.forward, times.forward);
        improve(best.backward, least.backward, other.backward, times.backward);
      } catch (const Unsupported&) {
        // This algorithm does not support this shape.
      } catch (const DeviceError& error) {
        if (cudaStreamSynchronize(device_.stream()) != cudaSuccess)
          throw DeviceError(std::string(error.what()) + "; it was recurrent algorithm " +
                            to_string(other) + ", use the algorithm stepwise");
        device_.grid_watcher().forget();  // the plan and its flags are destroyed
        device_.note("recurrent algorithm " + to_string(other) +
                     " does not work here and is not used: " + error.what());
      }
    }
  } catch (const OutOfMemory& error) {
    device_.note(std::string("recurrent algorithms could not be compared, stepwise is used: ") +
                 error.what());
  }
  return best;
}

}  // namespace unroll::gpu
