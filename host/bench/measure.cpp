#include "host/bench/measure.h"

#include <algorithm>

namespace unroll::benchmark {

bool is_fault(const Result& row) {
  return row.status.starts_with(kWrong) ||
         (row.program == "unroll" && row.status.starts_with(kFailed));
}

double elapsed(Backend& backend, const std::function<void()>& work) {
  if (DeviceClock* const clock = backend.clock()) return clock->elapsed(work);
  const Stopwatch stopwatch;
  work();
  backend.synchronize();
  return stopwatch.seconds();
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

}  // namespace unroll::benchmark
