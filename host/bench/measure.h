/// What benchmarks share: the device that a flag names, and rows made of a shape and of samples of
/// a duration.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/bench/report/results.h"
#include "host/bench/shapes.h"
#include "unroll/backend.h"

namespace unroll::benchmark {

/// There is nothing to measure on: exit status 3, which a script tells from a failure.
struct NotRun : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct DeviceChoice {
  std::string device = "cpu";      // or "cuda"
  std::string precision = "fp32";  // the CPU has no other
  int threads = 0;                 // the CPU's; 0: one per processor
  std::string algorithm = "auto";  // of recurrent nodes: CudaOptions'; the CPU has stepwise

  /// Errors    NotRun without a CUDA device; std::invalid_argument for another name, precision or
  ///           algorithm.
  std::shared_ptr<Backend> open() const;
  /// Errors    std::invalid_argument for another name.
  Precision chosen_precision() const;
};

/// How the status of a result begins that was not right, or where the device failed.
inline const std::string kWrong = "wrong: ", kFailed = "failed: ";
/// Whether the row is a fault: any wrong result, and a failure of ours. What is refused, or what
/// there is no memory for, is none.
bool is_fault(const Result& row);

/// For how long a GPU works before times count: one that idled is below its clock.
constexpr double kWarmUpSeconds = 0.3;

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Written on a GPU between two samples: twice the L2 of an H200.
constexpr std::size_t kFlushBytes = std::size_t{128} << 20;

struct Spread {
  double median, least, most;
};
/// Of at least one value.
Spread spread_of(std::vector<double> values);

Case case_of(const std::string& task, const StackShape& shape, Precision precision,
             const std::string& pass);
/// Fills in median, least, most, number of samples and TFLOP/s. `seconds`: of all timesteps;
/// `flop`: of one.
void set_times(Result& row, const StackShape& shape, const std::vector<double>& seconds,
               double flop);

/// Runs `work` and turns what it throws into a line on stderr and an exit status.
int exit_status_of(const std::function<void()>& work);

}  // namespace unroll::benchmark
