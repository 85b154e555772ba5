/// The rows of `unroll bench rnn`, with floors of the rates as they are known when they are asked
/// for.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "host/bench/floor.h"
#include "host/bench/recurrent_run.h"
#include "host/bench/report/results.h"

namespace unroll::benchmark {

/// What is measured of which shape, which must outlive the rows.
struct RowsOf {
  const StackShape& shape;
  Precision precision;
  bool forward, backward;
};

class RecurrentRows {
 public:
  /// Lines for the head of the results.
  std::vector<std::string> about;

  void set_rates(Precision precision, const Rates& rates) { rates_[precision] = rates; }
  /// For all precisions whose rates are known.
  void set_exchange(double seconds);

  /// A row for each run that is no twin, and for each candidate without a node.
  void add(const RowsOf& of, const std::vector<Candidate>& candidates,
           const std::vector<Run>& runs);
  /// The rows of a shape for which nothing could be made ready.
  void add_failure(const RowsOf& of, const std::string& status);

  /// Whether there is a time of that algorithm.
  bool has_time_of(const std::string& algorithm) const;

  /// Without rates of a precision its rows have no floor and no share of the peak.
  Results results() const;

 private:
  struct Row {
    Result result;
    const StackShape* shape;
    Precision precision;
    Pass pass;
  };

  template <typename Add>
  void for_each_pass(const RowsOf& of, const Add& add);
  void add_run(Row row, const Run& run);

  std::vector<Row> rows_;
  std::map<Precision, Rates> rates_;
};

}  // namespace unroll::benchmark
