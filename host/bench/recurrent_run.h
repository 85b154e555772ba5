/// What `unroll bench rnn` measures: an algorithm for a shape, and the ways in which it is run.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/bench/recurrent_check.h"
#include "host/bench/recurrent_node.h"
#include "host/bench/report/results.h"

namespace unroll::benchmark {

/// An algorithm of ours or of a rival's.
struct Algorithm {
  std::string program, name;
  double unit;  // largest relative error of rounding an operand

  /// Without the seam around it: what a change of the weights forces is no part of its time.
  bool is_bare() const { return program == kBareCudnn; }
  bool is_cudnn() const { return program == "cudnn" || is_bare(); }
};

/// One of them for a shape: a node, or why there is none.
struct Candidate {
  Algorithm algorithm;
  std::shared_ptr<Backend> backend;
  std::unique_ptr<RecurrentNode> node;
  std::string status = "ok";

  std::string label() const { return algorithm.program + " " + name(); }
  std::string name() const { return node ? node->algorithm() : algorithm.name; }
};

/// A way to run a candidate, and what it took: seconds.
struct Run {
  Candidate* candidate;
  std::string execution;
  bool is_twin = false;                              // the same once more, for the noise
  std::function<void()> forward, backward, prepare;  // prepare: none if it is bare
  std::vector<double> forward_times, backward_times, prepare_times;
  std::string status = "ok";
};

/// The candidate must outlive both. One that is bare is left with the case's data in its buffers.
Run called(Candidate& candidate, const char* execution);
/// As a CUDA graph, which the second time records.
Run replayed(Candidate& candidate);

/// Runs all passes twice, which must give the same outputs: so a recorded graph does what the calls
/// did that have been checked. A bare one brings no outputs back: of that nothing is compared.
/// Errors    Mismatch.
void check_repeats(const Run& run, const ErrorLimits& limits);

/// Runs all passes once, each after the device's caches have been overwritten through `flush`, and
/// adds their seconds to the run's times if it `counts`.
void sample(Run& run, const View& flush, bool backward, bool counts);

}  // namespace unroll::benchmark
