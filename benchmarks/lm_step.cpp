/// Times a whole training step of a language model on the CPU: embedding, recurrent layers,
/// decoder, cross-entropy, all gradients, clipping, SGD. pytorch_lm.py times the same step;
/// scripts/ compare_pytorch.sh runs both in turn. Prints one CSV row (see kHeader); the floor is
/// the step's multiply-adds at the rate of a large matrix product measured in the same process.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <vector>

#include "host/models/language_model.h"
#include "unroll/cells/philox.h"
#include "unroll/ops.h"

namespace unroll {
namespace {

constexpr const char* kHeader =
    "program,cell,layers,V,H,B,T,threads,median_ms,min_ms,max_ms,tokens_per_s,floor_ms";

struct Options {
  std::string cell = "lstm";
  std::int64_t layers = 2, vocabulary = 10000, hidden = 200, batch = 20, steps = 35;
  int threads = 0, samples = 30;
  bool header = false;
};

double milliseconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

/// GFLOP/s of a square product, the best of several.
double product_rate(const std::shared_ptr<Backend>& backend) {
  constexpr std::int64_t kSize = 1536;
  Graph graph;
  const Tensor a = graph.variable("a", {kSize, kSize}, uniform(-1, 1));
  const Tensor b = graph.variable("b", {kSize, kSize}, uniform(-1, 1));
  const Tensor c = matmul(a, b);
  Session session(graph, backend);
  double best = 1e30;
  for (int k = 0; k < 8; ++k) best = std::min(best, milliseconds([&] { session.run(c); }));
  return 2.0 * kSize * kSize * kSize / best / 1e6;
}

/// Forward, gradient of the input and gradient of the weight: three products per weight and token.
double step_gflop(const Options& o) {
  const int gates = o.cell == "lstm" ? 4 : o.cell == "gru" ? 3 : 1;
  const double weights =
      double(o.layers) * gates * 2 * double(o.hidden * o.hidden) + double(o.hidden * o.vocabulary);
  return 6 * weights * double(o.batch * o.steps) / 1e9;
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
  const auto backend = cpu(o.threads);
  TrainingGraph graph(config, {.batch = o.batch,
                               .optimizer = {.kind = OptimizerKind::kSgd, .clip_norm = 0.25F},
                               .learning_rate = 1});
  Session session(graph.graph, backend, 1);
  const auto inputs = random_tokens(o.batch * o.steps, o.vocabulary, 1);
  const auto targets = random_tokens(o.batch * o.steps, o.vocabulary, 2);
  const Feed feeds[] = {
      {graph.inputs, std::span<const std::int32_t>(inputs), Shape{o.steps, o.batch}},
      {graph.targets, std::span<const std::int32_t>(targets)}};
  const auto step = [&] { session.run(std::span(&graph.step, 1), feeds); };
  for (int k = 0; k < 3; ++k) step();
  std::vector<double> times;
  for (int k = 0; k < o.samples; ++k) times.push_back(milliseconds(step));
  std::ranges::sort(times);
  const double median = times[times.size() / 2];
  if (o.header) fmt::print("{}\n", kHeader);
  fmt::print("unroll,{},{},{},{},{},{},{},{:.3f},{:.3f},{:.3f},{:.0f},{:.3f}\n", o.cell, o.layers,
             o.vocabulary, o.hidden, o.batch, o.steps, o.threads, median, times.front(),
             times.back(), double(o.batch * o.steps) / median * 1000,
             step_gflop(o) / product_rate(backend) * 1000);
}

}  // namespace
}  // namespace unroll

int main(int argc, char** argv) {
  unroll::Options options;
  CLI::App app("Times a training step of a language model.");
  app.add_option("--cell", options.cell)->check(CLI::IsMember({"lstm", "gru", "rnn_tanh"}));
  app.add_option("--layers", options.layers);
  app.add_option("--vocabulary", options.vocabulary);
  app.add_option("--hidden", options.hidden);
  app.add_option("--batch", options.batch);
  app.add_option("--steps", options.steps);
  app.add_option("--threads", options.threads);
  app.add_option("--samples", options.samples)->check(CLI::PositiveNumber);
  app.add_flag("--header", options.header);
  CLI11_PARSE(app, argc, argv);
  unroll::run(options);
  return 0;
}
