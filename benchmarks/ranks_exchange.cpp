/// The exchange of gradients between ranks beside MPI's own all-reduce of as many bytes, in turns:
///
///   mpirun -n 4 ranks_exchange [--units 200,650,1500] [--rounds 15] [--tcp]
///
/// Times are those of the slowest rank. Processor times are of one rank, with those of the system.
#include <fmt/format.h>
#include <mpi.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "benchmarks/program.h"
#include "host/parallel/gradient_sum.h"
#include "host/parallel/launch.h"
#include "host/parallel/tcp_communicator.h"
#include "unroll/device.h"

namespace unroll::benchmark {
namespace {

struct Options {
  std::vector<std::int64_t> units{200, 650, 1500};
  int rounds = 15;
  bool tcp = false;
};

/// Elements of the dense gradients of word_language_model: two layers, a decoder of 10,000 words.
std::int64_t elements_of(std::int64_t units) {
  constexpr std::int64_t kLayers = 2, kWords = 10'000;
  return kLayers * (4 * units * (2 * units) + 8 * units) + kWords * (units + 1);
}

double processor_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& time) {
    return double(time.tv_sec) + 1e-6 * double(time.tv_usec);
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

struct Times {
  std::vector<double> wall, processor;  // milliseconds
};

/// Adds the time of one call. All ranks begin together.
template <typename Work>
void measure(Times& times, const Work& work) {
  MPI_Barrier(MPI_COMM_WORLD);
  const double processor = processor_seconds(), wall = MPI_Wtime();
  work();
  const double own = (MPI_Wtime() - wall) * 1e3;
  double slowest = 0;
  times.processor.push_back((processor_seconds() - processor) * 1e3);
  MPI_Allreduce(&own, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  times.wall.push_back(slowest);
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void compare(std::int64_t units, const Options& options, Communicator& communicator) {
  const std::int64_t elements = elements_of(units);
  const auto device = cpu(1);
  const auto exchange = exchange_through_host(communicator, *device);
  GradientSum sum({communicator, *exchange, *device}, communicator.size());
  std::vector<float> own(std::size_t(elements), float(communicator.rank() + 1)), all(own.size());
  OwnGradients gradients;
  gradients.nodes = {{View{own.data(), Shape{elements}}}};
  Times ours, mpi;
  for (int round = -2; round < options.rounds; ++round) {
    if (round == 0) ours = mpi = {};
    const float* summed = nullptr;
    measure(ours, [&] { summed = sum.sum(gradients).tensors.front().as<float>(); });
    measure(mpi, [&] {
      MPI_Allreduce(own.data(), all.data(), int(elements), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    });
    if (!std::equal(all.begin(), all.end(), summed))
      throw std::runtime_error("the sums differ");  // those of small whole numbers are exact
  }
  if (!communicator.leads()) return;
  const auto text = [](const Times& times) {
    const auto [low, high] = std::ranges::minmax(times.wall);
    return fmt::format("{:.2f} ms ({:.2f} to {:.2f}), processor {:.1f} ms", median(times.wall), low,
                       high, median(times.processor));
  };
  fmt::print("{} units, {:.1f} MB, {} ranks: ours {}; MPI {}; ratio {:.2f}\n", units,
             double(elements) * 4e-6, communicator.size(), text(ours), text(mpi),
             median(ours.wall) / median(mpi.wall));
  std::fflush(stdout);
}

void run(const Options& options) {
  const auto launch = launch_of([](const char* name) -> const char* { return std::getenv(name); });
  if (!launch || launch->ranks == 1) throw NotRun("one rank: start it with mpirun -n 2");
  TcpRanks ranks;
  ranks.rank = launch->rank;
  ranks.ranks = launch->ranks;
  ranks.first = launch->first;
  ranks.share_memory = !options.tcp;
  const auto communicator = connect_ranks(std::move(ranks));
  for (const std::int64_t units : options.units) compare(units, options, *communicator);
  communicator->finish();
}

}  // namespace
}  // namespace unroll::benchmark

int main(int argc, char** argv) {
  using namespace unroll::benchmark;
  Options options;
  CLI::App app("The exchange of gradients between ranks beside MPI's all-reduce");
  app.add_option("--units", options.units, "of the models, several with commas")->delimiter(',');
  app.add_option("--rounds", options.rounds, "of each, of which the median counts");
  app.add_flag("--tcp", options.tcp, "without shared memory, as between machines");
  CLI11_PARSE(app, argc, argv);
  MPI_Init(&argc, &argv);
  const int status = exit_status_of([&] { run(options); });
  MPI_Finalize();
  return status;
}
