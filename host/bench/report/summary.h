/// What a set of results says: who is fastest in each case, where a rival wins, means over cases,
/// and what moved between two sets; as values, and as text for a terminal of 140 columns.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/bench/report/results.h"

namespace unroll::benchmark {

/// Of each program the row with the lowest median counts, whatever its algorithm and execution.
struct CaseSummary {
  Case of;
  std::optional<Result> ours;   // of the program "unroll"; without a time only if it has none
  std::vector<Result> rivals;   // one of each other program that has a time, the fastest first
  std::optional<double> noise;  // the largest that a row of the case names
  std::optional<double> floor;  // the lowest

  /// The best rival's median / ours: above 1 we are faster. Empty if either has no time.
  std::optional<double> speed() const;
  /// A rival has a time and we have none or one that is longer by more than the noise.
  bool lost() const;
  /// Our time is shorter than each rival's by more than the noise.
  bool won() const;
};

/// In the order in which the cases come first.
std::vector<CaseSummary> summarize(const Results& results);

/// Those that are lost: first where we have no time, then by speed, the worst first.
std::vector<CaseSummary> losses(const Results& results);

/// The speed against one rival over the cases that have times of both.
struct Mean {
  std::string task, cell, precision, pass, rival;
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
/// Nothing where either is unknown or the result not finite.
std::optional<double> quotient(std::optional<double> above, std::optional<double> below);
/// "35x20x200": T, B and I.
std::string sizes_text(const Case& of);
/// "2x200" for "200/200"; units that are not equal stay as they are.
std::string units_text(const Case& of);
/// "forward"; with its task, if that is not "rnn": "lm step".
std::string pass_text(const Case& of);
/// Algorithm and execution: "stepwise:8 graph". "cudnn:" before a cudnn's algorithm is left out.
std::string method_of(const Result& row);
/// Why a row has no time, on one line.
std::string refusal_text(const Result& row);

std::string losses_text(const Results& results);
std::string means_text(const Results& results);
/// Every row, those of a case together.
std::string table_text(const Results& results);

/// Rows that both have, by what moved: |after / before - 1| above the noise that either names and
/// above (median - min) / median of either. The maximum says nothing about a median: one
/// interruption sets it, and it grows with the samples. Of rows that occur twice the faster counts.
/// Errors    std::runtime_error if there is no row that both have.
std::string comparison_text(const Results& before, const Results& after);

}  // namespace unroll::benchmark
