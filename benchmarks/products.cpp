/// The products of training steps: ours in float32 and in bfloat16 beside OpenBLAS and oneDNN, on
/// the CPU. All take turns, round after round; prints the median rate of each in GFLOP/s.
#include "benchmarks/products.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <stdexcept>

#include "benchmarks/program.h"
#include "host/bench/machine.h"
#include "host/bench/measure.h"
#include "host/cpu/device.h"
#include "host/cpu/isa.h"
#include "host/cpu/subnormals.h"
#include "unroll/math/philox.h"

namespace unroll::benchmark {
namespace {

struct Options {
  int threads = 1, rounds = 11;
  double least = 0.01;  // seconds of a sample
  std::vector<std::string> only;
};

/// The products of a language model: H units, V words, N sequences, T timesteps, T N = 35 x 20, or
/// 50 x 50 for 128 units, or 50 x 64 for 512.
std::vector<Product> products() {
  std::vector<Product> all;
  for (const std::int64_t batch : {1, 20, 64})
    for (const std::int64_t units : {128, 200, 650, 1500})
      all.push_back(
          {fmt::format("step N{} H{}", batch, units), batch, 4 * units, units, false, true, true});
  for (const auto& [units, rows] :
       {std::pair<std::int64_t, std::int64_t>{200, 700}, {650, 700}, {128, 2500}, {512, 3200}}) {
    const std::string size = fmt::format("H{} TN{}", units, rows);
    all.push_back({"W x " + size, rows, 4 * units, units, false, true, true});
    all.push_back({"dx " + size, rows, units, 4 * units, false, false, true});
    all.push_back({"dW " + size, 4 * units, units, rows, true, false, false});
  }
  for (const auto& [words, units] :
       {std::pair<std::int64_t, std::int64_t>{10000, 200}, {10000, 650}, {33278, 200}}) {
    const std::string size = fmt::format("V{} H{}", words, units);
    constexpr std::int64_t kRows = 256;  // of a chunk
    all.push_back({"logits " + size, kRows, words, units, false, true, true});
    all.push_back({"dh " + size, kRows, units, words, false, false, true});
    all.push_back({"dE " + size, words, units, kRows, true, false, false});
  }
  return all;
}

/// Ours as the CPU backend computes it: a step's product by each thread for its own columns, others
/// by all threads. Gradients of h and x pack the weight within the product.
Library ours(const std::shared_ptr<host::Device>& device) {
  const host::Isa isa = device->is_bf16() ? host::selected_bf16_isa() : host::selected_isa();
  return {"ours " + to_string(device->precision), host::isa_name(isa),
          [device](const Product& p, const Operands& o) -> Work {
            if (!p.packed || !p.transpose_b)
              return [=] {
                device->multiply(host::Gemm{p.m, p.n, p.k, o.a, p.transpose_a ? p.m : p.k,
                                            p.transpose_a, o.b, p.transpose_b ? p.k : p.n,
                                            p.transpose_b, o.c, p.n, false});
              };
            auto weight = std::make_shared<std::shared_ptr<host::PackedWeight>>();
            device->packed({const_cast<float*>(o.b), Shape{p.n, p.k}, DType::kFloat32, nullptr},
                           {p.k, p.n, 1, 1, true}, *weight);
            const host::PackedGemm g{p.m, p.n, p.k, o.a, p.k, (*weight)->data(), o.c, p.n, false};
            if (p.m > 64) return [=, keep = weight] { device->multiply(g); };
            return [=, keep = weight] {
              device->pool.run([&](int thread) {
                device->multiply_columns(g, host::split_range(p.n, 16, thread, device->pool.size()),
                                         thread);
              });
            };
          }};
}

std::vector<float> random_values(std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t k = 0; k < values.size(); ++k)
    values[k] = float(double(math::philox_word(1, 0, k)) * 0x1p-31 - 1);
  return values;
}

/// Seconds so far: on a clock, or with one thread those in which this process had a processor, so
/// that other programs disturb less.
double seconds_now(int threads) {
  timespec now{};
  ::clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

/// GFLOP/s of each library; 0 where it has no such product.
std::vector<double> rates(const Product& p, const std::vector<Library>& libraries,
                          const Options& options) {
  const std::vector<float> a = random_values(p.m * p.k), b = random_values(p.k * p.n);
  std::vector<float> c(static_cast<std::size_t>(p.m * p.n));
  std::vector<Work> work;
  std::vector<int> calls;
  for (const Library& library : libraries) {
    work.push_back(library.prepare ? library.prepare(p, {a.data(), b.data(), c.data()}) : nullptr);
    calls.push_back(1);
    if (!work.back()) continue;
    work.back()();
    const double start = seconds_now(options.threads);
    work.back()();
    calls.back() = 1 + int(options.least / (seconds_now(options.threads) - start));
  }
  std::vector<std::vector<double>> seconds(work.size());
  for (int round = 0; round < options.rounds; ++round)
    for (std::size_t k = 0; k < work.size(); ++k) {
      if (!work[k]) continue;
      const double start = seconds_now(options.threads);
      for (int call = 0; call < calls[k]; ++call) work[k]();
      seconds[k].push_back((seconds_now(options.threads) - start) / calls[k]);
    }
  std::vector<double> result;
  for (const std::vector<double>& times : seconds)
    result.push_back(times.empty() ? 0 : p.flop() / spread_of(times).median * 1e-9);
  return result;
}

std::string load() {
  double loads[1] = {};
  return ::getloadavg(loads, 1) == 1 ? fmt::format("{:.1f}", loads[0]) : "unknown";
}

void run(const Options& options) {
  const host::FlushSubnormals flush;
  std::vector<Library> libraries;
  for (const Precision precision : {Precision::kFp32, Precision::kBf16})
    libraries.push_back(ours(std::make_shared<host::Device>(options.threads, precision)));
  libraries.push_back(openblas(options.threads));
  for (Library& library : onednn(options.threads)) libraries.push_back(std::move(library));

  for (const std::string& line : describe_machine(DeviceKind::kCpu, 0, options.threads))
    fmt::print("# {}\n", line);
  fmt::print("# load {} at the start; GFLOP/s{}, medians of {} rounds in turn\n", load(),
             options.threads == 1 ? " by the processor's time" : "", options.rounds);
  for (const Library& library : libraries) fmt::print("# {}: {}\n", library.name, library.version);
  fmt::print("| product |");
  for (const Library& library : libraries) fmt::print(" {} |", library.name);
  fmt::print("\n|---|");
  for (std::size_t k = 0; k < libraries.size(); ++k) fmt::print("---|");
  fmt::print("\n");
  for (const Product& p : products()) {
    const auto wanted = [&](const std::string& start) { return p.name.starts_with(start); };
    if (!options.only.empty() && std::ranges::none_of(options.only, wanted)) continue;
    fmt::print("| {} |", p.name);
    for (const double rate : rates(p, libraries, options))
      fmt::print(" {} |", rate > 0 ? fmt::format("{:.1f}", rate) : "-");
    fmt::print("\n");
    std::fflush(stdout);
  }
  fmt::print("# load {} at the end\n", load());
}

}  // namespace
}  // namespace unroll::benchmark

int main(int argc, char** argv) {
  unroll::benchmark::Options options;
  CLI::App app("Times matrix products of training steps beside other libraries, on the CPU.");
  app.add_option("--threads", options.threads)->check(CLI::PositiveNumber);
  app.add_option("--rounds", options.rounds)->check(CLI::PositiveNumber);
  app.add_option("--only", options.only, "products whose names begin like this");
  CLI11_PARSE(app, argc, argv);
  return unroll::benchmark::exit_status_of([&] { unroll::benchmark::run(options); });
}
