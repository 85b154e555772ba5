/// `unroll bench rnn`: the recurrent node's algorithms beside those of a rival, cuDNN on a GPU and
/// oneDNN on a CPU. Each is checked before any is timed; then all are timed in turn.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "host/bench/report/results.h"
#include "host/bench/shapes.h"
#include "unroll/backend.h"

namespace unroll::benchmark {

struct RecurrentBenchOptions {
  DeviceKind device = DeviceKind::kCpu;
  int ordinal = 0;  // of a GPU
  int threads = 0;  // of the CPU; 0: one per processor
  std::vector<StackShape> shapes;
  std::vector<Precision> precisions;
  bool forward = true, backward = true;
  std::vector<std::string> algorithms;  // those whose names begin so; empty: all
  int samples = 20;
  const std::atomic<bool>* stop = nullptr;           // end after the sample that is being taken
  std::function<void(const std::string&)> progress;  // a line about what has been measured
  std::function<void(const Results&)> save;          // called after every shape
};

/// Times are of forward as in training, weights prepared anew, and of backward with all gradients,
/// after the device's caches have been overwritten.
/// What does not compute what it should, ours or a rival's, is a row whose status begins with
/// kWrong; where the device failed, with kFailed (measure.h). Neither is timed, and the others go
/// on. Rates of the device that cannot be measured are a line of `about`, and floors are empty.
struct RecurrentBenchResults {
  Results results;
  std::string lost;  // why the device works no longer and the rest was not measured; or empty
};

RecurrentBenchResults bench_recurrent(const RecurrentBenchOptions& options);

}  // namespace unroll::benchmark
