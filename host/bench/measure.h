/// What benchmarks share: result rows made from a shape and samples of its time.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "host/bench/report/results.h"
#include "host/bench/shapes.h"
#include "unroll/backend.h"

namespace unroll::benchmark {

/// The prefixes of a row's status if the result was wrong, or if the device failed.
inline const std::string kWrong = "wrong: ", kFailed = "failed: ";
/// Whether the row is a fault: a wrong result of any program, or a failure of unroll. A refusal and
/// a lack of memory are no faults.
bool is_fault(const Result& row);

/// How long a GPU works before times count: an idle one runs below its clock.
constexpr double kWarmUpSeconds = 0.3;

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// The seconds that the device spends on what `work` queues, by its own clock if it has one. Waits
/// for the end.
double elapsed(Backend& backend, const std::function<void()>& work);

/// The bytes written on a GPU between two samples: twice the L2 cache of an H200.
constexpr std::size_t kFlushBytes = std::size_t{128} << 20;

struct Spread {
  double median, least, most;
};
/// `values` must not be empty.
Spread spread_of(std::vector<double> values);

Case case_of(const std::string& task, const StackShape& shape, Precision precision,
             const std::string& pass);
/// Sets median, minimum, maximum, number of samples and TFLOP/s. `seconds` covers all timesteps,
/// `flop` one.
void set_times(Result& row, const StackShape& shape, const std::vector<double>& seconds,
               double flop);

}  // namespace unroll::benchmark
