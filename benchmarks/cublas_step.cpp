/// Times the matrix products of recurrent stacks and nothing else, as cuBLAS does them in a CUDA
/// graph: what `unroll bench rnn` can be held against, row for row. A CSV on stdout.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <stdexcept>

#include "benchmarks/cublas_products.h"
#include "benchmarks/program.h"
#include "host/bench/machine.h"
#include "host/bench/measure.h"
#include "host/bench/report/results.h"
#include "host/bench/shapes.h"

namespace unroll::benchmark {
namespace {

struct Options {
  DeviceChoice device{.device = "cuda"};
  std::vector<std::string> shapes, cells;
  int samples = 20;
};

void run(const Options& o) {
  const auto backend = o.device.open();
  Results results{describe_machine(DeviceKind::kCuda, 0, 0), {}};
  for (const StackShape& shape : choose_shapes(o.shapes, o.cells)) {
    const CublasProducts products = cublas_products(shape, backend->precision());
    std::vector<double> forward, backward;
    for (const Stopwatch clock; clock.seconds() < kWarmUpSeconds;)
      products.seconds(*products.forward);
    for (int k = -3; k < o.samples; ++k) {
      const double f = products.seconds(*products.forward),
                   b = products.seconds(*products.backward);
      if (k < 0) continue;
      forward.push_back(f);
      backward.push_back(b);
    }
    const auto add = [&](const char* pass, const std::vector<double>& seconds, double flop) {
      Result row{.of = case_of("rnn", shape, backend->precision(), pass),
                 .program = "cublas",
                 .algorithm = "products",
                 .execution = "graph"};
      set_times(row, shape, seconds, flop);
      results.rows.push_back(row);
    };
    add("forward", forward, forward_flop(shape));
    add("backward", backward, backward_flop(shape));
  }
  fmt::print("{}", to_csv(results));
}

}  // namespace
}  // namespace unroll::benchmark

int main(int argc, char** argv) {
  unroll::benchmark::Options options;
  CLI::App app("Times the products of recurrent stacks alone.");
  app.add_option("--precision", options.device.precision, "fp32, tf32 or bf16");
  app.add_option("--shapes", options.shapes, "Names, or T,B,I,H,L; without: all");
  app.add_option("--cell", options.cells);
  app.add_option("--samples", options.samples)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  return unroll::benchmark::exit_status_of([&] { unroll::benchmark::run(options); });
}
