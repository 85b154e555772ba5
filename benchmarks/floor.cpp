#include "benchmarks/floor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "benchmarks/fma_rate.h"
#include "unroll/cuda_report.h"
#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::benchmark {
namespace {

/// All multiprocessors waiting for each other by polling L2, where it is not measured: twice a
/// flag's way through it, 0.16 us each on an H100 as published, and what is around it.
constexpr double kPublishedExchange = 0.4e-6;
/// Of a multiprocessor's 227 KB of shared memory and 256 KB of registers, what weights can have.
constexpr double kResidentBytes = (200 + 128) * 1024.0;

double cpu_product_rate(const std::shared_ptr<Backend>& backend) {
  constexpr std::int64_t kSize = 1536;
  Graph graph;
  const Tensor a = graph.variable("a", {kSize, kSize}, uniform(-1, 1));
  const Tensor b = graph.variable("b", {kSize, kSize}, uniform(-1, 1));
  const Tensor c = matmul(a, b);
  Session session(graph, backend);
  double best = std::numeric_limits<double>::max();
  for (int k = 0; k < 8; ++k) best = std::min(best, backend->elapsed([&] { session.run(c); }));
  return 2.0 * kSize * kSize * kSize / best;
}

double exchange_seconds(const Rates& rates) {
  return rates.exchange > 0 ? rates.exchange : kPublishedExchange;
}

/// Seconds of a layer's recurrence in one timestep, which nothing can be done in parallel with: the
/// better of two designs. In one, products and gates are kernels of their own and the weights come
/// from L2. In the other, one kernel keeps the weights on the chip, in `groups` copies that divide
/// the batch, and each multiprocessor reads its group's states.
double chain_seconds(const StackShape& shape, double hidden, const Rates& rates) {
  const double gates = gates_of(shape.spec.cell), batch = double(shape.batch);
  const double weights = gates * hidden * hidden * rates.element;
  const double compute = 2 * batch * gates * hidden * hidden / rates.peak;
  // A reset gate before the product makes two products of it, one after the other.
  const bool before = shape.spec.cell == CellKind::kGru && shape.spec.reset == GruReset::kBefore;
  const double rounds = before ? 2 : 1;
  const double kernels = rounds * 2 * rates.kernel + std::max(compute, weights / rates.cache);
  double resident = std::numeric_limits<double>::max();
  for (double groups = 1; groups <= std::ceil(batch / 8); ++groups) {
    if (groups * weights > kResidentBytes * rates.processors) break;
    const double states = batch / groups * hidden * rates.element;
    const double exchange = exchange_seconds(rates) + states / (rates.cache / rates.processors);
    resident = std::min(resident, rounds * exchange + compute);
  }
  return std::min(kernels, resident);
}

}  // namespace

Rates measure_rates(const std::shared_ptr<Backend>& backend, int ordinal, int threads) {
  if (backend->kind() == DeviceKind::kCpu)
    return {.products = cpu_product_rate(backend), .peak = fma_rate(threads)};
  const CudaRates cuda = cuda_rates(ordinal, backend->precision());
  return {.products = cuda.products,
          .peak = cuda.products,
          .memory = cuda.memory,
          .cache = cuda.cache,
          .kernel = cuda.kernel,
          .exchange = cuda.exchange,
          .processors = cuda.processors,
          .element = backend->precision() == Precision::kBf16 ? 2.0 : 4.0};
}

std::vector<std::string> describe(const Rates& rates) {
  if (rates.processors == 0)
    return {
        fmt::format("measured: large product {:.4g} GFLOP/s, multiply-adds in registers {:.4g} "
                    "GFLOP/s; the floor is the products' operations at the latter",
                    rates.products / 1e9, rates.peak / 1e9)};
  return {fmt::format("measured: large product {:.4g} TFLOP/s, copy {:.4g} TB/s, L2 into {} "
                      "multiprocessors {:.4g} TB/s, kernel to kernel in a graph {:.3g} us",
                      rates.products / 1e12, rates.memory / 1e12, rates.processors,
                      rates.cache / 1e12, rates.kernel * 1e6),
          fmt::format("for kernels that keep their weights: exchange of states {:.2g} us, {}; "
                      "assumed {:.0f} KB of weights a multiprocessor",
                      exchange_seconds(rates) * 1e6,
                      rates.exchange > 0 ? "measured"
                                         : "as published: this device has no cooperative launches",
                      kResidentBytes / 1024)};
}

double floor_us(const StackShape& shape, Pass pass, const Rates& rates) {
  const double flop = pass == Pass::kForward ? forward_flop(shape) : backward_flop(shape);
  const double compute = flop / rates.peak;
  if (rates.processors == 0) return compute * 1e6;
  const double batch = double(shape.batch), gates = gates_of(shape.spec.cell);
  double chain = 0, bytes = 0;
  for (const std::int64_t units : shape.spec.hidden) {
    const double hidden = double(units);
    chain = std::max(chain, chain_seconds(shape, hidden, rates));
    // W x in and activated gates out, h and the state; or the same and gradients on the way back.
    bytes += batch * hidden * (2 * gates + 2) * rates.element;
  }
  // Layers can advance at the same time, each a timestep behind the one below.
  const double steps = double(shape.steps), layers = double(shape.spec.layers());
  chain *= (steps + layers - 1) / steps;
  return std::max({chain, compute, bytes / rates.memory}) * 1e6;
}

}  // namespace unroll::benchmark
