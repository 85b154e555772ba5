/// `unroll bench rnn`: compares the recurrent node's algorithms with those of a baseline, cuDNN on
/// a GPU and oneDNN on a CPU. Each is checked before any is timed; then all are timed in turn.
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
  int ordinal = 0;  // GPU number
  int threads = 0;  // CPU threads; 0: one per processor
  std::vector<StackShape> shapes;
  std::vector<Precision> precisions;
  bool forward = true, backward = true;
  std::vector<std::string> algorithms;  // prefixes of their names; empty: all
  int samples = 20;
  const std::atomic<bool>* stop = nullptr;           // end after the current sample
  std::function<void(const std::string&)> progress;  // called with a line about each result
  std::function<void(const Results&)> save;          // called after every shape
};

/// Times are those of forward as in training, of preparing the weights anew, and of backward with
/// all gradients, after the device's caches have been overwritten.
/// A wrong result, ours or a baseline's, is a row whose status begins with kWrong; a failure of the
/// device is one with kFailed (measure.h). Neither is timed, and the others go on. Rates of the
/// device that cannot be measured are a line of `about`, and the floors are then empty. How long it
/// may take is the first progress.
struct RecurrentBenchResults {
  Results results;
  std::string lost;  // why the device stopped working and the rest was not measured; or empty
};

/// The names of all algorithms that such options could time, without regard to `algorithms`.
std::vector<std::string> algorithm_names(const RecurrentBenchOptions& options);

RecurrentBenchResults bench_recurrent(const RecurrentBenchOptions& options);

}  // namespace unroll::benchmark
