#include "benchmarks/measure.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "unroll/ops.h"
#include "unroll/session.h"

namespace unroll::benchmark {
namespace {

Precision precision_of(const std::string& name) {
  for (const Precision precision : {Precision::kFp32, Precision::kTf32, Precision::kBf16})
    if (to_string(precision) == name) return precision;
  throw std::invalid_argument("--precision: got " + name + ", expected fp32, tf32 or bf16");
}

}  // namespace

std::shared_ptr<Backend> DeviceChoice::open() const {
  const Precision wanted = precision_of(precision);
  if (device == "cpu") {
    if (wanted != Precision::kFp32)
      throw std::invalid_argument("--precision: got " + precision + " with the CPU, expected fp32");
    return cpu(threads);
  }
  if (device != "cuda")
    throw std::invalid_argument("--device: got " + device + ", expected cpu or cuda");
  std::string why;
  if (cuda_device_count(&why) == 0) throw NotRun("no CUDA device: " + why);
  return cuda(0, {.precision = wanted});
}

double milliseconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

Spread spread_of(std::vector<double> values) {
  std::ranges::sort(values);
  return {values[values.size() / 2], values.front(), values.back()};
}

double product_rate(const std::shared_ptr<Backend>& backend) {
  if (backend->kind() == DeviceKind::kCuda) switch (backend->precision()) {
      case Precision::kFp32:
        return 67e12;
      case Precision::kTf32:
        return 395e12;
      case Precision::kBf16:
        return 790e12;
    }
  constexpr std::int64_t kSize = 1536;
  Graph graph;
  const Tensor a = graph.variable("a", {kSize, kSize}, uniform(-1, 1));
  const Tensor b = graph.variable("b", {kSize, kSize}, uniform(-1, 1));
  const Tensor c = matmul(a, b);
  Session session(graph, backend);
  double best = 1e30;
  for (int k = 0; k < 8; ++k) best = std::min(best, milliseconds([&] { session.run(c); }));
  return 2.0 * kSize * kSize * kSize / best * 1000;
}

int exit_status_of(const std::function<void()>& work) {
  try {
    work();
    return 0;
  } catch (const NotRun& reason) {
    std::fprintf(stderr, "not run: %s\n", reason.what());
    return 3;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace unroll::benchmark
