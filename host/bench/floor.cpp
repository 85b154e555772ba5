#include "host/bench/floor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "host/bench/fma_rate.h"
#include "host/bench/measure.h"
#include "host/bench/report/text_table.h"
#include "unroll/cuda_report.h"
#include "unroll/ops.h"
#include "unroll/recurrent_spec.h"
#include "unroll/session.h"

namespace unroll::benchmark {
namespace {

/// The exchange if it is not measured: all multiprocessors wait for each other by polling L2. This
/// is twice a flag's way through L2, published as 0.16 us on an H100, plus the code around it.
constexpr double kPublishedExchange = 0.4e-6;
/// The part of a multiprocessor's 227 KB of shared memory and 256 KB of registers that weights can
/// use.
constexpr double kResidentBytes = (200 + 128) * 1024.0;

double cpu_product_rate(const std::shared_ptr<Backend>& backend) {
  constexpr std::int64_t kSize = 1536;
  Graph graph;
  const Tensor a = graph.variable("a", {kSize, kSize}, uniform(-1, 1));
  const Tensor b = graph.variable("b", {kSize, kSize}, uniform(-1, 1));
  const Tensor c = matmul(a, b);
  Session session(graph, backend);
  double best = std::numeric_limits<double>::max();
  for (int k = 0; k < 8; ++k) best = std::min(best, elapsed(*backend, [&] { session.run(c); }));
  return 2.0 * kSize * kSize * kSize / best;
}

double exchange_seconds(const Rates& rates) {
  return rates.exchange > 0 ? rates.exchange : kPublishedExchange;
}

/// The recurrence of a layer in one timestep, which cannot overlap with anything: the better of two
/// designs. In one, products and gates are separate kernels and the weights come from L2. In the
/// other, one kernel keeps the weights on the chip, in `groups` copies that divide the batch, and
/// each multiprocessor reads the states of its group.
Floor chain_of(const StackShape& shape, double hidden, const Rates& rates) {
  const double gates = shape.spec.gates(), batch = double(shape.batch);
  const double weights = gates * hidden * hidden * rates.element;
  const double compute = 2 * batch * gates * hidden * hidden / rates.peak;
  // A reset gate before the product splits it into two products, one after the other.
  const double rounds = cells::program_of(shape.spec).phase_count;
  const double kernels = rounds * 2 * rates.kernel + std::max(compute, weights / rates.cache);
  double resident = std::numeric_limits<double>::max();
  for (double groups = 1; groups <= std::ceil(batch / 8); ++groups) {
    if (groups * weights > kResidentBytes * rates.processors) break;
    const double states = batch / groups * hidden * rates.element;
    const double exchange = exchange_seconds(rates) + states / (rates.cache / rates.processors);
    resident = std::min(resident, rounds * exchange + compute);
  }
  if (resident < kernels) return {resident * 1e6, Bound::kExchange};
  return {kernels * 1e6, Bound::kKernels};
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
          .processors = cuda.processors,
          .element = backend->precision() == Precision::kBf16 ? 2.0 : 4.0};
}

Rates h100_rates(Precision precision) {
  const double products = precision == Precision::kFp32   ? 67e12
                          : precision == Precision::kTf32 ? 400e12
                                                          : 798e12;
  return {.products = products,
          .peak = products,
          .memory = 3.0e12,
          .cache = 5.7e12,
          .kernel = 1.3e-6,
          .exchange = kPublishedExchange,
          .processors = 132,
          .element = precision == Precision::kBf16 ? 2.0 : 4.0};
}

std::vector<std::string> describe(const Rates& rates) {
  if (rates.processors == 0)
    return {
        fmt::format("large product {:.4g} GFLOP/s, multiply-adds in registers {:.4g} "
                    "GFLOP/s; the floor is the products' operations at the latter",
                    rates.products / 1e9, rates.peak / 1e9)};
  return {
      fmt::format("large product {:.4g} TFLOP/s, copy {:.4g} TB/s, L2 into {} "
                  "multiprocessors {:.4g} TB/s, kernel to kernel in a graph {:.3g} us",
                  rates.products / 1e12, rates.memory / 1e12, rates.processors, rates.cache / 1e12,
                  rates.kernel * 1e6),
      fmt::format("kernels that keep their weights: exchange of states {:.2g} us{}, {:.0f} KB of "
                  "weights a multiprocessor",
                  exchange_seconds(rates) * 1e6, rates.exchange > 0 ? "" : " as published",
                  kResidentBytes / 1024)};
}

Floor floor_of(const StackShape& shape, Pass pass, const Rates& rates) {
  const double flop = pass == Pass::kForward ? forward_flop(shape) : backward_flop(shape);
  Floor floor{flop / rates.peak * 1e6, Bound::kProducts};
  if (rates.processors == 0) return floor;
  const auto at_least = [&](const Floor& other) {
    if (other.us > floor.us) floor = other;
  };
  const double batch = double(shape.batch), gates = shape.spec.gates();
  // Layers can advance at the same time, each one timestep behind the layer below.
  const double steps = double(shape.steps), layers = double(shape.spec.layers());
  double bytes = 0;
  for (const std::int64_t units : shape.spec.hidden) {
    const double hidden = double(units);
    const Floor chain = chain_of(shape, hidden, rates);
    at_least({chain.us * (steps + layers - 1) / steps, chain.bound});
    // Forward: W x, the activated gates, h and the state. Backward: the same and gradients.
    bytes += batch * hidden * (2 * gates + 2) * rates.element;
  }
  at_least({bytes / rates.memory * 1e6, Bound::kMemory});
  return floor;
}

std::string floors_legend() {
  return "microseconds per timestep of all layers; what binds: p products, m memory, k two kernels "
         "per timestep, x exchange of states";
}

std::string floors_text(const std::vector<StackShape>& shapes) {
  constexpr Precision kPrecisions[] = {Precision::kFp32, Precision::kTf32, Precision::kBf16};
  constexpr const char* kLetters[] = {"p", "m", "k", "x"};
  TextTable table({{"shape", false, true},
                   {"cell", false},
                   {"T", true},
                   {"B", true},
                   {"I", true},
                   {"units", true},
                   {"fp32\nforward"},
                   {"\nbackward"},
                   {"tf32\nforward"},
                   {"\nbackward"},
                   {"bf16\nforward"},
                   {"\nbackward"}});
  for (const StackShape& shape : shapes) {
    std::vector<std::string> row{shape.name,
                                 cell_name(shape.spec),
                                 std::to_string(shape.steps),
                                 std::to_string(shape.batch),
                                 std::to_string(shape.input),
                                 hidden_text(shape.spec)};
    for (const Precision precision : kPrecisions)
      for (const Pass pass : {Pass::kForward, Pass::kBackward}) {
        const Floor floor = floor_of(shape, pass, h100_rates(precision));
        row.push_back(ratio_text(floor.us) + " " + kLetters[std::size_t(floor.bound)]);
      }
    table.row(row);
  }
  return table.text();
}

}  // namespace unroll::benchmark
