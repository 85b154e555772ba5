#include "host/bench/recurrent_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "host/bench/machine.h"
#include "host/bench/measure.h"
#include "host/bench/onednn_module.h"
#include "host/bench/recurrent_rows.h"
#include "unroll/cuda_report.h"

namespace unroll::benchmark {
namespace {

constexpr int kWarmUps = 3;

double rounding_unit(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return 0x1p-24;
    case Precision::kTf32:
      return 0x1p-10;  // it is not documented whether bits are rounded or truncated
    case Precision::kBf16:
      return 0x1p-9;
  }
  throw std::invalid_argument("unknown precision");
}

Algorithm of_backend(const char* program, const RecurrentAlgorithm& node, double unit) {
  return {program, to_string(node), unit, node};
}

std::vector<Algorithm> cpu_algorithms(Precision precision) {
  std::vector<Algorithm> list{of_backend("unroll", PassAlgorithm{}, rounding_unit(precision))};
  if (precision == Precision::kFp32) list.push_back({"onednn", "onednn", 0x1p-24});
  return list;
}

/// Ours: with every K that makes a wavefront of the stack, and persistent. cuDNN's four, the first
/// in both layouts; beside our bfloat16 they also run in float16, which is cuDNN's best case. Each
/// of cuDNN's also runs without the seam, as a program of its own.
std::vector<Algorithm> cuda_algorithms(const StackShape& shape, Precision precision) {
  const double unit = rounding_unit(precision);
  std::vector<Algorithm> list{of_backend("unroll", PassAlgorithm{}, unit)};
  if (std::ranges::adjacent_find(shape.spec.hidden) != shape.spec.hidden.end())
    for (const std::int64_t block : {4, 8, 16, 32})
      if (block < shape.steps)
        list.push_back(of_backend("unroll", PassAlgorithm{.block = block}, unit));
  list.push_back(of_backend("unroll", PassAlgorithm{.persistent = true}, unit));
  const auto add = [&](CudnnForm form, double rounding) {
    list.push_back(of_backend("cudnn", form, rounding));
    form.bare = true;
    if (!form.packed) list.push_back(of_backend(kBareCudnn, form, rounding));
  };
  for (CudnnForm form :
       {CudnnForm{}, CudnnForm{.packed = true}, CudnnForm{CudnnAlgorithm::kPersistStatic},
        CudnnForm{CudnnAlgorithm::kPersistStaticSmallH},
        CudnnForm{CudnnAlgorithm::kPersistDynamic}}) {
    add(form, unit);
    form.half = true;
    if (precision == Precision::kBf16) add(form, 0x1p-11);
  }
  return list;
}

std::vector<Algorithm> algorithms_of(DeviceKind device, const StackShape& shape,
                                     Precision precision) {
  return device == DeviceKind::kCpu ? cpu_algorithms(precision) : cuda_algorithms(shape, precision);
}

bool is_wanted(const RecurrentBenchOptions& options, const std::string& name) {
  return options.algorithms.empty() ||
         std::ranges::any_of(options.algorithms,
                             [&](const std::string& start) { return name.starts_with(start); });
}

/// The seconds that a measurement may take, by a rough count: products at half the rate of large
/// ones and two kernels per timestep and layer, for each sample, warm-up and check of each
/// algorithm; memory that is overwritten between them; and the float64 result.
double expected_seconds(const RecurrentBenchOptions& options, double product_rate) {
  constexpr double kChecks = 4, kFlushSeconds = 0.03, kKernelSeconds = 3e-6, kReferenceSeconds = 1;
  const bool on_cpu = options.device == DeviceKind::kCpu;
  double seconds = 0;
  for (const StackShape& shape : options.shapes) {
    const double steps = double(shape.steps), layers = double(shape.spec.layers());
    const double flop = forward_flop(shape) + (options.backward ? backward_flop(shape) : 0);
    const double run = 2 * flop * steps / product_rate +
                       (on_cpu ? kFlushSeconds : 4 * kKernelSeconds * steps * layers);
    seconds += kReferenceSeconds;
    for (const Precision precision : options.precisions) {
      double runs = 1;  // the twin of our first
      for (const Algorithm& algorithm : algorithms_of(options.device, shape, precision))
        if (is_wanted(options, algorithm.name)) runs += algorithm.is_cudnn() ? 2 : 1;
      seconds += runs * run * (options.samples + kWarmUps + kChecks);
      if (!on_cpu) seconds += kWarmUpSeconds;
    }
  }
  return seconds;
}

std::string about_seconds(double seconds) {
  if (seconds < 90) return fmt::format("{:.0f} seconds", std::max(seconds, 1.0));
  if (seconds < 5400) return fmt::format("{:.0f} minutes", seconds / 60);
  return fmt::format("{:.1f} hours", seconds / 3600);
}

/// The inputs that all algorithms of a shape read, and the float64 result.
struct Inputs {
  TensorMemory memory;
  StackTensors tensors;
  PartialReference reference;
  View flush;

  Inputs(const std::shared_ptr<Backend>& backend, const StackShape& shape)
      : memory(backend),
        tensors(filled(*backend, shape, memory.tensors(shape))),
        reference(*backend, shape, tensors),
        flush(memory.tensor({std::int64_t(kFlushBytes)}, DType::kByte)) {}

 private:
  static StackTensors filled(Backend& backend, const StackShape& shape, StackTensors tensors) {
    fill_inputs(backend, shape, tensors);
    return tensors;
  }
};

class Bench {
 public:
  explicit Bench(const RecurrentBenchOptions& options) : options_(options) {}

  RecurrentBenchResults run() {
    rows_.about = describe_machine(options_.device, options_.ordinal, options_.threads);
    rows_.about.push_back(fmt::format(
        "times: medians of {} samples after {} unmeasured ones{}, all algorithms in turn; {} MB "
        "are written between two samples; forward as in training, with weights prepared anew",
        options_.samples, kWarmUps, on_cpu() ? "" : fmt::format(" and {} s", kWarmUpSeconds),
        kFlushBytes >> 20));
    if (!on_cpu())
      rows_.about.push_back(std::string(kBareCudnn) +
                            ": cuDNN's calls on ready buffers in its own types, without "
                            "conversions and without prepared weights");
    double slowest = 0;
    for (const Precision precision : options_.precisions)
      if (!stopped())
        unless_it_fails("rates of " + to_string(precision), [&] {
          const Rates rates = measure_rates(backend(precision), options_.ordinal, options_.threads);
          slowest = slowest > 0 ? std::min(slowest, rates.products) : rates.products;
          rows_.set_rates(precision, rates);
        });
    if (slowest > 0)
      progress(fmt::format("{} shapes: this takes about {}", options_.shapes.size(),
                           about_seconds(expected_seconds(options_, slowest))));
    for (std::size_t k = 0; k < options_.shapes.size() && !stopped(); ++k)
      measure(options_.shapes[k], fmt::format("{}/{}", k + 1, options_.shapes.size()));
    // Last, and only if kernels have waited for each other: a hang here then costs no row.
    if (!stopped() && rows_.has_time_of("persistent"))
      unless_it_fails("exchange of states",
                      [&] { rows_.set_exchange(cuda_exchange_seconds(options_.ordinal)); });
    return {rows_.results(), lost_};
  }

 private:
  bool on_cpu() const { return options_.device == DeviceKind::kCpu; }
  bool stopped() const { return !lost_.empty() || (options_.stop && *options_.stop); }
  void progress(const std::string& line) const {
    if (options_.progress) options_.progress(line);
  }

  std::shared_ptr<Backend> open(Precision precision, const RecurrentAlgorithm& algorithm) const {
    return on_cpu() ? cpu(options_.threads, precision)
                    : cuda(options_.ordinal, {precision, algorithm, options_.progress});
  }
  std::shared_ptr<Backend> backend(Precision precision,
                                   const RecurrentAlgorithm& algorithm = PassAlgorithm{}) {
    std::shared_ptr<Backend>& known = backends_[{precision, to_string(algorithm)}];
    if (!known) known = open(precision, algorithm);
    return known;
  }

  std::unique_ptr<RecurrentPlan> plan(const Candidate& c, const StackShape& shape) const {
    const RecurrentArgs args{.spec = shape.spec,
                             .steps = shape.steps,
                             .batch = shape.batch,
                             .input = shape.input,
                             .training = true};
    return c.algorithm.program == "onednn" ? onednn_recurrent_plan(args, options_.threads)
                                           : c.backend->recurrent_plan(args);
  }

  /// Runs an optional part of the benchmark: a failure only adds a line.
  template <typename Work>
  void unless_it_fails(const std::string& what, const Work& work) {
    try {
      work();
    } catch (const std::runtime_error& error) {
      rows_.about.push_back(what + " not measured: " + error.what());
      progress(rows_.about.back());
      look_at_device(what);
    }
  }

  /// All precisions share the inputs and the float64 result.
  void measure(const StackShape& shape, const std::string& number) {
    std::unique_ptr<Inputs> inputs;
    try {
      inputs = std::make_unique<Inputs>(backend(options_.precisions.front()), shape);
    } catch (const std::runtime_error& error) {
      for (const Precision precision : options_.precisions)
        rows_.add_failure(rows_of(shape, precision), kFailed + error.what());
      progress(fmt::format("{} {}: {}", number, shape.name, error.what()));
      backends_.clear();
      look_at_device("the inputs of " + shape.name);
      return;
    }
    for (const Precision precision : options_.precisions) {
      if (stopped()) return;
      progress(fmt::format("{} {} {} {}", number, shape.name, cell_name(shape.spec),
                           to_string(precision)));
      measure(rows_of(shape, precision), *inputs);
      if (options_.save) options_.save(rows_.results());
    }
  }

  MeasuredShape rows_of(const StackShape& shape, Precision precision) const {
    return {shape, precision, options_.forward, options_.backward};
  }

  void measure(const MeasuredShape& of, const Inputs& inputs) {
    std::vector<Candidate> candidates = candidates_for(of, inputs);
    check(of.shape, candidates, inputs.reference);
    std::vector<Run> runs = runs_of(of.shape, candidates);
    for (int k = 0; k < kWarmUps && !stopped(); ++k) sample_each(runs, inputs.flush, false);
    if (!on_cpu()) {  // a GPU that idled during the float64 computation reaches its clock
      const Stopwatch clock;
      while (clock.seconds() < kWarmUpSeconds && !stopped())
        if (!sample_each(runs, inputs.flush, false)) break;
    }
    for (int k = 0; k < options_.samples && !stopped(); ++k) sample_each(runs, inputs.flush, true);
    rows_.add(of, candidates, runs);
  }

  /// Does the work, or records in `status` why it cannot be done. If an algorithm refuses, fails or
  /// computes a wrong result, that is a result, and so is a lack of memory.
  template <typename Work>
  void attempt(const Candidate& c, std::string& status, const Work& work) {
    if (status != "ok") return;
    if (!lost_.empty()) {
      status = "not measured: the device no longer works";
      return;
    }
    try {
      work();
      return;
    } catch (const Mismatch& wrong) {
      status = kWrong + wrong.what();
    } catch (const DeviceError& error) {
      status = kFailed + error.what();
    } catch (const std::runtime_error& refusal) {
      status = refusal.what();
      return;
    }
    progress("  " + c.label() + " " + status);
    if (!status.starts_with(kFailed)) return;
    // Its stream may be unusable: the next request for such a backend gets a new one.
    std::erase_if(backends_, [&](const auto& known) { return known.second == c.backend; });
    look_at_device(c.label());
  }

  /// The same for the work that makes the candidate ready. If it fails, the candidate has no node.
  template <typename Work>
  void make_ready(Candidate& c, const Work& work) {
    attempt(c, c.status, work);
    if (c.status != "ok") c.node.reset();
  }

  void look_at_device(const std::string& after) {
    if (on_cpu() || !lost_.empty()) return;
    try {
      const std::shared_ptr<Backend> fresh = open(options_.precisions.front(), PassAlgorithm{});
      const std::shared_ptr<void> memory = fresh->allocate(256);
      fresh->clear(memory.get(), 256);
      fresh->synchronize();
    } catch (const std::runtime_error& error) {
      lost_ = "the device no longer works in this process, after " + after + ": " + error.what();
      rows_.about.push_back("ended early: " + lost_);
    }
  }

  std::vector<Candidate> candidates_for(const MeasuredShape& of, const Inputs& inputs) {
    std::vector<Candidate> candidates;
    for (const Algorithm& algorithm : algorithms_of(options_.device, of.shape, of.precision))
      if (is_wanted(options_, algorithm.name)) candidates.push_back({algorithm, nullptr, nullptr});
    for (Candidate& c : candidates)
      make_ready(c, [&] {
        c.backend = backend(of.precision, c.algorithm.node);
        c.node =
            std::make_unique<RecurrentNode>(of.shape, c.backend, plan(c, of.shape), inputs.tensors);
      });
    return candidates;
  }

  void check(const StackShape& shape, std::vector<Candidate>& candidates,
             const PartialReference& reference) {
    Candidate* first = nullptr;
    for (Candidate& c : candidates) {
      ErrorLimits limits = error_limits(shape, c.algorithm.unit);
      make_ready(c, [&] {
        reference.check(*c.node, c.label(), limits);
        if (!first) {
          first = &c;
          return;
        }
        const ErrorLimits others = error_limits(shape, first->algorithm.unit);
        limits.outputs += others.outputs;
        limits.gradients += others.gradients;
        check_equal(*c.node, c.label(), *first->node, first->label(), limits);
      });
    }
    if (first)
      progress(
          fmt::format("  checked against float64 over {} of {} timesteps, and against each "
                      "other",
                      reference.steps(), shape.steps));
  }

  /// Each run does the same work as the calls that have been checked.
  std::vector<Run> runs_of(const StackShape& shape, std::vector<Candidate>& candidates) {
    std::vector<Run> runs;
    bool has_twin = false;
    for (Candidate& c : candidates)
      make_ready(c, [&] {
        std::vector<Run> ready;  // if one fails, none counts: they share the node
        const auto add = [&] { ready.push_back(on_cpu() ? called(c, "calls") : replayed(c)); };
        add();
        if (c.algorithm.program == "unroll" && !has_twin) {
          add();
          ready.back().is_twin = has_twin = true;
        }
        if (c.algorithm.is_cudnn()) ready.push_back(called(c, "stream"));
        std::ranges::move(ready, std::back_inserter(runs));
      });
    for (Run& run : runs)
      attempt(*run.candidate, run.status,
              [&] { check_repeats(run, error_limits(shape, run.candidate->algorithm.unit)); });
    return runs;
  }

  /// Returns whether any run is left to sample.
  bool sample_each(std::vector<Run>& runs, const View& flush, bool counts) {
    bool any = false;
    for (Run& run : runs) {
      if (!lost_.empty()) return false;  // the samples of the others stay
      attempt(*run.candidate, run.status, [&] {
        sample(run, flush, options_.backward, counts);
        any = true;
      });
    }
    return any;
  }

  const RecurrentBenchOptions& options_;
  std::map<std::pair<Precision, std::string>, std::shared_ptr<Backend>> backends_;
  RecurrentRows rows_;
  std::string lost_;  // why the device no longer works
};

}  // namespace

std::vector<std::string> algorithm_names(const RecurrentBenchOptions& options) {
  std::vector<std::string> names;
  for (const StackShape& shape : options.shapes)
    for (const Precision precision : options.precisions)
      for (const Algorithm& algorithm : algorithms_of(options.device, shape, precision))
        if (std::ranges::find(names, algorithm.name) == names.end())
          names.push_back(algorithm.name);
  return names;
}

RecurrentBenchResults bench_recurrent(const RecurrentBenchOptions& options) {
  return Bench(options).run();
}

}  // namespace unroll::benchmark
