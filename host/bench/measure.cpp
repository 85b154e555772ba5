#include "host/bench/measure.h"

#include <algorithm>
#include <cstdio>

namespace unroll::benchmark {

Precision DeviceChoice::chosen_precision() const {
  for (const Precision one : {Precision::kFp32, Precision::kTf32, Precision::kBf16})
    if (to_string(one) == precision) return one;
  throw std::invalid_argument("--precision: got " + precision + ", expected fp32, tf32 or bf16");
}

std::shared_ptr<Backend> DeviceChoice::open() const {
  const Precision wanted = chosen_precision();
  if (device == "cpu") {
    if (wanted != Precision::kFp32)
      throw std::invalid_argument("--precision: got " + precision + " with the CPU, expected fp32");
    if (algorithm != "auto" && algorithm != "stepwise")
      throw std::invalid_argument("--rnn-algorithm: got " + algorithm +
                                  " with the CPU, expected auto or stepwise");
    return cpu(threads);
  }
  if (device != "cuda")
    throw std::invalid_argument("--device: got " + device + ", expected cpu or cuda");
  std::string why;
  if (cuda_device_count(&why) == 0) throw NotRun("no CUDA device: " + why);
  return cuda(0, {.precision = wanted, .recurrent_algorithm = algorithm});
}

bool is_fault(const Result& row) {
  return row.status.starts_with(kWrong) ||
         (row.program == "unroll" && row.status.starts_with(kFailed));
}

Spread spread_of(std::vector<double> values) {
  std::ranges::sort(values);
  return {values[values.size() / 2], values.front(), values.back()};
}

Case case_of(const std::string& task, const StackShape& shape, Precision precision,
             const std::string& pass) {
  return {.task = task,
          .shape = shape.name,
          .cell = cell_name(shape.spec),
          .steps = shape.steps,
          .batch = shape.batch,
          .input = shape.input,
          .hidden = hidden_text(shape.spec),
          .precision = to_string(precision),
          .pass = pass};
}

void set_times(Result& row, const StackShape& shape, const std::vector<double>& seconds,
               double flop) {
  const double to_us = 1e6 / double(shape.steps);
  const Spread spread = spread_of(seconds);
  row.median = spread.median * to_us;
  row.least = spread.least * to_us;
  row.most = spread.most * to_us;
  row.samples = std::int64_t(seconds.size());
  row.tflops = flop / *row.median / 1e6;
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
