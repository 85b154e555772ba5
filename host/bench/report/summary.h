/// Conclusions from a set of results: the fastest program in each case, where a baseline wins,
/// means over cases, and the differences between two sets; as values, and as text for a terminal of
/// 140 columns.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/bench/report/results.h"

namespace unroll::benchmark {

/// Each program counts with its row of lowest median, for any algorithm and execution.
struct CaseSummary {
  Case of;
  std::optional<Result> ours;     // the program "unroll"; no time only if no row has one
  std::vector<Result> baselines;  // one per other program with a time, the fastest first
  std::optional<double> noise;    // the largest in the rows of the case
  std::optional<double> floor;    // the lowest

  /// The best baseline's median / ours: above 1 we are faster. Empty if either has no time.
  std::optional<double> speed() const;
  /// A baseline has a time, and we have none or one that is longer by more than the noise.
  bool lost() const;
  /// Our time is shorter than every baseline's by more than the noise.
  bool won() const;
};

/// In the order in which the cases first appear.
std::vector<CaseSummary> summarize(const Results& results);

/// The lost cases: first those without a time of ours, then by speed, the worst first.
std::vector<CaseSummary> losses(const Results& results);

/// The speed against one baseline over the cases in which both have times.
struct Mean {
  std::string task, cell, precision, pass, baseline;
  int cases;
  double mean;         // geometric
  double best, worst;  // speeds
  std::string best_shape, worst_shape;
};
/// In the order of the results.
std::vector<Mean> means(const Results& results);

/// "rnn wlm200: lstm, T 35, ..., forward, noise 2 %".
std::string case_text(const CaseSummary& summary);
/// "[least, most]"; empty if either is unknown.
std::string range_text(const Result& row);
/// nullopt if either is unknown or the result is not finite.
std::optional<double> quotient(std::optional<double> above, std::optional<double> below);
/// "35x20x200": T, B and I.
std::string sizes_text(const Case& of);
/// "2x200" for "200/200"; units that differ are unchanged.
std::string units_text(const Case& of);
/// "forward", or with its task if that is not "rnn": "lm step".
std::string pass_text(const Case& of);
/// Algorithm and execution: "stepwise:8 graph". The "cudnn:" of a cuDNN algorithm is left out.
std::string method_of(const Result& row);
/// Why a row has no time, on one line.
std::string refusal_text(const Result& row);

std::string losses_text(const Results& results);
std::string means_text(const Results& results);
/// All rows, grouped by case.
std::string table_text(const Results& results);

/// The rows of both sets, sorted by difference. A row has moved if |after / before - 1| is above
/// the noise of both and above (median - min) / median of both. The maximum says nothing about a
/// median: one interruption sets it, and it grows with the number of samples. If a row occurs
/// twice, the faster counts.
/// Errors    std::runtime_error if the sets have no row in common.
std::string comparison_text(const Results& before, const Results& after);

}  // namespace unroll::benchmark
