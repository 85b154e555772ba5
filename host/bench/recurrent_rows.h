/// The rows of `unroll bench rnn`, with floors from the rates that are known when the rows are
/// requested.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "host/bench/floor.h"
#include "host/bench/recurrent_run.h"
#include "host/bench/report/results.h"

namespace unroll::benchmark {

/// A shape, which must outlive the rows, and what is measured of it.
struct MeasuredShape {
  const StackShape& shape;
  Precision precision;
  bool forward, backward;
};

class RecurrentRows {
 public:
  /// Lines for the head of the results.
  std::vector<std::string> about;

  void set_rates(Precision precision, const Rates& rates) { rates_[precision] = rates; }
  /// Applies to all precisions whose rates are known.
  void set_exchange(double seconds);

  /// Adds a row for each run that is not a twin, and for each candidate without a node.
  void add(const MeasuredShape& of, const std::vector<Candidate>& candidates,
           const std::vector<Run>& runs);
  /// Adds the rows of a shape for which no candidate could be made ready.
  void add_failure(const MeasuredShape& of, const std::string& status);

  /// Whether that algorithm has been timed.
  bool has_time_of(const std::string& algorithm) const;

  /// Rows at a precision without rates have no floor and no share of the peak.
  Results results() const;

 private:
  struct Row {
    Result result;
    const StackShape* shape;
    Precision precision;
    Pass pass;
  };

  template <typename Add>
  void for_each_pass(const MeasuredShape& of, const Add& add);
  void add_run(Row row, const Run& run);

  std::vector<Row> rows_;
  std::map<Precision, Rates> rates_;
};

}  // namespace unroll::benchmark
