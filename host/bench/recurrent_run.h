/// What `unroll bench rnn` measures: an algorithm for a shape, and the ways to run it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/bench/recurrent_check.h"
#include "host/bench/recurrent_node.h"
#include "host/bench/report/results.h"

namespace unroll::benchmark {

/// An algorithm of unroll or of a baseline.
struct Algorithm {
  std::string program, name;
  double unit;                                // largest relative error of rounding an operand
  RecurrentAlgorithm node = PassAlgorithm{};  // of the backend's node; oneDNN has its own

  /// Runs without the seam: preparing changed weights is not part of its time.
  bool is_bare() const { return program == kBareCudnn; }
  bool is_cudnn() const { return program == "cudnn" || is_bare(); }
};

/// An algorithm for a shape: a node, or the reason why there is none.
struct Candidate {
  Algorithm algorithm;
  std::shared_ptr<Backend> backend;
  std::unique_ptr<RecurrentNode> node;
  std::string status = "ok";

  std::string label() const { return algorithm.program + " " + name(); }
  std::string name() const { return node ? node->algorithm() : algorithm.name; }
};

/// A way to run a candidate, and its times in seconds.
struct Run {
  Candidate* candidate;
  std::string execution;
  bool is_twin = false;                              // a repetition, to measure the noise
  std::function<void()> forward, backward, prepare;  // prepare: empty if it is bare
  std::vector<double> forward_times, backward_times, prepare_times;
  std::string status = "ok";
};

/// The candidate must outlive both. A bare one keeps the data of the case in its buffers.
Run called(Candidate& candidate, const char* execution);
/// Runs as a CUDA graph, which the second run records.
Run replayed(Candidate& candidate);

/// Runs all passes twice, which must give the same outputs. So it checks that a recorded graph does
/// the same as the calls that have been checked. A bare candidate returns no outputs, so nothing is
/// compared.
/// Errors    Mismatch.
void check_repeats(const Run& run, const ErrorLimits& limits);

/// Runs all passes once, each after overwriting the device's caches through `flush`. If `counts`,
/// adds the seconds to the run's times.
void sample(Run& run, const View& flush, bool backward, bool counts);

}  // namespace unroll::benchmark
