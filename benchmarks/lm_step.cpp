/// Times a whole training step of language models over the stacks of shapes.h: embedding, recurrent
/// layers, decoder, cross-entropy, all gradients, clipping, SGD. pytorch_lm.py times the same step,
/// and scripts/compare_pytorch.sh runs both in turn. Prints the CSV of results.h; the floor is the
/// step's products at the rate that floor.h measures.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <vector>

#include "benchmarks/program.h"
#include "host/bench/floor.h"
#include "host/bench/machine.h"
#include "host/bench/measure.h"
#include "host/bench/recurrent_check.h"
#include "host/bench/report/results.h"
#include "host/bench/shapes.h"
#include "host/models/language_model.h"
#include "unroll/math/loss_guard.h"
#include "unroll/math/philox.h"
#include "unroll/optimizer.h"

namespace unroll::benchmark {
namespace {

struct Options {
  DeviceChoice device;
  std::vector<std::string> shapes = {"wlm200"}, cells;
  std::int64_t vocabulary = 10000;
  double dropout = 0;
  int samples = 30;
  bool list = false;
};

/// Counts the weights' products. Each has the gradients of its input and of the weight, too.
double timestep_flop(const StackShape& shape, std::int64_t vocabulary) {
  const double decoder = 6 * double(shape.batch * shape.spec.hidden.back() * vocabulary);
  return forward_flop(shape) + backward_flop(shape) + decoder;
}

std::vector<std::int32_t> random_tokens(std::int64_t count, std::int64_t vocabulary,
                                        std::uint64_t key) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(count));
  for (std::size_t k = 0; k < tokens.size(); ++k)
    tokens[k] = std::int32_t(math::philox_word(key, 0, k) % std::uint32_t(vocabulary));
  return tokens;
}

/// A step that is refused takes less time, and is no step.
void check_updates(const VariableStore& store) {
  std::array<std::int64_t, sizeof(StepCounters) / sizeof(std::int64_t)> values;
  store.read<std::int64_t>(Optimizer::kCounters, values);
  const auto counters = std::bit_cast<StepCounters>(values);
  if (counters.skipped > 0)
    throw Mismatch(fmt::format("{} of {} steps were refused: loss or gradients are not finite",
                               counters.skipped, counters.skipped + counters.updates));
}

/// Seconds of a step, each sample.
std::vector<double> time_steps(const StackShape& shape, const Options& o,
                               const std::shared_ptr<Backend>& backend) {
  const LanguageModelTask task({{.cell = shape.spec.cell,
                                 .reset = shape.spec.reset,
                                 .vocabulary = o.vocabulary,
                                 .embedding = shape.input,
                                 .hidden = shape.spec.hidden,
                                 .dropout = o.dropout}});
  const auto graph =
      task.training_graph({.batch = shape.batch,
                           .optimizer = {.kind = OptimizerKind::kSgd, .clip_norm = 0.25F},
                           .learning_rate = 1,
                           .initialization = {.range = 0.1}});
  Session session(graph->graph, backend, 1);
  const auto inputs = random_tokens(shape.batch * shape.steps, o.vocabulary, 1);
  const auto targets = random_tokens(shape.batch * shape.steps, o.vocabulary, 2);
  const Feed feeds[] = {
      {graph->inputs[0], std::span<const std::int32_t>(inputs), Shape{shape.steps, shape.batch}},
      {graph->inputs[1], std::span<const std::int32_t>(targets)}};
  // A GPU works through a queue, as in training: steps follow each other, and the last is waited
  // for.
  const int steps = backend->kind() == DeviceKind::kCpu ? 1 : 10;
  const auto sample = [&] {
    return elapsed(*backend,
                   [&] {
                     for (int k = 0; k < steps; ++k) session.run(std::span(&graph->step, 1), feeds);
                   }) /
           steps;
  };
  for (int k = 0; k < 3; ++k) sample();
  if (backend->kind() == DeviceKind::kCuda)
    for (const Stopwatch clock; clock.seconds() < kWarmUpSeconds;) sample();
  std::vector<double> times;
  times.reserve(std::size_t(o.samples));
  for (int k = 0; k < o.samples; ++k) times.push_back(sample());
  check_updates(session.variables());
  return times;
}

/// A shape for which memory runs out, or at which the device fails, leaves a row that says so.
Result measure(const StackShape& shape, const Options& o, const std::optional<Rates>& rates) {
  const bool on_cpu = o.device.device == "cpu";
  Result row{.of = case_of("lm", shape, o.device.chosen_precision(), "step"),
             .program = "unroll",
             .algorithm = o.device.algorithm,
             .execution = on_cpu ? "calls" : "graph"};
  const double flop = timestep_flop(shape, o.vocabulary);
  if (rates) row.floor = flop / rates->peak * 1e6;
  try {
    // A backend of its own for each: the first plan for training chooses the algorithm of all
    // others.
    const std::shared_ptr<Backend> backend = o.device.open();
    const std::size_t peak_before = backend->memory().peak;
    const std::vector<double> times = time_steps(shape, o, backend);
    row.algorithm = to_string(backend->recurrent_algorithm());
    set_times(row, shape, times, flop);
    if (rates) row.peak = flop / *row.median * 1e6 / rates->products;
    // The CPU's peak is the process's, and known to be this shape's only if it has grown.
    const std::size_t peak = backend->memory().peak;
    if (peak > peak_before) row.work_mib = double(peak) / 1024 / 1024;
  } catch (const Mismatch& wrong) {
    row.status = kWrong + wrong.what();
  } catch (const DeviceError& error) {
    row.status = kFailed + error.what();
  } catch (const std::runtime_error& error) {
    row.status = error.what();
  }
  return row;
}

/// Nothing if they cannot be measured, which `about` then says.
std::optional<Rates> rates_of(const Options& o, std::vector<std::string>& about) {
  try {
    const Rates rates = measure_rates(o.device.open(), 0, o.device.threads);
    for (const std::string& line : describe(rates))
      about.push_back(o.device.precision + " here: " + line);
    return rates;
  } catch (const std::runtime_error& error) {
    about.push_back("rates of " + o.device.precision + " not measured: " + error.what());
    return {};
  }
}

void run(const Options& o) {
  const std::vector<StackShape> shapes = choose_shapes(o.shapes, o.cells);
  if (o.list) {
    for (const StackShape& s : shapes)
      fmt::print("{}={},{},{},{},{}\n", s.name, cell_name(s.spec), s.steps, s.batch, s.input,
                 hidden_text(s.spec));
    return;
  }
  const DeviceKind kind = o.device.open()->kind();
  Results results;
  results.about = describe_machine(kind, 0, o.device.threads);
  const std::optional<Rates> rates = rates_of(o, results.about);
  results.about.push_back(fmt::format(
      "lm: V {}, dropout {}; work_mib is all memory at its peak; the floor is of products alone",
      o.vocabulary, o.dropout));
  for (const StackShape& shape : shapes) results.rows.push_back(measure(shape, o, rates));
  fmt::print("{}", to_csv(results));
  const auto fault = std::ranges::find_if(results.rows, is_fault);
  if (fault != results.rows.end()) throw std::runtime_error(fault->of.shape + ": " + fault->status);
}

}  // namespace
}  // namespace unroll::benchmark

int main(int argc, char** argv) {
  unroll::benchmark::Options options;
  CLI::App app("Times a training step of language models.");
  app.add_option("--device", options.device.device, "cpu or cuda");
  app.add_option("--precision", options.device.precision, "fp32, tf32 or bf16");
  app.add_option("--rnn-algorithm", options.device.algorithm,
                 "On a GPU: auto, stepwise, stepwise:K, persistent or cudnn:FORM");
  app.add_option("--shapes", options.shapes, "NAME or T,B,I,H,L ...");
  app.add_option("--cell", options.cells, "lstm, gru, gru_before, rnn_tanh, ...");
  app.add_option("--vocabulary", options.vocabulary)->check(CLI::PositiveNumber);
  app.add_option("--dropout", options.dropout);
  app.add_option("--threads", options.device.threads);
  app.add_option("--samples", options.samples)->check(CLI::PositiveNumber);
  app.add_flag("--list", options.list,
               "Only print the shapes, as NAME=CELL,T,B,I,H1/H2: what the PyTorch programs take");
  CLI11_PARSE(app, argc, argv);
  return unroll::benchmark::exit_status_of([&] { unroll::benchmark::run(options); });
}
