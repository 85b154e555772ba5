#include "host/bench/recurrent_rows.h"

#include <algorithm>
#include <cmath>

#include "host/bench/measure.h"

namespace unroll::benchmark {
namespace {

const std::vector<double>& times_of(const Run& run, Pass pass) {
  return pass == Pass::kForward ? run.forward_times : run.backward_times;
}

double flop_of(const StackShape& shape, Pass pass) {
  return pass == Pass::kForward ? forward_flop(shape) : backward_flop(shape);
}

/// The relative difference between the medians of a run and of its twin.
std::optional<double> noise_of(const std::vector<Run>& runs, Pass pass) {
  for (std::size_t k = 1; k < runs.size(); ++k) {
    const std::vector<double>&twin = times_of(runs[k], pass), &own = times_of(runs[k - 1], pass);
    if (runs[k].is_twin && !twin.empty() && !own.empty())
      return std::abs(spread_of(own).median / spread_of(twin).median - 1);
  }
  return {};
}

}  // namespace

void RecurrentRows::set_exchange(double seconds) {
  for (auto& [precision, rates] : rates_) rates.exchange = seconds;
}

template <typename Add>
void RecurrentRows::for_each_pass(const MeasuredShape& of, const Add& add) {
  for (const Pass pass : {Pass::kForward, Pass::kBackward}) {
    const bool is_forward = pass == Pass::kForward;
    if (is_forward ? !of.forward : !of.backward) continue;
    Row row{.shape = &of.shape, .precision = of.precision, .pass = pass};
    row.result.of = case_of("rnn", of.shape, of.precision, is_forward ? "forward" : "backward");
    add(row);
  }
}

void RecurrentRows::add(const MeasuredShape& of, const std::vector<Candidate>& candidates,
                        const std::vector<Run>& runs) {
  for_each_pass(of, [&](Row row) {
    row.result.noise = noise_of(runs, row.pass);
    // A twin that failed when the other did not has a row, too, so that the fault is reported.
    for (const Run& run : runs)
      if (!run.is_twin || run.status != "ok") add_run(row, run);
    for (const Candidate& c : candidates) {
      if (c.node) continue;
      row.result.program = c.algorithm.program;
      row.result.algorithm = c.algorithm.name;
      row.result.status = c.status;
      rows_.push_back(row);
    }
  });
}

void RecurrentRows::add_failure(const MeasuredShape& of, const std::string& status) {
  for_each_pass(of, [&](Row row) {
    row.result.program = "unroll";
    row.result.status = status;
    rows_.push_back(row);
  });
}

void RecurrentRows::add_run(Row row, const Run& run) {
  Result& result = row.result;
  const Candidate& c = *run.candidate;
  const std::vector<double>& times = times_of(run, row.pass);
  result.program = c.algorithm.program;
  result.algorithm = c.name();
  result.execution = run.execution;
  result.status = run.status;
  result.reserve_mib = double(c.node->reserve_bytes()) / (1 << 20);
  result.work_mib = double(c.node->scratch_bytes()) / (1 << 20);
  if (run.status == "ok" && times.empty()) result.status = "stopped before it was measured";
  if (result.status == "ok") {
    set_times(result, *row.shape, times, flop_of(*row.shape, row.pass));
    if (row.pass == Pass::kForward && run.prepare)
      result.prepare = spread_of(run.prepare_times).median * 1e6 / double(row.shape->steps);
  }
  rows_.push_back(row);
}

bool RecurrentRows::has_time_of(const std::string& algorithm) const {
  return std::ranges::any_of(rows_, [&](const Row& row) {
    return row.result.median && row.result.algorithm == algorithm;
  });
}

Results RecurrentRows::results() const {
  Results results{about, {}};
  for (const auto& [precision, rates] : rates_)
    for (const std::string& line : describe(rates))
      results.about.push_back(to_string(precision) + " here: " + line);
  for (const Row& row : rows_) {
    Result result = row.result;
    const auto known = rates_.find(row.precision);
    if (known != rates_.end()) {
      const Rates& rates = known->second;
      result.floor = floor_of(*row.shape, row.pass, rates).us;
      if (result.median)
        result.peak = flop_of(*row.shape, row.pass) / *result.median * 1e6 / rates.products;
    }
    results.rows.push_back(result);
  }
  return results;
}

}  // namespace unroll::benchmark
