#include "host/bench/recurrent_run.h"

#include "host/bench/measure.h"

namespace unroll::benchmark {

Run called(Candidate& candidate, const char* execution) {
  RecurrentNode* const node = candidate.node.get();
  Run run{.candidate = &candidate, .execution = execution};
  run.prepare = [node] { node->prepare(); };
  run.forward = [node] { node->prepare(), node->forward(); };
  run.backward = [node] { node->backward(); };
  if (!candidate.algorithm.is_bare()) return run;
  run.forward();  // the first of each pass after prepare() is complete
  run.backward();
  run.prepare = nullptr;
  run.forward = [node] { node->forward(); };
  return run;
}

Run replayed(Candidate& candidate) {
  Run run = called(candidate, "graph");
  for (std::function<void()>* work : {&run.prepare, &run.forward, &run.backward}) {
    if (!*work) continue;
    const std::shared_ptr<Replay> replay = candidate.backend->capture(*work);
    *work = [replay] { replay->run(); };
  }
  return run;
}

void check_repeats(const Run& run, const ErrorLimits& limits) {
  if (run.candidate->algorithm.is_bare()) return;
  check_repeats(*run.candidate->node, run.candidate->label() + " " + run.execution, limits, [&] {
    run.prepare();
    run.forward();
    run.backward();
  });
}

void sample(Run& run, const View& flush, bool backward, bool counts) {
  Backend& backend = *run.candidate->backend;
  const auto time = [&](const std::function<void()>& work, std::vector<double>& times) {
    backend.clear(flush.data, flush.bytes());
    const double seconds = elapsed(backend, work);
    if (counts) times.push_back(seconds);
  };
  if (run.prepare) time(run.prepare, run.prepare_times);
  time(run.forward, run.forward_times);
  if (backward) time(run.backward, run.backward_times);
}

}  // namespace unroll::benchmark
