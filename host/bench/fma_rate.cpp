#include "host/bench/fma_rate.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "host/cpu/isa.h"
#include "host/cpu/thread_pool.h"
#include "unroll/cpu_limits.h"

namespace unroll::host {
namespace avx512 {
extern const benchmark::FmaKernels kFmaKernels;
}
namespace avx2 {
extern const benchmark::FmaKernels kFmaKernels;
}
namespace baseline {
extern const benchmark::FmaKernels kFmaKernels;
}
}  // namespace unroll::host

namespace unroll::benchmark {

double fma_rate(int threads) {
  constexpr long kRounds = 2'000'000;  // some milliseconds
  using namespace unroll::host;        // UNROLL_FOR_ISA expands to names in it
  const FmaKernels& kernels = UNROLL_FOR_ISA(kFmaKernels);
  if (threads == 0) threads = processor_limit().processors;
  ThreadPool pool(threads);
  std::vector<float> results(static_cast<std::size_t>(threads));
  double least = 1e30;
  for (int run = 0; run < 8; ++run) {
    const auto start = std::chrono::steady_clock::now();
    pool.run([&](int thread) { results[std::size_t(thread)] = kernels.multiply_add(kRounds); });
    least = std::min(
        least, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return 2.0 * kFmaChains * kernels.width * double(kRounds) * threads / least;
}

}  // namespace unroll::benchmark
