#include "benchmarks/recurrent_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "benchmarks/floor.h"
#include "benchmarks/machine.h"
#include "benchmarks/measure.h"
#include "benchmarks/onednn_module.h"
#include "benchmarks/recurrent_check.h"
#include "benchmarks/recurrent_node.h"

namespace unroll::benchmark {
namespace {

constexpr int kWarmUps = 3;  // of a replay the first runs the calls, the second records them

/// An algorithm of ours or of a rival's.
struct Algorithm {
  std::string program, name;
  double unit;  // largest relative error of rounding an operand
};

double rounding_unit(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return 0x1p-24;
    case Precision::kTf32:
      return 0x1p-10;  // whether bits are rounded or cut off is not documented
    case Precision::kBf16:
      return 0x1p-9;
  }
  throw std::invalid_argument("unknown precision");
}

std::vector<Algorithm> cpu_algorithms() {
  return {{"unroll", "stepwise", 0x1p-24}, {"onednn", "onednn", 0x1p-24}};
}

/// Ours: with every K that makes a wavefront of the stack, and persistent. cuDNN's four, in float16
/// too beside our bfloat16: that is its best case.
std::vector<Algorithm> cuda_algorithms(const StackShape& shape, Precision precision) {
  const double unit = rounding_unit(precision);
  std::vector<Algorithm> list{{"unroll", "stepwise", unit}};
  if (std::ranges::adjacent_find(shape.spec.hidden) != shape.spec.hidden.end())
    for (const std::int64_t block : {4, 8, 16, 32})
      if (block < shape.steps) list.push_back({"unroll", fmt::format("stepwise:{}", block), unit});
  list.push_back({"unroll", "persistent", unit});
  for (const char* form :
       {"standard", "persist_static", "persist_static_small_h", "persist_dynamic"}) {
    list.push_back({"cudnn", std::string("cudnn:") + form, unit});
    if (precision == Precision::kBf16)
      list.push_back({"cudnn", fmt::format("cudnn:{}:fp16", form), 0x1p-11});
  }
  return list;
}

/// One of them for a shape: a node, or why there is none.
struct Candidate {
  Algorithm algorithm;
  std::shared_ptr<Backend> backend;
  std::unique_ptr<RecurrentNode> node;
  std::string status = "ok";

  std::string label() const { return algorithm.program + " " + name(); }
  std::string name() const { return node ? node->algorithm() : algorithm.name; }
};

/// A way to run a candidate, and what it took: seconds.
struct Run {
  Candidate* candidate;
  std::string execution;
  bool is_twin = false;  // the same once more, for the noise
  std::function<void()> forward, backward, prepare;
  std::vector<double> forward_times, backward_times, prepare_times;
  std::string status = "ok";
};

class Bench {
 public:
  explicit Bench(const RecurrentBenchOptions& options) : options_(options) {}

  Results run() {
    results_.about = describe_machine(options_.device, options_.ordinal, options_.threads);
    results_.about.push_back(fmt::format(
        "times: medians of {} samples after {} unmeasured ones, all algorithms in turn; {} MB are "
        "written between two samples; forward as in training, with weights prepared anew",
        options_.samples, kWarmUps, kFlushBytes >> 20));
    for (const Precision precision : options_.precisions) {
      const Rates& rates = rates_[precision] =
          measure_rates(backend(precision, "stepwise"), options_.ordinal, options_.threads);
      for (const std::string& line : describe(rates))
        results_.about.push_back(to_string(precision) + " here: " + line);
    }
    for (std::size_t k = 0; k < options_.shapes.size() && !stopped(); ++k)
      measure(options_.shapes[k], fmt::format("{}/{}", k + 1, options_.shapes.size()));
    return std::move(results_);
  }

 private:
  bool stopped() const { return options_.stop && *options_.stop; }
  void progress(const std::string& line) const {
    if (options_.progress) options_.progress(line);
  }

  std::shared_ptr<Backend> backend(Precision precision, const std::string& algorithm) {
    std::shared_ptr<Backend>& known = backends_[{precision, algorithm}];
    if (!known)
      known = options_.device == DeviceKind::kCpu ? cpu(options_.threads)
                                                  : cuda(options_.ordinal, {precision, algorithm});
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

  bool is_wanted(const Algorithm& algorithm) const {
    return options_.algorithms.empty() ||
           std::ranges::any_of(options_.algorithms, [&](const std::string& start) {
             return algorithm.name.starts_with(start);
           });
  }

  /// Inputs and float64's answer serve all precisions.
  void measure(const StackShape& shape, const std::string& number) {
    const std::shared_ptr<Backend> first = backend(options_.precisions.front(), "stepwise");
    TensorMemory memory(first);
    const StackTensors inputs = memory.tensors(shape);
    fill_inputs(*first, shape, inputs);
    const PartialReference reference(*first, shape, inputs);
    const View flush = memory.tensor({std::int64_t(kFlushBytes)}, DType::kByte);
    for (const Precision precision : options_.precisions) {
      if (stopped()) return;
      progress(fmt::format("{} {} {} {}", number, shape.name, cell_name(shape.spec),
                           to_string(precision)));
      measure(shape, precision, inputs, reference, flush);
      if (options_.save) options_.save(results_);
    }
  }

  void measure(const StackShape& shape, Precision precision, const StackTensors& inputs,
               const PartialReference& reference, const View& flush) {
    const bool on_cpu = options_.device == DeviceKind::kCpu;
    std::vector<Candidate> candidates;
    for (const Algorithm& algorithm : on_cpu ? cpu_algorithms() : cuda_algorithms(shape, precision))
      if (is_wanted(algorithm)) candidates.push_back({algorithm, nullptr, nullptr});
    for (Candidate& c : candidates)
      unless_refused(c, [&] {
        c.backend = backend(precision, on_cpu ? "stepwise" : c.algorithm.name);
        c.node = std::make_unique<RecurrentNode>(shape, c.backend, plan(c, shape), inputs);
      });
    check(shape, candidates, reference);

    std::vector<Run> runs = runs_of(candidates);
    for (int k = -kWarmUps; k < options_.samples && !stopped(); ++k)
      for (Run& run : runs) sample(run, flush, k >= 0);
    report(shape, precision, candidates, runs);
  }

  /// What a rival refuses, fails at or gets wrong, and what there is no memory for, is a result.
  template <typename Make>
  void unless_refused(Candidate& c, const Make& make) {
    try {
      make();
    } catch (const Mismatch& wrong) {
      if (c.algorithm.program == "unroll") throw;
      c.node.reset();
      c.status = kWrong + wrong.what();
      progress("  " + c.status);
    } catch (const DeviceError& error) {
      if (c.algorithm.program == "unroll") throw;
      c.node.reset();
      c.status = error.what();
      forget(c.backend);
    } catch (const std::runtime_error& refusal) {
      c.node.reset();
      c.status = refusal.what();
    }
  }

  /// After a failure its stream may be unusable: who asks for it again gets another.
  void forget(const std::shared_ptr<Backend>& backend) {
    std::erase_if(backends_, [&](const auto& known) { return known.second == backend; });
  }

  void check(const StackShape& shape, std::vector<Candidate>& candidates,
             const PartialReference& reference) {
    Candidate* first = nullptr;
    for (Candidate& c : candidates) {
      if (!c.node) continue;
      ErrorLimits limits = error_limits(shape, c.algorithm.unit);
      unless_refused(c, [&] {
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

  std::vector<Run> runs_of(std::vector<Candidate>& candidates) {
    std::vector<Run> runs;
    bool has_twin = false;
    for (Candidate& c : candidates) {
      if (!c.node) continue;
      const auto add = [&] {
        runs.push_back(options_.device == DeviceKind::kCpu ? called(c, "calls") : replayed(c));
      };
      add();
      if (c.algorithm.program == "unroll" && !has_twin) {
        add();
        runs.back().is_twin = has_twin = true;
      }
      if (c.algorithm.program == "cudnn") runs.push_back(called(c, "stream"));
    }
    return runs;
  }

  static Run called(Candidate& c, const char* execution) {
    RecurrentNode* const node = c.node.get();
    Run run{.candidate = &c, .execution = execution};
    run.prepare = [node] { node->prepare(); };
    run.forward = [node] { node->prepare(), node->forward(); };
    run.backward = [node] { node->backward(); };
    return run;
  }

  static Run replayed(Candidate& c) {
    Run run = called(c, "graph");
    for (std::function<void()>* work : {&run.prepare, &run.forward, &run.backward}) {
      const std::shared_ptr<Replay> replay = c.backend->capture(*work);
      *work = [replay] { replay->run(); };
    }
    return run;
  }

  void sample(Run& run, const View& flush, bool counts) {
    if (run.status != "ok") return;
    Backend& backend = *run.candidate->backend;
    const auto time = [&](const std::function<void()>& work, std::vector<double>& times) {
      backend.clear(flush.data, flush.bytes());
      const double seconds = backend.elapsed(work);
      if (counts) times.push_back(seconds);
    };
    try {
      time(run.prepare, run.prepare_times);
      time(run.forward, run.forward_times);
      if (options_.backward) time(run.backward, run.backward_times);
    } catch (const std::runtime_error& error) {
      if (run.candidate->algorithm.program == "unroll") throw;
      run.status = error.what();
      forget(run.candidate->backend);
    }
  }

  void report(const StackShape& shape, Precision precision,
              const std::vector<Candidate>& candidates, const std::vector<Run>& runs) {
    for (const Pass pass : {Pass::kForward, Pass::kBackward}) {
      const bool is_forward = pass == Pass::kForward;
      if (is_forward ? !options_.forward : !options_.backward) continue;
      const auto times_of = [&](const Run& run) -> const std::vector<double>& {
        return is_forward ? run.forward_times : run.backward_times;
      };
      Result common;
      common.of = case_of("rnn", shape, precision, is_forward ? "forward" : "backward");
      common.floor = floor_of(shape, pass, rates_.at(precision)).us;
      for (std::size_t k = 1; k < runs.size(); ++k)
        if (runs[k].is_twin && !times_of(runs[k]).empty())
          common.noise = std::abs(
              spread_of(times_of(runs[k - 1])).median / spread_of(times_of(runs[k])).median - 1);
      for (const Run& run : runs)
        if (!run.is_twin)
          add(common, run, times_of(run), shape, pass, rates_.at(precision).products);
      for (const Candidate& c : candidates)
        if (!c.node) {
          Result row = common;
          row.program = c.algorithm.program;
          row.algorithm = c.algorithm.name;
          row.status = c.status;
          results_.rows.push_back(row);
        }
    }
  }

  void add(Result row, const Run& run, const std::vector<double>& times, const StackShape& shape,
           Pass pass, double product_rate) {
    const bool is_forward = pass == Pass::kForward;
    const Candidate& c = *run.candidate;
    row.program = c.algorithm.program;
    row.algorithm = c.name();
    row.execution = run.execution;
    row.status = run.status;
    row.reserve_mib = double(c.node->reserve_bytes()) / (1 << 20);
    row.work_mib = double(c.node->scratch_bytes()) / (1 << 20);
    if (run.status == "ok" && times.empty()) row.status = "stopped before it was measured";
    if (!times.empty()) {
      const double flop = is_forward ? forward_flop(shape) : backward_flop(shape);
      set_times(row, shape, times, flop);
      if (is_forward) row.prepare = spread_of(run.prepare_times).median * 1e6 / double(shape.steps);
      row.peak = flop / *row.median * 1e6 / product_rate;
    }
    results_.rows.push_back(row);
  }

  const RecurrentBenchOptions& options_;
  std::map<std::pair<Precision, std::string>, std::shared_ptr<Backend>> backends_;
  std::map<Precision, Rates> rates_;
  Results results_;
};

}  // namespace

Results bench_recurrent(const RecurrentBenchOptions& options) {
  return Bench(options).run();
}

}  // namespace unroll::benchmark
