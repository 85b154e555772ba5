/// What the algorithms are called, and which of our own is the fastest for a shape: tried out, not
/// guessed.
#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "cuda/graph.h"
#include "cuda/recurrent.h"

namespace unroll::gpu {
namespace {

constexpr std::string_view kStepwise = "stepwise", kPersistent = "persistent", kCudnn = "cudnn",
                           kHalf = ":fp16";
constexpr std::pair<std::string_view, cudnn::Algorithm> kCudnnForms[] = {
    {"standard", cudnn::Algorithm::kStandard},
    {"persist_static", cudnn::Algorithm::kPersistStatic},
    {"persist_dynamic", cudnn::Algorithm::kPersistDynamic},
    {"persist_static_small_h", cudnn::Algorithm::kPersistStaticSmallH},
};

std::optional<CudnnForm> parse_cudnn(std::string_view text) {
  if (text == kCudnn) return CudnnForm{};
  if (!text.starts_with(kCudnn)) return std::nullopt;
  text.remove_prefix(kCudnn.size());
  CudnnForm form;
  form.half = text.ends_with(kHalf);
  if (form.half) text.remove_suffix(kHalf.size());
  for (const auto& [name, algorithm] : kCudnnForms) {
    if (!text.starts_with(':') || text.substr(1) != name) continue;
    form.algorithm = algorithm;
    return form;
  }
  return std::nullopt;
}

/// Zeros on the device, for as long as the object lives.
class Zeros {
 public:
  explicit Zeros(Device& device) : device_(device) {}

  View tensor(const Shape& shape, DType dtype = DType::kFloat32) {
    View view{nullptr, shape, dtype};
    memory_.push_back(device_.allocate(view.bytes()));
    view.data = memory_.back().get();
    UNROLL_CUDA_CHECK(cudaMemsetAsync(view.data, 0, view.bytes(), device_.stream()));
    return view;
  }
  View bytes(std::size_t count) { return tensor({std::int64_t(count)}, DType::kByte); }

 private:
  Device& device_;
  std::vector<std::shared_ptr<void>> memory_;
};

}  // namespace

RecurrentAlgorithm parse_algorithm(const std::string& text) {
  if (text == "auto") return {};
  if (text == kStepwise) return {false, 0};
  if (text == kPersistent) return {.automatic = false, .persistent = true};
  if (text.starts_with(std::string(kStepwise) + ":")) {
    std::int64_t block = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + kStepwise.size() + 1, end, block);
    if (error == std::errc() && stop == end && block > 0) return {false, block};
  }
  if (const auto cudnn = parse_cudnn(text)) return {false, 0, cudnn};
  throw std::invalid_argument("recurrent algorithm: got '" + text +
                              "', expected auto, stepwise, stepwise:K with K timesteps, "
                              "persistent, cudnn or cudnn:FORM");
}

std::string to_string(const CudnnForm& form) {
  std::string text = std::string(kCudnn) + ":";
  for (const auto& [name, algorithm] : kCudnnForms)
    if (algorithm == form.algorithm) text += name;
  if (form.half) text += kHalf;
  return text;
}

std::string to_string(const RecurrentAlgorithm& algorithm) {
  if (algorithm.automatic) return "auto";
  if (algorithm.cudnn) return to_string(*algorithm.cudnn);
  if (algorithm.persistent) return std::string(kPersistent);
  return std::string(kStepwise) +
         (algorithm.block > 0 ? ":" + std::to_string(algorithm.block) : std::string());
}

/// Forward and backward pass as one graph: the least of several runs.
double RecurrentPlanner::trial_seconds(RecurrentArgs args, const RecurrentAlgorithm& algorithm) {
  args.has_lengths = false;  // sequences that have ended would cost less
  const auto plan = this->plan(args, algorithm);
  const RecurrentSpec& spec = args.spec;
  const bool lstm = spec.cell == CellKind::kLstm;
  const std::int64_t directions = spec.directions;
  Zeros zeros(device_);
  std::vector<RecurrentWeights> weights, dweights;
  std::vector<View> h, c, none(spec.hidden.size());
  for (int layer = 0; layer < spec.layers(); ++layer) {
    const std::int64_t units = spec.hidden[std::size_t(layer)];
    const std::int64_t gates = gates_of(spec.cell) * units;
    const std::int64_t input = layer_input(spec, args.input, layer).columns();
    for (int direction = 0; direction < directions; ++direction)
      for (auto* list : {&weights, &dweights})
        list->push_back({zeros.tensor({gates, input}), zeros.tensor({gates, units}),
                         zeros.tensor({gates}), zeros.tensor({gates})});
    h.push_back(zeros.tensor({directions, args.batch, units}));
    if (lstm) c.push_back(zeros.tensor({directions, args.batch, units}));
  }
  const std::int64_t outputs = directions * spec.hidden.back();
  const View x = zeros.tensor({args.steps, args.batch, args.input});
  const View y = zeros.tensor({args.steps, args.batch, outputs});
  const View step = zeros.tensor({1}, DType::kInt64);
  const View reserve = zeros.bytes(plan->reserve_bytes()),
             scratch = zeros.bytes(plan->scratch_bytes());
  plan->prepare(weights);
  const auto work = [&] {
    plan->forward({x, {}, h, c, weights, step, y, none, none, reserve, {}});
    plan->backward(
        {x, {}, h, c, weights, step, reserve, y, none, none, {}, none, none, dweights, scratch});
  };
  work();
  const Graph graph = capture(device_.stream(), work);
  double best = std::numeric_limits<double>::max();
  for (int run = 0; run < 6; ++run) {
    const double time = seconds(device_.stream(), [&] {
      UNROLL_CUDA_CHECK(cudaGraphLaunch(graph.get(), device_.stream()));
    });
    if (run > 0) best = std::min(best, time);  // the first one loads the graph
  }
  return best;
}

RecurrentAlgorithm RecurrentPlanner::fastest(const RecurrentArgs& args) {
  const auto& hidden = args.spec.hidden;
  const bool has_wavefront =
      args.spec.directions == 1 && std::adjacent_find(hidden.begin(), hidden.end()) != hidden.end();
  std::vector<RecurrentAlgorithm> candidates{{false, 0}};
  for (const std::int64_t block : {4, 8, 16, 32})
    if (has_wavefront && block < args.steps) candidates.push_back({false, block});
  candidates.push_back({.automatic = false, .persistent = true});
  RecurrentAlgorithm best = candidates.front();
  double least = std::numeric_limits<double>::max();
  for (const RecurrentAlgorithm& candidate : candidates) {
    try {
      const double time = trial_seconds(args, candidate);
      if (time >= least) continue;
      least = time;
      best = candidate;
    } catch (const Unsupported&) {
      // Not for this shape.
    } catch (const OutOfMemory&) {
      break;  // whoever planned this finds out with the real buffers, and says so
    }
  }
  return best;
}

}  // namespace unroll::gpu
