/// What benchmarks share: the device that a flag selects, and result rows made from a shape and
/// samples of its time.
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

/// There is no device to measure on: exit status 3, which scripts distinguish from a failure.
struct NotRun : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct DeviceChoice {
  std::string device = "cpu";      // or "cuda"
  std::string precision = "fp32";  // the only one of the CPU
  int threads = 0;                 // CPU threads; 0: one per processor
  std::string algorithm = "auto";  // of recurrent nodes, see CudaOptions; the CPU has stepwise

  /// Errors    NotRun without a CUDA device; std::invalid_argument for an unknown device, precision
  ///           or algorithm.
  std::shared_ptr<Backend> open() const;
  /// Errors    std::invalid_argument for an unknown name.
  Precision chosen_precision() const;
};

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

/// Runs `work` and turns its exception into a line on stderr and an exit status.
int exit_status_of(const std::function<void()>& work);

}  // namespace unroll::benchmark
