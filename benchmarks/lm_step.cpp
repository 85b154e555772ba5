/// Times a whole training step of a language model: embedding, recurrent layers, decoder,
/// cross-entropy, all gradients, clipping, SGD. pytorch_lm.py times the same step, and
/// scripts/compare_pytorch.sh runs both in turn. Prints one CSV row (see kHeader); the floor is the
/// step's multiply-adds at the device's rate.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <vector>

#include "benchmarks/measure.h"
#include "host/models/language_model.h"
#include "unroll/cells/philox.h"
#include "unroll/ops.h"

namespace unroll::benchmark {
namespace {

constexpr const char* kHeader =
    "program,device,precision,cell,layers,V,H,B,T,dropout,threads,median_ms,min_ms,max_ms,"
    "tokens_per_s,peak_mib,floor_ms";

struct Options {
  DeviceChoice device;
  std::string cell = "lstm";
  std::int64_t layers = 2, vocabulary = 10000, hidden = 200, batch = 20, steps = 35;
  double dropout = 0;
  int samples = 30;
  bool header = false;
};

/// Forward, gradient of the input and gradient of the weight: three products per weight and token.
double step_flop(const Options& o) {
  const int gates = o.cell == "lstm" ? 4 : o.cell == "gru" ? 3 : 1;
  const double weights =
      double(o.layers) * gates * 2 * double(o.hidden * o.hidden) + double(o.hidden * o.vocabulary);
  return 6 * weights * double(o.batch * o.steps);
}

std::vector<std::int32_t> random_tokens(std::int64_t count, std::int64_t vocabulary,
                                        std::uint64_t key) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(count));
  for (std::size_t k = 0; k < tokens.size(); ++k)
    tokens[k] = std::int32_t(cells::philox_word(key, 0, k) % std::uint32_t(vocabulary));
  return tokens;
}

void run(const Options& o) {
  LanguageModelConfig config;
  config.cell = o.cell == "lstm"  ? CellKind::kLstm
                : o.cell == "gru" ? CellKind::kGru
                                  : CellKind::kRnnTanh;
  config.vocabulary = o.vocabulary;
  config.embedding = o.hidden;
  config.hidden.assign(std::size_t(o.layers), o.hidden);
  config.dropout = o.dropout;
  const auto backend = o.device.open();
  TrainingGraph graph(config, {.batch = o.batch,
                               .optimizer = {.kind = OptimizerKind::kSgd, .clip_norm = 0.25F},
                               .learning_rate = 1});
  Session session(graph.graph, backend, 1);
  const auto inputs = random_tokens(o.batch * o.steps, o.vocabulary, 1);
  const auto targets = random_tokens(o.batch * o.steps, o.vocabulary, 2);
  const Feed feeds[] = {
      {graph.inputs, std::span<const std::int32_t>(inputs), Shape{o.steps, o.batch}},
      {graph.targets, std::span<const std::int32_t>(targets)}};
  // A GPU works through a queue, as in training: steps follow each other, and the last is waited
  // for.
  const int steps = backend->kind() == DeviceKind::kCpu ? 1 : 10;
  const auto sample = [&] {
    return milliseconds([&] {
             for (int k = 0; k < steps; ++k) session.run(std::span(&graph.step, 1), feeds);
             backend->synchronize();
           }) /
           steps;
  };
  for (int k = 0; k < 3; ++k) sample();
  std::vector<double> times;
  for (int k = 0; k < o.samples; ++k) times.push_back(sample());
  const Spread ms = spread_of(std::move(times));
  const double peak_mib = double(backend->memory().peak) / 1024 / 1024;
  if (o.header) fmt::print("{}\n", kHeader);
  fmt::print("unroll,{},{},{},{},{},{},{},{},{},{},{:.3f},{:.3f},{:.3f},{:.0f},{:.1f},{:.3f}\n",
             o.device.device, to_string(backend->precision()), o.cell, o.layers, o.vocabulary,
             o.hidden, o.batch, o.steps, o.dropout, o.device.threads, ms.median, ms.least, ms.most,
             double(o.batch * o.steps) / ms.median * 1000, peak_mib,
             step_flop(o) / product_rate(backend) * 1000);
}

}  // namespace
}  // namespace unroll::benchmark

int main(int argc, char** argv) {
  unroll::benchmark::Options options;
  CLI::App app("Times a training step of a language model.");
  app.add_option("--device", options.device.device, "cpu or cuda");
  app.add_option("--precision", options.device.precision, "fp32, tf32 or bf16");
  app.add_option("--cell", options.cell)->check(CLI::IsMember({"lstm", "gru", "rnn_tanh"}));
  app.add_option("--layers", options.layers);
  app.add_option("--vocabulary", options.vocabulary);
  app.add_option("--hidden", options.hidden);
  app.add_option("--batch", options.batch);
  app.add_option("--steps", options.steps);
  app.add_option("--dropout", options.dropout);
  app.add_option("--threads", options.device.threads);
  app.add_option("--samples", options.samples)->check(CLI::PositiveNumber);
  app.add_flag("--header", options.header);
  CLI11_PARSE(app, argc, argv);
  return unroll::benchmark::exit_status_of([&] { unroll::benchmark::run(options); });
}
