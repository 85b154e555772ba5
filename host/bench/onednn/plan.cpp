/// RecurrentPlan by oneDNN's primitives, in order from the input upwards: one for every run of
/// equal layers that read H values each, and one for every other layer.
#include "host/bench/onednn/plan.h"

#include <omp.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/bench/onednn/layers.h"
#include "host/bench/onednn_module.h"

namespace unroll::benchmark {
namespace {

/// Sets the caller's number of OpenMP threads while it lives.
class OpenMpThreads {
 public:
  explicit OpenMpThreads(int threads) : before_(omp_get_max_threads()) {
    omp_set_num_threads(threads);
  }
  ~OpenMpThreads() { omp_set_num_threads(before_); }
  OpenMpThreads(const OpenMpThreads&) = delete;
  OpenMpThreads& operator=(const OpenMpThreads&) = delete;

 private:
  int before_;
};

std::vector<EqualLayers> runs_of_equal_layers(const RecurrentArgs& args) {
  const RecurrentSpec& spec = args.spec;
  std::vector<EqualLayers> runs;
  std::int64_t input = args.input;
  for (const std::int64_t hidden : spec.hidden) {
    // oneDNN requires upper layers to read H values; with two directions they would read 2 H.
    const bool fits = spec.directions == 1 && input == hidden;
    if (fits && !runs.empty() && runs.back().hidden == hidden && runs.back().input == input)
      ++runs.back().layers;
    else
      runs.push_back({.cell = spec.cell,
                      .reset = spec.reset,
                      .gates = spec.gates(),
                      .layers = 1,
                      .directions = spec.directions,
                      .steps = args.steps,
                      .batch = args.batch,
                      .input = input,
                      .hidden = hidden,
                      .training = args.training});
    input = spec.directions * hidden;
  }
  return runs;
}

/// The part of a list for these layers, with `per_layer` entries each; lists may be empty.
template <typename T>
std::span<const T> part(std::span<const T> list, std::int64_t first, std::int64_t layers,
                        std::int64_t per_layer = 1) {
  if (list.empty()) return {};
  return list.subspan(std::size_t(first * per_layer), std::size_t(layers * per_layer));
}

class OnednnPlan final : public RecurrentPlan {
 public:
  OnednnPlan(const RecurrentArgs& args, int threads)
      : threads_(threads > 0 ? threads : omp_get_num_procs()),
        training_(args.training),
        directions_(args.spec.directions),
        depth_(args.spec.layers()),
        engine_(dnnl::engine::kind::cpu, 0),
        stream_(engine_) {
    const OpenMpThreads set(threads_);  // scratchpads grow with the number of threads
    for (const EqualLayers& run : runs_of_equal_layers(args)) layers_.emplace_back(engine_, run);
    const std::size_t x_bytes = sizeof(float) * std::size_t(args.steps * args.batch * args.input);
    Layout& kept = training_ ? reserve_ : scratch_;
    for (OnednnLayers& run : layers_) run.place_kept(kept);
    if (training_) {
      dx_.push_back(scratch_.take(x_bytes));
      for (const OnednnLayers& run : layers_) dx_.push_back(scratch_.take(run.y_bytes()));
    }
    Layout all = scratch_;
    for (OnednnLayers& run : layers_) {
      Layout own = scratch_;
      run.place_temporary(own);
      all.bytes = std::max(all.bytes, own.bytes);
    }
    scratch_ = all;
  }

  // OpenMP's idle threads would go on spinning and disturb the next measurement, and LeakSanitizer
  // crashes on them at the end of the program.
  ~OnednnPlan() override { omp_pause_resource_all(omp_pause_soft); }
  OnednnPlan(const OnednnPlan&) = delete;
  OnednnPlan& operator=(const OnednnPlan&) = delete;

  /// "onednn:lstm:ref+brgemm": the names of several implementations are joined by "+".
  std::string algorithm() const override {
    std::vector<std::string> names;
    for (const OnednnLayers& run : layers_)
      for (const std::string& name : run.implementations())
        if (std::ranges::count(names, name) == 0) names.push_back(name);
    std::string text = std::string("onednn:") + layers_.front().cell();
    for (const std::string& name : names) text += (name == names.front() ? ":" : "+") + name;
    std::ranges::replace(text, ',', ';');  // it becomes a CSV field
    return text;
  }
  std::size_t reserve_bytes() const override { return reserve_.bytes; }
  std::size_t scratch_bytes() const override { return scratch_.bytes; }

  void prepare(std::span<const RecurrentWeights> weights) override {
    const OpenMpThreads set(threads_);
    std::int64_t first = 0;
    for (OnednnLayers& run : layers_) {
      run.prepare(stream_, part(weights, first, run.shape().layers, directions_));
      first += run.shape().layers;
    }
    stream_.wait();
  }

  void forward(const RecurrentForward& args) override {
    const OpenMpThreads set(threads_);
    auto* const scratch = args.scratch.as<std::byte>();
    auto* const kept = training_ ? args.reserve.as<std::byte>() : scratch;
    void* x = args.x.data;
    std::int64_t first = 0;
    for (OnednnLayers& run : layers_) {
      const std::int64_t count = run.shape().layers;
      // backward() reads y, which the caller may not keep.
      const bool direct = &run == &layers_.back() && args.y && !training_;
      void* const y = direct ? args.y.data : run.y(kept);
      run.forward(stream_, {.kept = kept,
                            .scratch = scratch,
                            .x = x,
                            .y = y,
                            .h0 = part(args.h0, first, count),
                            .c0 = part(args.c0, first, count),
                            .h_n = part(args.h_n, first, count),
                            .c_n = part(args.c_n, first, count)});
      first += count;
      x = y;
    }
    if (args.y && args.y.data != x) std::memcpy(args.y.data, x, args.y.bytes());
  }

  void backward(const RecurrentBackward& args) override {
    const OpenMpThreads set(threads_);
    auto* const scratch = args.scratch.as<std::byte>();
    auto* const kept = args.reserve.as<std::byte>();
    void* dy = args.dy.data;
    if (!args.dy) {
      dy = scratch + dx_.back();
      std::memset(dy, 0, layers_.back().y_bytes());
    }
    std::int64_t first = depth_;
    for (std::size_t k = layers_.size(); k-- > 0;) {
      const std::int64_t count = layers_[k].shape().layers;
      first -= count;
      void* const dx = k == 0 && args.dx ? args.dx.data : scratch + dx_[k];
      layers_[k].backward(stream_, {.kept = kept,
                                    .scratch = scratch,
                                    .x = k == 0 ? args.x.data : layers_[k - 1].y(kept),
                                    .dy = dy,
                                    .dx = dx,
                                    .dh_n = part(args.dh_n, first, count),
                                    .dc_n = part(args.dc_n, first, count),
                                    .dh0 = part(args.dh0, first, count),
                                    .dc0 = part(args.dc0, first, count),
                                    .dweights = part(args.dweights, first, count, directions_)});
      dy = dx;
    }
  }

 private:
  int threads_;
  bool training_;
  int directions_;
  std::int64_t depth_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::vector<OnednnLayers> layers_;
  Layout reserve_, scratch_;
  std::vector<std::size_t> dx_;  // in scratch: gradient of the input of each run, and of y
};

}  // namespace

std::unique_ptr<RecurrentPlan> make_onednn_plan(const RecurrentArgs& args, int threads) {
  if (args.spec.dropout > 0) throw Unsupported("oneDNN has no dropout between layers");
  if (args.has_lengths) throw Unsupported("oneDNN has no sequences of different lengths");
  if (dnnl_version()->cpu_runtime != DNNL_RUNTIME_OMP)
    throw Unsupported(
        "this oneDNN is not built for OpenMP, so the number of its threads cannot be set");
  try {
    return std::make_unique<OnednnPlan>(args, threads);
  } catch (const dnnl::error& error) {
    const std::string text = std::string("oneDNN: ") + error.what();
    if (error.status == dnnl_unimplemented) throw Unsupported(text);
    throw std::runtime_error(text);
  }
}

}  // namespace unroll::benchmark
